"""Runs whose cells are records of a file: paid answers survive whatever is done to it."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.journal.verify import recover, verify
from herogen_async.generation.run_folder import RunFolder, read_manifest
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

RECORDS = [{"id": f"{number:03}", "q": f"question {number % 7}"} for number in range(10)]  # some are equal


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def write(folder: Path, records: Sequence[dict[str, str]]) -> Path:
    path = folder / "seeds.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return path


def spec_of(path: Path, **more: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "seeds",
        "source": {"path": str(path)},
        "attributes": {"level": ["easy", "hard"]},
        "prompt": "{level} {q}",
        "endpoint": "chat",
    }
    return Spec(**{name: value for name, value in {**data, **more}.items() if value is not None})


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def test_each_record_is_asked_with_each_attribute(server: FakeServer, tmp_path: Path) -> None:
    """Equal records each get their answer; rows and exports show all fields, as they are in the file."""
    spec = spec_of(write(tmp_path, RECORDS))
    assert 20 == run(server, tmp_path / "r", spec).done
    assert 2 == server.prompts()["easy question 0"]
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert [{**each, "level": level} for each in RECORDS for level in ("easy", "hard")] == [row["cell"] for row in rows]
    assert all(row["response_txt"].endswith(f"{row['cell']['level']} {row['cell']['q']}") for row in rows)
    exported = herogen_async.export(tmp_path / "r", out=tmp_path / "out.csv")
    with exported.file.open(newline="") as file:
        assert "000" == next(csv.DictReader(file))["id"]
    assert 20 == len(herogen_async.rows(tmp_path / "r").to_pandas())
    assert 0 == verify(tmp_path / "r").damage


CHANGES = {
    "a record at the top": ([{"id": "x", "q": "new"}, *RECORDS], 2),
    "sorted otherwise": (sorted(RECORDS, key=lambda each: each["q"], reverse=True), 0),
    "a field more": ([{**each, "note": "n"} for each in RECORDS], 0),
    "another unused field": ([{**each, "id": "z"} for each in RECORDS], 0),
    "a record less": (RECORDS[1:], 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_keeps_all_answers(name: str, server: FakeServer, tmp_path: Path) -> None:
    """`plan` says what it means, nothing happens unless a person agrees, and only what is new is asked."""
    records, new = CHANGES[name]
    folder = tmp_path / "r"
    run(server, folder, spec_of(write(tmp_path, RECORDS)))
    asked = len(server.asked)
    spec = spec_of(write(tmp_path, records))
    told = herogen_async.plan(spec, folder, base_url=server.url, model="m").as_dict()
    assert new == told["new"]["requests"]
    assert ("the source (other content of seeds.csv)",) == tuple(told["changes"])
    with pytest.raises(RunFolderError, match=r"other content of seeds\.csv"):
        run(server, folder, spec)
    report = run(server, folder, spec, extend=True)
    assert (2 * len(records), new) == (report.done, len(server.asked) - asked)
    rows = list(herogen_async.rows(folder))
    assert 2 * len(records) == len(rows)
    assert all(row["response_txt"].endswith(f"{row['cell']['level']} {row['cell']['q']}") for row in rows)
    assert 0 == verify(folder).damage
    assert "done" == herogen_async.resume(folder).state
    assert new == len(server.asked) - asked


def test_a_kill_at_any_line_and_a_changed_file_lose_nothing(server: FakeServer, tmp_path: Path) -> None:
    """The journal is cut, the file changed, and so on: what a line says is never asked again."""
    chance, folder = random.Random(7), tmp_path / "r"
    records = RECORDS.copy()
    for number in range(5):
        run(server, folder, spec_of(write(tmp_path, records)), extend=True, concurrency=chance.choice([1, 8]))
        assert 0 == verify(folder).damage
        segment = RunFolder(folder).segments()[-1]
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(b"".join(lines[: chance.randrange(len(lines) + 1)]))
        (folder / "lock").unlink()
        kept = sum(len(each.read_bytes().splitlines()) for each in RunFolder(folder).segments())
        chance.shuffle(records)
        records.insert(chance.randrange(len(records)), {"id": "n", "q": f"new {number}"})
        before = len(server.asked)
        report = run(server, folder, spec_of(write(tmp_path, records)), extend=True)
        assert 2 * len(records) == report.done == kept + len(server.asked) - before
    rows = list(herogen_async.rows(folder))
    assert all(row["response_txt"].endswith(f"{row['cell']['level']} {row['cell']['q']}") for row in rows)


def test_an_edited_prompt_of_other_fields_keeps_what_is_agreed(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale answers stay those of their records, whatever tells these apart from then on."""
    folder, path = tmp_path / "r", write(tmp_path, RECORDS)
    run(server, folder, spec_of(path))
    write(tmp_path, RECORDS[::-1])
    report = run(server, folder, spec_of(path, prompt="{id}: {level} {q}"), extend=True)
    assert (20, 20) == (report.done, len(server.asked))
    # From the run's own folder, whatever became of the file and of what this machine has cached.
    path.unlink()
    monkeypatch.setenv("HEROGEN_SOURCES_DIR", str(tmp_path / "empty"))
    rows = list(herogen_async.rows(folder))
    assert all(row["response_txt"].endswith(f"{row['cell']['level']} {row['cell']['q']}") for row in rows)


def test_a_resumed_run_refuses_a_file_that_has_changed(server: FakeServer, tmp_path: Path) -> None:
    """With what to do; what is answered is exported all the same, with what its lines say."""
    folder, path = tmp_path / "r", write(tmp_path, RECORDS)
    run(server, folder, spec_of(path), limit=4)
    write(tmp_path, RECORDS[::-1])
    asked = len(server.asked)
    with pytest.raises(InputError, match="no longer what the run was begun with") as refused:
        herogen_async.resume(folder, limit=20)
    assert "--extend" in (refused.value.fix or "")
    path.unlink()
    rows = list(herogen_async.rows(folder))
    assert ["000", "000", "001", "001"] == [row["cell"]["id"] for row in rows]
    assert asked == len(server.asked)
    assert 0 == verify(folder).damage


def test_a_run_goes_on_where_it_and_its_file_were_moved(server: FakeServer, tmp_path: Path) -> None:
    """The spec says where the file is now; the content counts."""
    run(server, tmp_path / "r", spec_of(write(tmp_path, RECORDS)), limit=4)
    (tmp_path / "there").mkdir()
    (tmp_path / "seeds.csv").rename(tmp_path / "there" / "seeds.csv")
    (tmp_path / "r").rename(tmp_path / "there" / "r")
    report = run(server, tmp_path / "there" / "r", spec_of(tmp_path / "there" / "seeds.csv"))
    assert (20, 20) == (report.done, len(server.asked))


def test_rows_from_python_are_kept_with_the_run(server: FakeServer, tmp_path: Path) -> None:
    """They can't be read again: a later process goes on from the run's own copy."""
    spec = Spec(name="a", source=RECORDS, attributes={}, prompt="{q}", endpoint="chat")
    run(server, tmp_path / "r", spec, limit=3)
    kept = read_manifest(RunFolder(tmp_path / "r")).resolved_spec().source
    assert kept is not None
    content = tmp_path / "r" / "sources" / f"{kept.sha256}.jsonl"
    assert RECORDS == [json.loads(line) for line in content.read_text().splitlines()]
    from herogen_async.specs.records import spool

    before = dict(spool._spooled)
    spool._spooled.clear()
    try:
        assert 10 == herogen_async.resume(tmp_path / "r", limit=10).done
        assert [each["q"] for each in RECORDS] == [row["cell"]["q"] for row in herogen_async.rows(tmp_path / "r")]
    finally:
        spool._spooled.update(before)


def test_columns_and_keep_know_the_fields(server: FakeServer, tmp_path: Path) -> None:
    """In prompts, conditions and in what is kept."""
    spec = spec_of(
        write(tmp_path, RECORDS),
        prompt=None,
        columns={"first": {"prompt": "{level} {q}"}, "second": {"prompt": "{id} {first}", "when": "q == 'question 1'"}},
        keep="id != '008'",
    )
    run(server, tmp_path / "r", spec)
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert 20 == len(rows)
    assert {"001", "008"} == {row["cell"]["id"] for row in rows if row["columns"]["second"] is not None}
    assert {"008"} == {row["cell"]["id"] for row in rows if not row["accepted"]}


def test_a_data_set_of_records_has_their_fields(server: FakeServer, tmp_path: Path) -> None:
    """Split, card and Parquet know them; a long field is in no line twice."""
    path = write(tmp_path, [{**each, "q": each["q"] + " long" * 40} for each in RECORDS])
    run(server, tmp_path / "r", spec_of(path))
    line = json.loads((tmp_path / "r" / "rows-00000.jsonl").read_bytes().splitlines()[0])
    assert {"record", "id", "level"} == set(line["cell"])
    assert "" == line["sub_prompt"]
    made = herogen_async.assemble(tmp_path / "r", format="parquet", split=0.2, out=tmp_path / "d")
    assert 20 == made.rows
    assert "| q | a field of seeds.csv |" in (tmp_path / "d" / "README.md").read_text()
    assert all("long" in row["sub_prompt"] for row in herogen_async.rows(tmp_path / "r"))


def test_accepted_rows_are_wanted_of_records(server: FakeServer, tmp_path: Path) -> None:
    """The order of the cells is shuffled, and known to a resumed run."""
    spec = spec_of(
        write(tmp_path, RECORDS), prompt=None, columns={"a": {"prompt": "{level} {q}"}}, keep="id != '008'", want=5
    )
    report = run(server, tmp_path / "r", spec)
    assert ("done", 5) == (report.state, report.accepted)
    assert 5 == herogen_async.resume(tmp_path / "r").accepted


def test_a_recovered_copy_keeps_the_sources(server: FakeServer, tmp_path: Path) -> None:
    """Also those of an earlier content of the file, by which its answers are placed."""
    run(server, tmp_path / "r", spec_of(write(tmp_path, RECORDS)))
    spec = spec_of(write(tmp_path, RECORDS[::-1]))
    run(server, tmp_path / "r", spec, extend=True)
    recover(tmp_path / "r", out=tmp_path / "copy")
    assert 0 == verify(tmp_path / "copy").damage
    assert 20 == len(herogen_async.rows(tmp_path / "copy"))
    assert (20, 20) == (run(server, tmp_path / "copy", spec).done, len(server.asked))


def test_a_damaged_index_is_named_and_made_anew(server: FakeServer, tmp_path: Path) -> None:
    """As what it is: the manifest is sound, and nothing that was paid is touched."""
    run(server, tmp_path / "r", spec_of(write(tmp_path, RECORDS)))
    (index,) = (tmp_path / "r" / "sources").glob("*.idx")
    index.unlink()  # it is linked
    index.write_bytes(b"torn")
    found = verify(tmp_path / "r")
    assert ["source"] == [each.kind for each in found.findings if each.is_damage]
    assert "is not an index of records" in found.findings[0].message
    assert "remove it: it is made anew" in found.findings[0].message
    index.unlink()
    assert 0 == verify(tmp_path / "r").damage


def test_failed_records_are_asked_again(tmp_path: Path) -> None:
    """Those that fail are known by their record, also where the file has changed meanwhile."""
    broken = True

    def behaviour(asked: Asked) -> Reply:
        return error(400, "no") if broken and "question 3" in asked.prompt else answer(asked)

    with FakeServer(behaviour) as server:
        report = run(server, tmp_path / "r", spec_of(write(tmp_path, RECORDS)))
        assert 1 == report.exit_code
        broken = False
        run(server, tmp_path / "r", spec_of(write(tmp_path, RECORDS[::-1])), extend=True)
        report = herogen_async.resume(tmp_path / "r", retry_failed=True)
        assert ("done", 20) == (report.state, report.done)
        rows = list(herogen_async.rows(tmp_path / "r"))
        assert all(row["response_txt"].endswith(row["cell"]["q"]) for row in rows)


def test_a_file_that_changes_under_a_run_parks_it(tmp_path: Path) -> None:
    """What came is kept, nothing is sent of a record that is no longer what it was, and the run goes on from there."""
    records = [{"id": str(number), "q": f"question {number:05}"} for number in range(3000)]
    path = write(tmp_path, records)
    whole = path.read_bytes()

    def behaviour(asked: Asked) -> Reply:
        if asked.number == 20:
            with path.open("r+b") as file:
                file.write(whole.replace(b"question", b"Question"))
        return answer(asked)

    with FakeServer(behaviour) as server:
        report = run(server, tmp_path / "r", spec_of(path, attributes={}, prompt="{q}"), concurrency=4)
        assert ("parked", 3) == (report.state, report.exit_code)
        assert "no longer what the run was begun with" in (report.reason or "")
        assert report.done == len(server.asked)
        path.write_bytes(whole)
        assert 3000 == herogen_async.resume(tmp_path / "r").done
        assert {1} == set(server.prompts().values())
        assert not any("Question" in prompt for prompt in server.prompts())
