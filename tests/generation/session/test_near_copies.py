"""`unlike`: an answer that is too like an earlier one is asked again, and the last one counts, but isn't accepted."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.generation.journal.verify import recover
from herogen_async.generation.session.watch import Watch
from herogen_async.specs.spec import Spec
from support.broken_json import FORM
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import herogen, last_json

pytestmark = pytest.mark.usefixtures("both_ways")

SAME = "the keeper of the old lighthouse counts every ship that passes and writes its name into a blue book"
CLOSE = SAME.replace("blue", "green")
Script = Callable[[str, int], str]


def other(words: str) -> str:
    """A text that is like no other one."""
    return " ".join(f"{words}-{number}" for number in range(20)).replace(" ", "_").replace("-", "x").replace("_", " ")


def spec_of(column: dict[str, Any] | None = None, *, count: int = 4, **changes: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "tales",
        "attributes": {"n": [f"n{number}" for number in range(count)]},
        "columns": {"tale": {"prompt": "write {n}", "unlike": 0.7, **(column or {})}},
        "endpoint": "chat",
    }
    return Spec(**{**data, **changes})


def first_of(asked: Asked) -> str:
    """The prompt of the call, however often it is asked."""
    if "prompt" in asked.body:
        return str(asked.body["prompt"]).split("\n\n")[0]
    return next(str(each["content"]) for each in asked.body["messages"] if each["role"] == "user")


def script(said: Script) -> Callable[[Asked], Reply]:
    """The server that answers `said(prompt, ask)`; how often a prompt was asked is the server's own count."""
    asks: Counter[str] = Counter()

    def behaviour(asked: Asked) -> Reply:
        is_again = re.search("This is (too close|wrong)", json.dumps(asked.body))
        asks[first_of(asked)] = max(1, asks[first_of(asked)]) + 1 if is_again else 1
        return answer(asked, said(first_of(asked), asks[first_of(asked)]))

    return behaviour


def is_again(asked: Asked) -> bool:
    return "This is too close to an earlier answer; write something clearly different." in json.dumps(asked.body)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(script(lambda prompt, ask: other(f"{prompt[-2:]}{ask}"))) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    options = {"concurrency": 1, **options}
    return herogen_async.run(spec or spec_of(), run=folder, base_url=server.url, model="m", **options)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def accepted(folder: Path) -> list[bool]:
    return [row["accepted"] for row in herogen_async.rows(folder)]


def taught(folder: Path, out: Path, **options: Any) -> tuple[list[str], list[str]]:
    """The texts of the examples, and what is said of those left out."""
    assembled = herogen_async.assemble(folder, format="messages", out=out, **options)
    assert assembled is not None
    lines = [json.loads(line) for line in (out / "messages.jsonl").read_text().splitlines()]
    return [each["messages"][-1]["content"] for each in lines], assembled.left_out()


# -- asked again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_near_copy_is_asked_again_with_what_it_was(server: FakeServer, tmp_path: Path, endpoint: str) -> None:
    """The model is told its answer and that it is too close; the line names the earlier answer and their likeness."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] == "0" else CLOSE if ask < 2 else other(prompt))
    report = run(server, tmp_path / "r", spec_of(count=2, endpoint=endpoint))
    assert ("done", 2, {"near_copy": 1}, 1) == (report.state, report.done, report.errors, report.retries)
    lines = lines_of(tmp_path / "r")
    assert [(0, None), (1, None), (1, 2)] == [(line["index"], line.get("ask")) for line in lines]
    near = lines[1]["near_copy"]
    assert 0 == near["of"]
    assert 0.7 <= near["likeness"] < 1
    assert "last" not in near
    assert "near_copy" not in lines[2]
    names = list(lines[1])
    assert names.index("near_copy") + 1 == names.index("finish_reason")
    assert [False, False, True] == [is_again(asked) for asked in server.asked]
    assert CLOSE in json.dumps(server.asked[-1].body)
    assert [True, True] == accepted(tmp_path / "r")


def test_asked_again_a_call_has_another_seed(server: FakeServer, tmp_path: Path) -> None:
    """One that no other call of its cell has; without a seed in the spec none is sent."""
    server.behaviour = script(lambda prompt, ask: SAME)
    run(server, tmp_path / "r", spec_of({"samples": 2}, count=1, sampling={"seed": 7}))
    assert [7, 8, 10, 12] == [asked.body["seed"] for asked in server.asked]
    run(server, tmp_path / "s", spec_of(count=2))
    assert all("seed" not in asked.body for asked in server.asked[4:])


def test_after_three_near_copies_the_row_is_done_and_not_accepted(server: FakeServer, tmp_path: Path) -> None:
    """Exit code 0; its last answer is in the table, and the data set leaves it out and says so."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] in "02" else other(prompt))
    report = run(server, tmp_path / "r")
    assert ("done", 4, 0, 0) == (report.state, report.done, report.failed, report.exit_code)
    assert {"near_copy": 2} == report.errors == herogen_async.status(tmp_path / "r").errors
    last = [line for line in lines_of(tmp_path / "r") if line["index"] == 2]
    assert [(None, None), (2, None), (3, True)] == [(each.get("ask"), each["near_copy"].get("last")) for each in last]
    assert [True, True, False, True] == accepted(tmp_path / "r")
    texts, left_out = taught(tmp_path / "r", tmp_path / "data")
    assert [SAME, other("write n1"), other("write n3")] == texts
    assert ["Left out, too like an earlier answer (`unlike`): 1 answer."] == left_out
    herogen_async.export(tmp_path / "r", format="csv", out=tmp_path / "rows.csv")
    assert "accepted" in (tmp_path / "rows.csv").read_text().splitlines()[0].split(",")


def test_status_says_how_many_rows_are_accepted(server: FakeServer, tmp_path: Path) -> None:
    """To people and to programs, as with a `keep`; not where nothing is compared."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] in "02" else other(prompt))
    run(server, tmp_path / "r")
    assert "Accepted by the spec's `unlike`: 3 of 4 rows" in herogen("status", tmp_path / "r", cwd=tmp_path).stdout
    told = last_json(herogen("status", tmp_path / "r", "--json", cwd=tmp_path).stdout)["acceptance"]
    assert 3 == told["accepted"]
    run(server, tmp_path / "r", spec_of({"unlike": None}))
    assert "ccept" not in herogen("status", tmp_path / "r", "--json", cwd=tmp_path).stdout


def test_what_is_decided_is_in_the_journal(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and data sets decide alike where nothing can be measured; a copy of the run, too."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] in "02" else other(prompt))
    run(server, tmp_path / "r")
    copy = recover(tmp_path / "r", out=tmp_path / "copy")
    assert copy is not None
    monkeypatch.setitem(sys.modules, "rensa", None)
    for folder in (tmp_path / "r", tmp_path / "copy"):
        assert [True, True, False, True] == accepted(folder)
        assert 3 == len(taught(folder, tmp_path / f"{folder.name}-data")[0])
        assert (4, 0) == (herogen_async.status(folder).done, herogen_async.status(folder).failed)


def test_short_answers_are_near_copies_only_if_they_are_the_same(server: FakeServer, tmp_path: Path) -> None:
    """Fewer than ten words: but for case and spaces; an empty one is like no other."""
    texts = {"n0": "Ada Lovelace", "n1": "ada  lovelace", "n2": "Ada Byron", "n3": ""}
    server.behaviour = script(lambda prompt, ask: texts[prompt[-2:]])
    run(server, tmp_path / "r", spec_of(endpoint="completions"))
    assert [True, False, True, True] == accepted(tmp_path / "r")


def test_samples_are_compared_too(server: FakeServer, tmp_path: Path) -> None:
    """A row is accepted if one of its samples is; only that one becomes an example."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] in "01" else other(f"{prompt}{len(server.asked)}"))
    run(server, tmp_path / "r", spec_of({"samples": 2}, count=3))
    assert [True, False, True] == accepted(tmp_path / "r")
    texts, left_out = taught(tmp_path / "r", tmp_path / "data")
    assert (3, SAME) == (len(texts), texts[0])
    assert ["Left out, too like an earlier answer (`unlike`): 3 answers."] == left_out


def test_form_and_unlike_share_the_asks(server: FakeServer, tmp_path: Path) -> None:
    """Three in all; the last may be a near copy, and counts, or not fit, and then the column fails."""
    same, close = (json.dumps({"score": 3, "why": text}) for text in (SAME, CLOSE))
    said = {
        **{("n0", 1): same, ("n1", 1): "no JSON", ("n1", 2): same, ("n1", 3): close},
        **{("n2", 1): same, ("n2", 2): same, ("n2", 3): "no JSON"},
    }
    server.behaviour = script(lambda prompt, ask: said[prompt[-2:], ask])
    report = run(server, tmp_path / "r", spec_of({"answer": FORM}, count=3))
    assert (2, 1, 1) == (report.done, report.failed, report.exit_code)
    assert {"near_copy": 3, "wrong_form": 2} == report.errors
    assert 7 == len(server.asked)
    assert [True, False] == accepted(tmp_path / "r")
    rows = herogen_async.rows(tmp_path / "r", partial=True)
    assert [("done", True), ("done", False), ("failed", False)] == [(row["state"], row["accepted"]) for row in rows]


# -- kills and edits -------------------------------------------------------------------------------------------------


def test_after_a_kill_at_any_line_no_ask_is_given_back(server: FakeServer, tmp_path: Path) -> None:
    """What is asked again is what the journal lacks, and what is decided is the same."""

    def said(prompt: str, ask: int) -> str:
        name = prompt[-2:]
        if prompt.startswith("so"):
            return f"so {name}"
        copies = {"n0": 0, "n1": 1, "n2": 3, "n3": 0}[name]
        return SAME if name == "n0" or ask <= copies else other(name)

    columns = {"tale": {"prompt": "write {n}", "unlike": 0.7}, "next": {"prompt": "so {tale} {n}"}}
    spec = spec_of(columns=columns)
    server.behaviour = script(said)
    run(server, tmp_path / "whole", spec)

    def sent(asked: list[Asked]) -> Counter[tuple[str, bool]]:
        return Counter((first_of(each), is_again(each)) for each in asked)

    whole = sent(server.asked)
    assert 3 == sum(count for (_, again), count in whole.items() if again)
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        kept = Counter((line["prompt"], line.get("ask", 1) > 1) for line in map(codec.loads, lines[:count]))
        before = len(server.asked)
        server.behaviour = script(said)
        report = run(server, folder, spec)
        assert ("done", 4) == (report.state, report.done)
        assert whole - kept == sent(server.asked[before:])
        assert len(lines) == len(lines_of(folder))
        assert [True, True, False, True] == accepted(folder)


def test_answers_of_earlier_sessions_are_compared_with(server: FakeServer, tmp_path: Path) -> None:
    """All that count and are no near copies, in whatever order they were written."""
    server.behaviour = script(lambda prompt, ask: SAME if prompt[-1] in "03" else other(prompt))
    run(server, tmp_path / "r", limit=2)
    assert [True, True] == accepted(tmp_path / "r")
    report = run(server, tmp_path / "r")
    assert {"near_copy": 2} == report.errors
    assert [0, 0, 0] == [line["near_copy"]["of"] for line in lines_of(tmp_path / "r") if "near_copy" in line]


def test_another_likeness_decides_anew_from_the_lines(server: FakeServer, tmp_path: Path) -> None:
    """For free and without consent: a higher one accepts what was a near copy, and none accepts everything."""
    server.behaviour = script(lambda prompt, ask: {"0": SAME, "1": CLOSE}.get(prompt[-1], other(prompt)))
    run(server, tmp_path / "r")
    assert [True, False, True, True] == accepted(tmp_path / "r")
    asked = len(server.asked)
    for unlike, is_accepted in ((0.99, True), (0.6, False)):
        report = run(server, tmp_path / "r", spec_of({"unlike": unlike}))
        assert ("done", 4, asked) == (report.state, report.done, len(server.asked))
        assert is_accepted is accepted(tmp_path / "r")[1]
    report = run(server, tmp_path / "r", spec_of({"unlike": None}))
    assert ("done", 4, asked) == (report.state, report.done, len(server.asked))
    assert not any("accepted" in row for row in herogen_async.rows(tmp_path / "r"))


def test_without_unlike_the_answer_that_counted_stays(server: FakeServer, tmp_path: Path) -> None:
    """A near copy that was asked again comes behind it; it counts where there is no other."""
    columns = {"tale": {"prompt": "write {n}", "unlike": 0.7}, "next": {"prompt": "so {tale} {n}"}}
    server.behaviour = script(lambda prompt, ask: SAME if ask == 1 and "so" not in prompt else other(prompt[-2:]))
    run(server, tmp_path / "r", spec_of(columns=columns, count=2))
    path = tmp_path / "r" / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    tale = [line["columns"]["tale"]["response_txt"] for line in herogen_async.rows(tmp_path / "r")]
    asked = len(server.asked)
    plain = {**columns, "tale": {"prompt": "write {n}"}}
    report = run(server, tmp_path / "r", spec_of(columns=plain, count=2))
    assert ("done", 2, asked) == (report.state, report.done, len(server.asked))
    assert [SAME, other("n1")] == tale
    assert tale == [line["columns"]["tale"]["response_txt"] for line in herogen_async.rows(tmp_path / "r")]
    # Killed behind the near copy, and gone on with without `unlike`: it is there, and counts.
    near = next(place for place, line in enumerate(lines) if b'"near_copy"' in line)
    shutil.copytree(tmp_path / "r", tmp_path / "cut")
    (tmp_path / "cut" / "lock").unlink()
    (tmp_path / "cut" / "rows-00000.jsonl").write_bytes(b"".join(lines[: near + 1]))
    before = len(server.asked)
    report = run(server, tmp_path / "cut", spec_of(columns=plain, count=2))
    assert ("done", 2) == (report.state, report.done)
    assert all(first_of(each).startswith("so") for each in server.asked[before:])
    assert [SAME, SAME] == [row["columns"]["tale"]["response_txt"] for row in herogen_async.rows(tmp_path / "cut")]


def test_unlike_on_a_run_that_has_answers_compares_new_ones_with_them(server: FakeServer, tmp_path: Path) -> None:
    """Nothing is asked again of what was accepted, without consent; what comes is compared."""
    server.behaviour = script(lambda prompt, ask: SAME)
    run(server, tmp_path / "r", spec_of({"unlike": None}), limit=2)
    report = run(server, tmp_path / "r", limit=3)
    assert {"near_copy": 2} == report.errors
    assert 5 == len(server.asked)
    assert [True, True, False] == accepted(tmp_path / "r")


# -- as many as are wanted -------------------------------------------------------------------------------------------


def test_want_counts_no_near_copies(server: FakeServer, tmp_path: Path) -> None:
    """Three rows that are unlike, the same after any kill, and exactly these in the data set."""
    spec = spec_of(count=12, want=3, grid={"shuffle": False})
    server.behaviour = script(lambda prompt, ask: SAME if int(prompt[7:]) < 4 else other(prompt))
    report = run(server, tmp_path / "whole", spec)
    assert ("done", 3, 3) == (report.state, report.accepted, report.outcomes["rejected"])
    wanted = taught(tmp_path / "whole", tmp_path / "data")[0]
    assert [SAME, other("write n4"), other("write n5")] == wanted
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        report = run(server, folder, spec)
        assert ("done", 3) == (report.state, report.accepted)
        assert 3 == herogen_async.status(folder).accepted
        assert wanted == taught(folder, tmp_path / f"data-{count}")[0]


def test_keep_and_unlike_reject_together(server: FakeServer, tmp_path: Path) -> None:
    """A row is accepted if its judge says so and it is no near copy; `want` counts these, in rows of earlier sessions
    too.
    """
    columns = {
        "tale": {"prompt": "write {n}", "unlike": 0.7},
        "verdict": {"prompt": "grade {n} {tale}", "answer": {"score": "integer"}},
    }
    spec = spec_of(columns=columns, count=8, keep="verdict.score > 3", want=2, grid={"shuffle": False})

    def said(prompt: str, ask: int) -> str:
        del ask
        if prompt.startswith("grade"):
            return json.dumps({"score": 1 if "n2" in prompt else 5})
        return SAME if prompt[-1] in "01" else other(prompt)

    server.behaviour = script(said)
    run(server, tmp_path / "r", spec)
    assert [True, False, False, True] == accepted(tmp_path / "r")
    lines = (tmp_path / "r" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "r", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        assert 2 == run(server, folder, spec).accepted
        assert [True, False, False, True] == accepted(folder)[:4]  # what was in flight may come besides


def test_a_near_copy_is_no_worse_answer(server: FakeServer, tmp_path: Path) -> None:
    """Preference pairs are made of what the judge says: a near copy is neither chosen nor rejected."""
    columns = {
        "tale": {"prompt": "write {n}", "unlike": 0.7, "samples": 3},
        "verdict": {"prompt": "grade {n} {tale}", "answer": {"score": "integer"}},
    }
    good, bad = other("good"), other("bad")
    texts = iter([good, good, good, good, bad])

    def said(prompt: str, ask: int) -> str:
        del ask
        return json.dumps({"score": 5 if good in prompt else 1}) if prompt.startswith("grade") else next(texts)

    server.behaviour = script(said)
    run(server, tmp_path / "r", spec_of(columns=columns, count=1, keep="verdict.score > 3"))
    herogen_async.assemble(tmp_path / "r", format="dpo", out=tmp_path / "data")
    (pair,) = map(json.loads, (tmp_path / "data" / "dpo.jsonl").read_text().splitlines())
    assert good in json.dumps(pair["chosen"])
    assert bad in json.dumps(pair["rejected"])


# -- what it costs and needs -----------------------------------------------------------------------------------------


def test_without_rensa_nothing_is_begun(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run says what to install before a folder is made or a request sent."""
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(InputError, match="rensa") as refused:
        run(server, tmp_path / "r")
    assert "herogen-async[quality]" in str(refused.value.fix)
    assert [] == server.asked
    assert not (tmp_path / "r").exists()


def test_a_column_without_unlike_is_compared_with_nothing(server: FakeServer, tmp_path: Path) -> None:
    """Beside one that has it, equal answers are as welcome as before."""
    columns = {"tale": {"prompt": "write {n}", "unlike": 0.7}, "next": {"prompt": "and {n}"}}
    server.behaviour = script(lambda prompt, ask: SAME if prompt.startswith("and") else other(prompt))
    notices: list[str] = []
    report = run(server, tmp_path / "r", spec_of(columns=columns), watch=Watch(on_notice=notices.append))
    assert ("done", 4, {}, 8) == (report.state, report.done, report.errors, len(server.asked))
    assert not any("near_copy" in line for line in lines_of(tmp_path / "r"))
