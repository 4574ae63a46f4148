"""`merge`: shards become one run, whatever order they are given in; nothing paid is lost, and nothing is half there."""

from __future__ import annotations

import fcntl
import itertools
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import DamageError, DiskError, InputError, RunFolderError, RunInUse
from herogen_async.generation.journal import JournalPart, copy_parts, replay, verify
from herogen_async.generation.run_folder import RunFolder, read_lock, read_manifest, write_manifest
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.session.merge_runs import MergedRun
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.kept_runs import FOLDER
from support.runs import environment, herogen, last_json, small_spec, write_spec


def signed(name: str, asked: Asked) -> Reply:
    return answer(asked, f"{name}: {asked.prompt}")


def shards(folder: Path, *numbers: int, of: int = 3, spec: Spec | None = None, **options: Any) -> list[Path]:
    """Runs of 20 rows' shards, begun in this order, each with answers of its own."""
    runs = []
    for number in numbers:
        runs.append(folder / f"part-{number}")
        with FakeServer(partial(signed, str(number))) as server:
            herogen_async.run(
                spec or small_spec(), run=runs[-1], base_url=server.url, model="m", shard=f"{number}/{of}", **options
            )
    return runs


def merged(target: Path, *runs: Path) -> MergedRun:
    return herogen_async.merge(runs, run=target)


def texts(run: Path) -> dict[int, str]:
    return {row["index"]: row["response_txt"] for row in herogen_async.rows(run)}


def written(run: Path) -> dict[str, bytes]:
    """All that the run holds, but for the moment at which it was made."""
    *events, last = (run / "events.jsonl").read_bytes().splitlines()
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != "lock"}
    return {**files, "events.jsonl": b"\n".join([*events, codec.dumps({**codec.loads(last), "at": None})])}


def lines_of(made: MergedRun) -> str:
    return "\n".join(made.lines())


# -- one run ---------------------------------------------------------------------------------------------------------


def test_the_order_of_the_arguments_changes_nothing(tmp_path: Path) -> None:
    """Each byte of the run and of its exports is the same."""
    runs = shards(tmp_path, 2, 3, 1)
    found = []
    for number, order in enumerate(itertools.permutations(runs)):
        made = merged(tmp_path / str(number) / "all", *order)
        assert ("done", 20, 0, 0) == (made.report.state, made.report.done, made.missing, made.exit_code)
        table = herogen_async.export(made.run, format="csv", out=tmp_path / f"{number}.csv")
        told = [replace(part, run="") for part in made.parts]
        found.append((written(Path(made.run)), (tmp_path / f"{number}.csv").read_bytes(), told))
        assert 20 == table.rows
    assert all(each == found[0] for each in found)
    begun = [read_manifest(RunFolder(run)).created_at for run in runs]
    assert begun[0] == min(begun) == read_manifest(RunFolder(Path(made.run))).created_at


def test_a_merged_run_is_sound_and_asks_nothing_again(tmp_path: Path) -> None:
    """It verifies, its rows are those of the shards, and neither `resume` nor `run` sends anything."""
    runs = shards(tmp_path, 1, 2, 3)
    made = merged(tmp_path / "all", *runs)
    assert texts(tmp_path / "all") == {index: text for run in runs for index, text in texts(run).items()}
    verified = verify.verify(tmp_path / "all")
    assert (0, 20, []) == (verified.exit_code, verified.rows, list(verified.findings))
    assert read_manifest(RunFolder(tmp_path / "all")).settings.shard is None
    with FakeServer() as server:
        assert "done" == herogen_async.resume(made.run, base_url=server.url).state
        assert "done" == herogen_async.run(small_spec(), run=tmp_path / "all", base_url=server.url, model="m").state
        assert [] == server.asked


def test_a_missing_shard_is_named_and_resume_asks_its_rows_alone(tmp_path: Path) -> None:
    """The run is made all the same: it is an ordinary one that isn't finished."""
    made = merged(tmp_path / "all", *shards(tmp_path, 1, 3, 4, of=5))
    assert (("2/5", "5/5"), 8, 3) == (made.missing_shards, made.missing, made.exit_code)
    assert "Missing: shards 2/5 and 5/5.\n12 of 20 rows" in lines_of(made)
    with FakeServer() as server:
        report = herogen_async.resume(made.run, base_url=server.url)
        assert ("done", 20, 8) == (report.state, report.done, len(server.asked))


def test_rows_that_a_shard_has_not_asked_yet_are_counted(tmp_path: Path) -> None:
    """By the shard that they are of."""
    (whole,) = shards(tmp_path, 1, of=2)
    (begun,) = shards(tmp_path, 2, of=2, preview=4)
    made = merged(tmp_path / "all", whole, begun)
    assert [(10, 0), (4, 6)] == [(part.done, part.missing) for part in made.parts]
    assert f"{begun} (shard 2/2): 4 of 10 rows, 6 missing.\n14 of 20 rows" in lines_of(made)


def test_a_merged_run_can_be_merged_again(tmp_path: Path) -> None:
    """One shard after the other, as they come; and what it has already costs nothing twice."""
    one, two, three = shards(tmp_path, 1, 2, 3)
    first = merged(tmp_path / "first", one, three)
    second = merged(tmp_path / "second", Path(first.run), two, three)
    assert ("done", 20, 7) == (second.report.state, second.report.done, second.shared)
    assert 20 * 10 == second.report.usage["prompt_tokens"]
    assert 20 == verify.verify(second.run).rows


def test_the_limit_of_the_shards_is_that_of_the_run(tmp_path: Path) -> None:
    """Rows behind it are not missing."""
    made = merged(tmp_path / "all", *shards(tmp_path, 1, 2, of=2, limit=8))
    assert ("done", 8, 8) == (made.report.state, made.report.done, made.report.total)


def test_shards_without_rows_are_not_missing(tmp_path: Path) -> None:
    """Of more shards than rows."""
    made = merged(tmp_path / "all", *shards(tmp_path, 2, 4, of=4, limit=2))
    assert ((), 0, 2) == (made.missing_shards, made.missing, made.report.total)


# -- rows that several have ------------------------------------------------------------------------------------------


def test_of_two_answers_the_one_of_the_run_begun_first_counts(tmp_path: Path) -> None:
    """In either order; both were paid for, and `status` counts them."""
    (older,), (newer,) = shards(tmp_path, 2, of=2), shards(tmp_path, 1, of=1)
    for number, order in enumerate(((older, newer), (newer, older))):
        made = merged(tmp_path / str(number), *order)
        assert (10, 20) == (made.shared, made.report.done)
        assert ["1"] * 10 + ["2"] * 10 == [text[0] for text in texts(Path(made.run)).values()]
        assert 30 * 10 == made.report.usage["prompt_tokens"]
        assert "10 rows are in several of these runs" in lines_of(made)


def test_a_row_that_failed_in_one_run_and_is_done_in_another_is_done(tmp_path: Path) -> None:
    """Whichever was begun first."""
    for name, first in (("older", True), ("newer", False)):
        folder = tmp_path / name
        with FakeServer(lambda asked: error(400)) as broken, FakeServer() as server:
            urls = [("failed", broken.url), ("done", server.url)]
            for run, url in urls if first else urls[::-1]:
                herogen_async.run(small_spec(), run=folder / run, base_url=url, model="m", shard="1/4", concurrency=1)
        made = merged(folder / "all", folder / "failed", folder / "done")
        assert (5, 0) == (made.report.done, made.report.failed)


COLUMNS = {"draft": {"prompt": "draft {age}"}, "final": {"prompt": "final of <{draft}>"}}


def of_columns() -> Spec:
    return Spec(name="columns", attributes={"age": ["1", "2", "3"]}, columns=COLUMNS, endpoint="chat")


def test_a_row_of_columns_is_taken_whole(tmp_path: Path) -> None:
    """From the first run that has all of it: of the other one nothing is asked again, and nothing is mixed."""

    def refusing(asked: Asked) -> Reply:
        return error(400) if asked.prompt.startswith("final") and "older" in asked.prompt else answer(asked, "older")

    with FakeServer(refusing) as server, FakeServer(lambda asked: answer(asked, f"newer {asked.number}")) as other:
        herogen_async.run(of_columns(), run=tmp_path / "older", base_url=server.url, model="m")
        herogen_async.run(of_columns(), run=tmp_path / "newer", base_url=other.url, model="m", limit=2)
        made = merged(tmp_path / "all", tmp_path / "newer", tmp_path / "older")
        assert (2, 1, 3) == (made.report.done, made.report.failed, made.shared + 1)
        for row in herogen_async.rows(made.run):
            assert "newer" in row["columns"]["draft"]["response_txt"]
            assert f"final of <{row['columns']['draft']['response_txt']}>" == row["columns"]["final"]["prompt"]
        asked = len(server.asked), len(other.asked)
        assert 2 == herogen_async.resume(made.run, base_url=other.url).done
        assert asked == (len(server.asked), len(other.asked))
    assert 0 == verify.verify(made.run).exit_code


@pytest.mark.parametrize("seed", range(12))
def test_whatever_runs_overlap_in_a_row_counts_as_the_oldest_has_it_that_has_all_of_it(
    tmp_path: Path, seed: int
) -> None:
    """Random shards, previews, limits and failures of rows of columns: nothing done is lost, nothing is mixed, all that
    was paid is counted, and the order of the arguments changes no byte.
    """
    chance = random.Random(seed)
    spec = Spec(
        name="columns", attributes={"age": [str(number) for number in range(12)]}, columns=COLUMNS, endpoint="chat"
    )
    runs, done = [], list[dict[int, str]]()
    for number in range(chance.randint(2, 4)):
        refused = {str(age) for age in range(12) if chance.random() < 0.2}
        kind = chance.choice(["draft", "final"])

        def behaviour(asked: Asked, number: int = number, refused: set[str] = refused, kind: str = kind) -> Reply:
            age = asked.prompt.rstrip(">").rsplit(" ", 1)[1]
            refuses = age in refused and asked.prompt.startswith(kind)
            return error(400) if refuses else answer(asked, f"{number} {asked.number} {age}")

        parts = chance.randint(1, 3)
        with FakeServer(behaviour) as server:
            herogen_async.run(
                *(spec,),
                run=tmp_path / f"run-{number}",
                base_url=server.url,
                model="m",
                shard=f"{chance.randint(1, parts)}/{parts}",
                preview=chance.choice([None, 2, 3]),
                limit=chance.choice([None, None, 7]),
            )
        runs.append(tmp_path / f"run-{number}")
        rows = herogen_async.rows(runs[-1])
        done.append({row["index"]: row["columns"]["final"]["response_txt"] for row in rows})
    wanted: dict[int, str] = {}
    for each in done:
        wanted = each | wanted
    found = []
    for name in ("one", "two"):
        made = merged(tmp_path / name / "all", *chance.sample(runs, len(runs)))
        found.append(written(Path(made.run)))
        rows = herogen_async.rows(made.run)
        assert wanted == {row["index"]: row["columns"]["final"]["response_txt"] for row in rows}
        for row in rows:
            assert f"final of <{row['columns']['draft']['response_txt']}>" == row["columns"]["final"]["prompt"]
        paid = [herogen_async.status(run).usage.get("prompt_tokens", 0) for run in runs]
        assert sum(paid) == made.report.usage.get("prompt_tokens", 0)
        assert 0 == verify.verify(made.run).exit_code
    assert found[0] == found[1]


# -- what is torn, damaged or running --------------------------------------------------------------------------------


def test_p3_a_torn_end_is_left_out_and_told(tmp_path: Path) -> None:
    """Its row is missing; sound rows behind the tear were paid for, and are there."""
    one, two, three = shards(tmp_path, 1, 2, 3)
    file = two / "rows-00000.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lock = RunLock.acquire(RunFolder(two), "now")
    assert lock.mark is not None
    lock.vouch(lock.mark._replace(rows=len(b"".join(lines[:3]))))
    lock.release()
    file.write_bytes(b"".join([*lines[:3], bytes(50), b"\n", *lines[4:-1], lines[-1][:40]]))
    before = file.read_bytes()
    made = merged(tmp_path / "all", one, two, three)
    assert f"{two} ended in a torn line: 90 bytes were left out" in lines_of(made)
    assert (18, 2) == (made.report.done, made.missing)
    assert before == file.read_bytes()
    assert 0 == verify.verify(made.run).exit_code
    assert "torn" not in str(verify.verify(made.run).findings)


def test_rows_that_a_killed_repair_holds_are_copied(tmp_path: Path) -> None:
    """Whether it had cut them off their file yet or not; failures, too."""
    one, two, three = shards(tmp_path, 1, 2, 3)
    file = two / "rows-00000.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    good = len(b"".join(lines[:4]))
    (two / f"rows-00000.saving-{good}").write_bytes(b"".join(lines[4:]))
    for is_cut in (False, True):
        if is_cut:
            file.write_bytes(b"".join(lines[:4]))
            (two / "lock").unlink()
        made = merged(tmp_path / f"all-{is_cut}", one, two, three)
        assert (20, 20) == (made.report.done, verify.verify(made.run).rows)


def test_damage_is_an_error_and_leaves_no_run(tmp_path: Path) -> None:
    """It names the place and the way out."""
    one, two = shards(tmp_path, 1, 2, of=2)
    file = two / "rows-00000.jsonl"
    file.write_bytes(file.read_bytes().replace(b"2: Describe", b"2: Prescribe", 1))
    with pytest.raises(DamageError, match=r"part-2/rows-00000.jsonl: line 1 .* is damaged") as refused:
        merged(tmp_path / "all", one, two)
    assert "herogen-async recover" in str(refused.value.fix)
    assert {"part-1", "part-2"} == {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="already exists"):  # told before anything is read
        merged(one, one, two)


def test_accepted_damage_is_passed_over(tmp_path: Path) -> None:
    """A person has agreed to lose it, and it was asked again."""
    one, two = shards(tmp_path, 1, 2, of=2)
    file = two / "rows-00000.jsonl"
    file.write_bytes(file.read_bytes().replace(b"2: Describe", b"2: Prescribe", 1))
    with FakeServer() as server:
        herogen_async.resume(two, base_url=server.url, requeue_damaged=True)
        assert 1 == len(server.asked)
    made = merged(tmp_path / "all", one, two)
    assert ("done", 20, 0) == (made.report.state, made.report.done, verify.verify(made.run).damage)
    assert [0, 0] == [part.torn for part in made.parts]


def test_p8_a_running_run_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    one, two = shards(tmp_path, 1, 2, of=2)
    lock = RunLock.acquire(RunFolder(two), "now")
    with pytest.raises(RunInUse, match=r"part-2' is running") as refused:
        merged(tmp_path / "all", one, two)
    assert "drain" in str(refused.value.fix)
    lock.release()
    assert 20 == merged(tmp_path / "all", one, two).report.done


KILLED = """
import os, signal, sys
from herogen_async.generation.session import merge_runs

merge_runs.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
merge_runs.merge(sys.argv[2:], run=sys.argv[1])
"""


def test_a_killed_merge_is_no_run_and_the_same_command_begins_again(tmp_path: Path) -> None:
    """Nothing of the first try is left; the shards are as they were."""
    runs = shards(tmp_path, 1, 2, of=2)
    before = [written(run) for run in runs]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "all"), *map(str, runs)], check=False, env=environment()
    )
    assert -signal.SIGKILL == killed.returncode
    assert not (tmp_path / "all").exists()
    assert (tmp_path / ".all.unfinished" / "rows-00000.jsonl").stat().st_size
    assert 20 == merged(tmp_path / "all", *runs).report.done
    assert {"all", "part-1", "part-2"} == {path.name for path in tmp_path.iterdir()}
    assert before == [written(run) for run in runs]


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(tmp_path: Path, monkeypatch: Any) -> None:
    """With how much it takes; and no run is left."""
    runs = shards(tmp_path, 1, 2, of=2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(DiskError, match=r"the merged run takes 1 MB, and 0 MB are free"):
        merged(tmp_path / "all", *runs)
    assert {"part-1", "part-2"} == {path.name for path in tmp_path.iterdir()}


def test_of_a_folder_of_0_1_0_and_of_its_later_sessions_all_is_there(tmp_path: Path) -> None:
    """A run that an earlier release began and extended is merged with what was asked of it since."""
    shutil.copytree(FOLDER / "extended" / "run", tmp_path / "old")
    old = herogen_async.status(tmp_path / "old")
    made = merged(tmp_path / "all", tmp_path / "old")
    assert (old.done, old.failed, old.total, dict(old.usage)) == (
        *(made.report.done, made.report.failed, made.report.total),
        dict(made.report.usage),
    )
    before, after = verify.verify(tmp_path / "old"), verify.verify(made.run)
    assert (before.exit_code, before.rows, before.answered) == (after.exit_code, after.rows, after.answered)
    assert texts(tmp_path / "old") == texts(Path(made.run))


def test_a_journal_of_many_segments_is_copied_line_by_line(tmp_path: Path) -> None:
    """Whatever the size at which a new one begins: the same lines, in the same order, and each segment ends in one."""
    runs = [RunFolder(run) for run in shards(tmp_path, 1, 2, of=2)]
    parts = []
    for run in runs:
        lineage = read_manifest(run).lineage()
        parts.append(JournalPart(run, lineage, (0,), replay(run, lineage)))
    target = RunFolder(tmp_path / "all")
    target.create()
    copied = copy_parts(parts, target, eras=1, segment_bytes=1)
    assert ([0], 2) == (copied.first_segments, len(target.segments()))
    assert b"".join(run.segment(0).read_bytes() for run in runs) == b"".join(
        path.read_bytes() for path in target.segments()
    )
    assert (1, target.segment(1).stat().st_size) == (copied.mark.segment, copied.mark.rows)


# -- runs that don't belong together ---------------------------------------------------------------------------------


def test_p7_a_run_of_another_generation_is_refused_and_named(tmp_path: Path) -> None:
    """The odd one, in whatever order they are given, with what differs."""
    runs = shards(tmp_path, 1, 3)
    runs += shards(tmp_path, 2, spec=small_spec(prompt="Praise a {age}-year-old {gender}."))
    for order in itertools.permutations(runs):
        with pytest.raises(RunFolderError, match=r"part-2 has answers to different requests than \S*part-1: .*prompt"):
            merged(tmp_path / "all", *order)
    assert not (tmp_path / "all").exists()


def test_a_run_with_another_grid_or_model_is_refused(tmp_path: Path) -> None:
    """Its rows are other rows."""
    (one,) = shards(tmp_path, 1)
    (two,) = shards(tmp_path, 2, spec=small_spec(values=6))
    with pytest.raises(RunFolderError, match="the attributes"):
        merged(tmp_path / "all", one, two)
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=tmp_path / "other", base_url=server.url, model="n", shard="2/3")
    with pytest.raises(RunFolderError, match="the model"):
        merged(tmp_path / "all", one, tmp_path / "other")


def test_a_run_of_other_weights_is_refused(tmp_path: Path) -> None:
    """A key doesn't say which weights answered."""
    one, two = shards(tmp_path, 1, 2, of=2)
    for run, sha256 in ((one, "a"), (two, "b")):
        manifest = read_manifest(RunFolder(run))
        write_manifest(RunFolder(run), replace(manifest, base_url=None, weights={"file": "x.gguf", "sha256": sha256}))
    with pytest.raises(RunFolderError, match="the weights differ"):
        merged(tmp_path / "all", one, two)


def test_what_is_not_requested_must_agree_too(tmp_path: Path) -> None:
    """Else nobody knew which of the two holds. `run` brings a run up to date, and asks nothing."""
    (one,) = shards(tmp_path, 1, of=2)
    (two,) = shards(tmp_path, 2, of=2, spec=small_spec(sub_prompt="{age}"))
    with pytest.raises(RunFolderError, match=r"part-2 has a different spec from \S*part-1: `sub_prompt` changed"):
        merged(tmp_path / "all", one, two)
    with FakeServer() as server:
        herogen_async.run(small_spec(), run=two, base_url=server.url, model="m")
        assert [] == server.asked
    assert 20 == merged(tmp_path / "all", one, two).report.done


def test_what_can_t_be_merged_is_told(tmp_path: Path) -> None:
    """No run there, one twice, none at all, a place that is taken."""
    (one,) = shards(tmp_path, 1)
    with pytest.raises(RunFolderError, match=r"no run in .*part-9"):
        merged(tmp_path / "all", one, tmp_path / "part-9")
    with pytest.raises(InputError, match="part-1' is given twice"):
        merged(tmp_path / "all", one, tmp_path / ".." / tmp_path.name / "part-1")
    with pytest.raises(InputError, match="no runs to merge"):
        herogen_async.merge([], run=tmp_path / "all")
    with pytest.raises(InputError, match="no runs to merge"):
        herogen_async.merge(str(one), run=tmp_path / "all")
    with pytest.raises(InputError, match="already exists") as refused:
        merged(one, one)
    assert "--run" in str(refused.value.fix)


# -- runs whose spec was changed -------------------------------------------------------------------------------------


def extended(run: Path, values: int, **options: Any) -> None:
    with FakeServer() as server:
        herogen_async.run(small_spec(values=values), run=run, base_url=server.url, model="m", extend=True, **options)


def test_shards_that_were_extended_are_merged_with_those_begun_later(tmp_path: Path) -> None:
    """The answers of the first spec count in both, and each is read under the plan that it was written for."""
    old, new = shards(tmp_path, 1, 2, of=2), tmp_path / "part-3"
    for run in old:
        extended(run, 7)
    with FakeServer() as server:
        herogen_async.run(small_spec(values=7), run=new, base_url=server.url, model="m", limit=3)
    reports = []
    for number, order in enumerate(itertools.permutations([*old, new])):
        made = merged(tmp_path / f"all-{number}", *order)
        assert ("done", 28) == (made.report.state, made.report.done)
        assert (0, 0) == ((verified := verify.verify(made.run)).exit_code, verified.damage)
        assert not any("another plan" in str(each) for each in verified.findings)
        reports.append(written(Path(made.run)))
    assert all(each == reports[0] for each in reports)
    eras = read_manifest(RunFolder(tmp_path / "all-0"))
    assert (1, 0, 1) == (len(eras.earlier), eras.earlier[0].first_segment, eras.first_segment)


def test_a_plan_under_which_nothing_was_written_is_forgotten_and_the_last_one_begins_anew(tmp_path: Path) -> None:
    """What `resume` writes is read under the plan of today."""
    (one,) = shards(tmp_path, 1, of=1)
    with FakeServer() as server:
        herogen_async.run(small_spec(values=6), run=one, base_url=server.url, model="m", extend=True, limit=1)
        made = merged(tmp_path / "all", one)
        manifest = read_manifest(RunFolder(tmp_path / "all"))
        assert (1, [0, 1]) == (
            manifest.first_segment,
            [n for n in (0, 1) if RunFolder(tmp_path / "all").segment(n).exists()],
        )
        report = herogen_async.resume(made.run, base_url=server.url, limit=24)
    assert ("done", 24, 0) == (report.state, report.done, verify.verify(made.run).damage)


def test_specs_that_were_changed_in_other_steps_are_refused(tmp_path: Path) -> None:
    """Their lines can't stand in one order."""
    one, two = tmp_path / "one", tmp_path / "two"
    for run, steps in ((one, (5, 6, 7)), (two, (6, 5, 7))):
        for values in steps:
            extended(run, values)
    with pytest.raises(RunFolderError, match="was changed in different steps from"):
        merged(tmp_path / "all", one, two)


def test_runs_that_keep_other_stale_answers_are_refused(tmp_path: Path) -> None:
    """Whether an answer of an earlier prompt counts must be one answer."""
    runs = shards(tmp_path, 1, 2, of=2)
    spec = small_spec(prompt="Praise a {age}-year-old {gender}.")
    with FakeServer() as server:
        herogen_async.run(spec, run=runs[0], base_url=server.url, model="m", extend=True)
        herogen_async.run(spec, run=runs[1], base_url=server.url, model="m", regenerate_stale=True)
    with pytest.raises(RunFolderError, match="keep different stale answers"):
        merged(tmp_path / "all", *runs)


# -- what else a run is ----------------------------------------------------------------------------------------------


def test_money_and_time_are_those_of_all(tmp_path: Path) -> None:
    """Budgets are added, and what calls without an answer may have cost; sessions took so long together."""
    runs = shards(tmp_path, 1, 2, of=2, price="1,1", budget_usd=0.5)
    for run, charged in zip(runs, (7, 9), strict=True):
        lock = RunLock.acquire(RunFolder(run), "now")
        lock.charge(charged)
        lock.release()
    each = [herogen_async.status(run) for run in runs]
    made = merged(tmp_path / "all", *runs)
    assert 1.0 == made.report.budget
    assert sum(report.cost or 0 for report in each) == pytest.approx(made.report.cost)
    assert sum(read_lock(RunFolder(run)).charged for run in runs) == read_lock(RunFolder(tmp_path / "all")).charged
    assert sum(report.elapsed_s for report in each) == pytest.approx(made.report.elapsed_s)


def test_a_shard_that_was_killed_counts_with_its_last_figures(tmp_path: Path) -> None:
    """They stand in its lock's page until its next start."""
    one, two = shards(tmp_path, 1, 2, of=2)
    lock = RunLock.acquire(RunFolder(two), "now")
    lock.publish({"session_s": 50.0})
    fcntl.flock(lock._descriptor, fcntl.LOCK_UN)  # as a kill leaves it
    made = merged(tmp_path / "all", one, two)
    assert 50 < made.report.elapsed_s < 60


def test_how_a_part_ended_is_not_how_the_whole_did(tmp_path: Path) -> None:
    """A shard that parked leaves a merged run that is merely not finished."""
    (one,) = shards(tmp_path, 1, of=2)
    with FakeServer(lambda asked: error(401)) as server:
        parked = herogen_async.run(small_spec(), run=tmp_path / "two", base_url=server.url, model="m", shard="2/2")
    assert "parked" == parked.state
    made = merged(tmp_path / "all", one, tmp_path / "two")
    assert ("stopped", None, 10) == (made.report.state, made.report.reason, made.missing)


def test_shards_of_a_source_need_its_file_no_more_than_a_run_does(tmp_path: Path) -> None:
    """Each machine may have it elsewhere; the merged run has the index that the shards have kept."""
    runs = []
    for number in (1, 2):
        file = tmp_path / f"machine-{number}" / "seeds.jsonl"
        file.parent.mkdir()
        file.write_bytes(b"".join(codec.dumps({"word": f"w{record}"}) + b"\n" for record in range(6)))
        spec = Spec(name="of", source=str(file), prompt="Say {word}.", sampling={"max_tokens": 5})
        runs += [tmp_path / f"part-{number}"]
        with FakeServer() as server:
            herogen_async.run(spec, run=runs[-1], base_url=server.url, model="m", shard=f"{number}/2")
        shutil.rmtree(file.parent)
    made = merged(tmp_path / "all", *runs)
    assert (6, 0) == (made.report.done, verify.verify(made.run).exit_code)
    assert list(RunFolder(tmp_path / "all").kept_sources())
    assert [f"w{record}" for record in range(6)] == [row["cell"]["word"] for row in herogen_async.rows(made.run)]


def test_the_command_prints_what_became_of_each_and_what_comes_next(tmp_path: Path) -> None:
    """Exit code 3 and `resume` where rows are missing, 0 and `assemble` where none are."""
    spec = write_spec(tmp_path, small_spec())
    with FakeServer() as server:
        for number in (1, 2):
            herogen(
                "run", spec, "--shard", f"{number}/2", "--run", f"p{number}", "--base-url", server.url, cwd=tmp_path
            )
    half = herogen("merge", "p2", "--run", "half", cwd=tmp_path)
    assert 3 == half.returncode
    assert (
        "runs/p2 (shard 2/2): 10 of 10 rows.\nMissing: shard 1/2.\n10 of 20 rows -> runs/half: 10 missing.\n"
        == half.stdout
    )
    assert "Next: herogen-async resume half\n" == half.stderr
    whole = herogen("merge", "runs/p2", "runs/p1", "--run", "all", "--json", cwd=tmp_path)
    told = last_json(whole.stdout)
    assert (0, 20, 0, [], "herogen-async assemble all") == (
        *(whole.returncode, told["done"], told["missing"], told["missing_shards"]),
        told["next"],
    )
    again = herogen("merge", "p1", "p2", "--run", "all", cwd=tmp_path)
    assert (2, True) == (again.returncode, "already exists" in again.stderr)
