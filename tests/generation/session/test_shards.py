"""`--shard I/N`: a part of the rows as a run of its own, which resumes, reports and ends like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.journal import verify
from herogen_async.generation.run_folder import RunFolder, read_lock, read_manifest
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.session import Watch
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json, small_spec, write_spec

TEXTS = {"draft": {"prompt": "draft {age} {gender}"}, "final": {"prompt": "final of {draft}", "samples": 2}}


def of_columns(columns: dict[str, Any]) -> Spec:
    """10 rows."""
    data = small_spec(repeats=1).as_dict() | {"columns": columns, "endpoint": "chat"}
    return Spec(
        **{name: value for name, value in data.items() if name in ("name", "attributes", "columns", "endpoint")}
    )


def rows_of(run: Path) -> list[int]:
    return [row["index"] for row in herogen_async.rows(run)]


def test_each_row_is_asked_by_one_shard(tmp_path: Path) -> None:
    """Three runs ask for all rows once; each is done, and says which part it is."""
    found = []
    with FakeServer() as server:
        for number in (1, 2, 3):
            run = tmp_path / str(number)
            report = herogen_async.run(small_spec(), run=run, base_url=server.url, shard=f"{number}/3")
            assert ("done", f"{number}/3", 20) == (report.state, report.shard, report.grid)
            assert report.done == report.total == len(rows_of(run))
            state = herogen_async.status(run)
            assert ("done", report.total, f"{number}/3") == (state.state, state.total, state.as_dict()["shard"])
            found.append(rows_of(run))
        assert 20 == len(server.asked)
    assert [list(range(6)), list(range(6, 13)), list(range(13, 20))] == found


def test_a_row_is_never_split(tmp_path: Path) -> None:
    """All calls of a row are one shard's, however few rows it has."""
    with FakeServer() as server:
        report = herogen_async.run(of_columns(TEXTS), run=tmp_path / "r", base_url=server.url, shard="2/3")
        assert ("done", 3, 9) == (report.state, report.total, len(server.asked))
        assert {"draft": 3, "final": 6} == {name: each["done"] for name, each in report.columns.items()}
    assert {"draft": 3, "final": 6} == {
        name: each["total"] for name, each in herogen_async.status(tmp_path / "r").columns.items()
    }
    assert [3, 4, 5] == rows_of(tmp_path / "r")


def test_a_resume_goes_on_with_the_shard_that_the_folder_has(tmp_path: Path) -> None:
    """Nobody has to say it again, neither `resume` nor `run`; and nothing else is asked."""
    spec, run = small_spec(), tmp_path / "r"
    with FakeServer() as server:
        first = herogen_async.run(spec, run=run, base_url=server.url, shard="2/4", preview=2)
        assert (2, 2) == (first.done, first.total)
        assert [5, 9] == rows_of(run)
        assert 6 == read_lock(RunFolder(run)).frontier, "of scattered rows only the first is known to have been sent"
        assert ("done", 5) == ((second := herogen_async.resume(run)).state, second.total)
        third = herogen_async.run(spec, run=run, base_url=server.url)
        assert ("2/4", 5) == (third.shard, third.total)
        assert 5 == len(server.asked)
        whole = herogen_async.run(spec, run=run, base_url=server.url, shard="1/1")
        assert ("done", 20, 20) == (whole.state, whole.done, len(server.asked))


def test_the_shard_is_of_the_rows_within_the_limit(tmp_path: Path) -> None:
    """A limit is the whole's, so shards of a trial are as even as those of the run."""
    with FakeServer() as server:
        for number, rows in ((1, [0, 1]), (2, [2, 3, 4])):
            run = tmp_path / str(number)
            herogen_async.run(small_spec(), run=run, base_url=server.url, shard=f"{number}/2", limit=5)
            assert rows == rows_of(run)


def test_another_shard_in_the_same_folder_adds_to_what_is_there(tmp_path: Path) -> None:
    """What is there stays and counts; what was sent of one shard says nothing about the other."""
    run, notices = tmp_path / "r", list[str]()
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=run, base_url=server.url, shard="3/4")
        assert 15 == read_lock(RunFolder(run)).frontier
        report = herogen_async.resume(run, shard="1/4", watch=Watch(on_notice=notices.append))
    assert ("done", 10, 10) == (report.state, report.done, report.total)
    assert [*range(5), *range(10, 15)] == rows_of(run)
    assert 5 == read_lock(RunFolder(run)).frontier
    assert not any("requesting" in line for line in notices)
    assert ("done", 10) == ((state := herogen_async.status(run)).state, state.total)


def test_a_shard_of_no_rows_is_done(tmp_path: Path) -> None:
    """A queue system may start more tasks than there are rows."""
    with FakeServer() as server:
        report = herogen_async.run(small_spec(), run=tmp_path / "r", base_url=server.url, shard="1/50")
        assert ("done", 0, 0, 0) == (report.state, report.total, report.exit_code, len(server.asked))
        assert "done" == herogen_async.status(tmp_path / "r").state


def test_a_failed_row_of_an_earlier_shard_is_retried_beside_the_one_of_now(tmp_path: Path) -> None:
    """It comes first, and the totals have it."""
    run = tmp_path / "r"
    with FakeServer(lambda asked: error(400) if "20-year-old man" in asked.prompt else answer(asked)) as server:
        herogen_async.run(small_spec(), run=run, base_url=server.url, shard="1/4")
    with FakeServer() as server:
        report = herogen_async.resume(run, base_url=server.url, shard="3/4", retry_failed=True, concurrency=1)
        asked = [each.prompt for each in server.asked]
    assert ("done", 10, 10) == (report.state, report.done, report.total)
    assert (7, ["Describe a 20-year-old man."] * 2) == (len(asked), asked[:2])


def test_failed_rows_are_retried_within_the_shard(tmp_path: Path) -> None:
    """`retry` knows the failures of its own folder."""
    run = tmp_path / "r"
    refuses = True

    def behaviour(asked: Asked) -> Reply:
        return error(400) if refuses and "22-year-old woman" in asked.prompt else answer(asked)

    with FakeServer(behaviour) as server:
        report = herogen_async.run(small_spec(), run=run, base_url=server.url, shard="3/4")
        assert ("failed_rows", 2, 5) == (report.state, report.failed, report.total)
        refuses = False
        again = herogen_async.resume(run, retry_failed=True)
    assert ("done", 5, 0) == (again.state, again.total, again.failed)


@pytest.mark.parametrize("shard", ["0/4", "5/4", "4", "1/0", "-1/4", "a/b", "1/2/3", "1/1000001", 2, (1, 4)])
def test_what_is_no_shard_is_refused(shard: Any) -> None:
    """With the form that it has."""
    with pytest.raises(InputError, match="shard can't be") as refused:
        herogen_async.plan(small_spec(), shard=shard)
    assert "from 1/N to N/N" in str(refused.value.fix)


def test_a_spec_that_wants_accepted_rows_has_no_shards(tmp_path: Path) -> None:
    """By nobody: which rows are enough is known only where all of them are."""
    spec = small_spec(want=3)
    with FakeServer() as server:
        with pytest.raises(InputError, match="can't be split into shards"):
            herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, shard="1/2")
        with pytest.raises(InputError, match="can't be split into shards"):
            herogen_async.plan(spec, base_url=server.url, shard="1/2")
        assert [] == server.asked
        herogen_async.run(spec, run=tmp_path / "r", base_url=server.url)
        with pytest.raises(InputError, match="can't be split into shards"):
            herogen_async.resume(tmp_path / "r", shard="1/2")
    assert read_manifest(RunFolder(tmp_path / "r")).settings.shard is None


def test_a_shard_says_that_it_compares_its_own_answers_alone(tmp_path: Path) -> None:
    """Near copies between shards are not seen."""
    notices: list[str] = []
    spec = of_columns({"draft": {"prompt": "draft {age} {gender}", "unlike": 0.9}})
    with FakeServer() as server:
        herogen_async.run(
            spec, run=tmp_path / "r", base_url=server.url, shard="1/2", watch=Watch(on_notice=notices.append)
        )
    assert 1 == sum("compared with others of this shard" in line for line in notices)


def test_plan_tells_what_the_shard_asks(tmp_path: Path) -> None:
    """Its rows and its cost, of a spec and of a run; prompts are shown of its own rows."""
    spec = write_spec(tmp_path, small_spec())
    told = herogen("plan", spec, "--shard", "2/4", "--show", "1", "--base-url", "http://127.0.0.1:1/v1", cwd=tmp_path)
    assert "Shard 2/4: rows 5 to 9 of 20:" in told.stdout
    assert "New: 5 requests" in told.stdout
    assert "21-year-old man" in told.stdout
    assert "--shard 2/4" in told.stderr
    as_json = last_json(
        herogen("plan", spec, "--shard", "2/4", "--json", "--base-url", "http://127.0.0.1:1/v1", cwd=tmp_path).stdout
    )
    assert ("2/4", 5, 20) == (as_json["shard"], as_json["new"]["requests"], as_json["tasks"])
    with FakeServer() as server:
        herogen(
            "run", spec, "--shard", "2/4", "--run", "part", "--base-url", server.url, "--preview", "2", cwd=tmp_path
        )
    left = last_json(herogen("plan", "part", "--json", cwd=tmp_path).stdout)
    assert ("2/4", 3) == (left["shard"], left["new"]["requests"])
    again = last_json(herogen("plan", spec, "part", "--json", cwd=tmp_path).stdout)
    assert ("2/4", 3) == (again["shard"], again["new"]["requests"])


def test_what_a_changed_spec_asks_is_told_of_the_shard_alone(tmp_path: Path) -> None:
    """The rows of other shards are other runs' money."""
    run = tmp_path / "r"
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=run, base_url=server.url, shard="2/4")
        with pytest.raises(RunFolderError, match=r"0 answers would be kept, 6 tasks are new, 2 answers are stale"):
            herogen_async.run(
                small_spec(values=8, prompt="Praise a {age}-year-old {gender}."), run=run, base_url=server.url
            )


def test_a_shard_whose_borders_move_says_so(tmp_path: Path) -> None:
    """By another limit, or more cells: what lies outside of it now is another shard's, which will pay for it again."""
    run, notices = tmp_path / "r", list[str]()
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=run, base_url=server.url, shard="2/2", limit=8)
        herogen_async.resume(run, limit=20, watch=Watch(on_notice=notices.append))
        herogen_async.resume(run, watch=Watch(on_notice=notices.append))
    moved = (
        "Shard 2/2 is rows 10 to 19 now; it was rows 4 to 7. Another shard may request what lies outside of it again"
    )
    assert [f"{moved}: merge shards before you change the limit or the spec."] == [
        line for line in notices if line.startswith("Shard")
    ]


def test_the_command_says_which_shard_is_done_and_what_comes_next(tmp_path: Path) -> None:
    """One that is done wants to be merged; one that isn't, to be resumed."""
    spec = write_spec(tmp_path, small_spec())
    with FakeServer() as server:
        shown = herogen(
            *("run", spec, "--shard", "1/4", "--run", "part", "--base-url", server.url), "--preview", "1", cwd=tmp_path
        )
        assert "Next: herogen-async resume part\n" in shown.stderr
        ended = herogen("resume", "part", cwd=tmp_path)
    assert (0, True) == (ended.returncode, "Done: 5 of 5 rows (shard 1/4 of 20)" in ended.stdout)
    assert "Next: herogen-async merge part OTHER_SHARDS --run NAME\n" in ended.stderr
    assert "Done: 5 of 5 rows (shard 1/4 of 20)" in herogen("status", "part", cwd=tmp_path).stdout
    assert "--limit" not in herogen("assemble", "part", cwd=tmp_path).stderr


def test_p10_after_a_kill_a_shard_counts_what_it_has_sent_itself(tmp_path: Path) -> None:
    """The rows before it are nobody's loss, to `resume` as to `recover`."""
    run, notices = tmp_path / "r", list[str]()
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=run, base_url=server.url, shard="2/4", preview=1)
        lock = RunLock.acquire(RunFolder(run), "now")
        lock.sent(7)  # rows 5, 6 and 7 were sent, and row 5 has an answer
        lock.release()
        copied = verify.recover(run, tmp_path / "copy")
        assert (2, "6-7") == (copied.missing, copied.missing_tasks)
        herogen_async.resume(run, watch=Watch(on_notice=notices.append))
    assert [f"{run}: 1 of 5 are done; requesting 2 again that have no answer."] == [
        line for line in notices if "are done" in line
    ]
