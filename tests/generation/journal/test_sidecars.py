"""A run with sidecars comes to what its lines come to, whatever they say, and whatever became of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.core.errors import DamageError
from herogen_async.data import dataset
from herogen_async.generation.journal import (
    Damage,
    LinePlaces,
    Recovered,
    accept_damage,
    failure_line,
    own_process,
    read_rows,
    replay,
)
from herogen_async.generation.journal.read import replay as replaying
from herogen_async.generation.journal.sidecar import taking
from herogen_async.generation.journal.sidecar.build import sidecar_from_lines
from herogen_async.generation.journal.sidecar.sidecar import Sidecar, sidecar_at
from herogen_async.generation.journal.sidecar.worker import LikeItsLines, compare_sidecar, write_sidecar
from herogen_async.generation.journal.verify import compared_sidecars, recover, verify
from herogen_async.generation.run_folder import Mark, RunFolder, RunLock, existing_run, segment_number
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.specs.plan import Era, IndexSet, Lineage, Plan
from herogen_async.specs.spec import Spec
from support.column_histories import NUMBER, SHAPES, History, histories, made
from support.run_folders import AT, MODEL, WrittenRun
from support.runs import small_spec
from support.simulated_disk import Crash, SimulatedDisk

SPEC = small_spec(values=20, repeats=2)  # 80 tasks


def told(found: Recovered) -> dict[str, Any]:
    """All that it says, to be compared."""
    values = {each.name: getattr(found, each.name) for each in fields(found)}
    return {name: list(each) if isinstance(each, IndexSet) else each for name, each in values.items()}


def vouch(folder: RunFolder, segment: int) -> None:
    """As after a session in which that segment was written last."""
    lock = RunLock.acquire(folder, AT.isoformat())
    lock.vouch(Mark(segment, 0, 0))
    lock.release()


def with_sidecars(folder: RunFolder, lineage: Lineage, places: LinePlaces | None = None) -> Recovered:
    """The journal, read as that of a large run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taking, "SIDECARS_FROM", -1)
        return replay(folder, lineage, places)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The segments that sidecars stood in for."""
    numbers: list[int] = []
    original = taking.Sidecars.take

    def take(self: Any, fold: Any, reading: Any) -> bool:
        is_taken = original(self, fold, reading)
        numbers.extend([reading.segment] * is_taken)
        return is_taken

    monkeypatch.setattr(taking.Sidecars, "take", take)
    return numbers


def written(path: Path, *, segments: int = 3, lines: Callable[[list[bytes], int], None] | None = None) -> WrittenRun:
    """A run of which each task has an answer, a third of them in each segment; all but the last have a sidecar."""
    run = WrittenRun(path, SPEC)
    for segment in range(segments):
        answers = [run.answer(index, "a hero") for index in range(segment, 80, segments)]
        if lines is not None:
            lines(answers, segment)
        run.write(answers, segment)
    vouch(run.folder, segments - 1)
    for segment in range(segments - 1):
        assert write_sidecar(run.folder.segment(segment), run.plan)
    return run


def change(run: WrittenRun, segment: int, **said: Any) -> Sidecar:
    """A sidecar that fits its segment and says something else."""
    path = run.folder.segment(segment)
    sidecar = sidecar_at(path, run.plan)
    assert sidecar is not None
    changed = replace(sidecar, **said)
    sidecar_of(path).write_bytes(changed.in_bytes())
    return changed


def without(run: WrittenRun, index: int, segment: int = 0) -> None:
    """Its sidecar does not say that this call was answered: so where it counts, it is missing."""
    sidecar = sidecar_at(run.folder.segment(segment), run.plan)
    assert sidecar is not None
    calls = IndexSet.union(sidecar.calls)
    calls.discard(index)
    change(run, segment, calls=calls)


# -- the same as without -------------------------------------------------------------------------------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=histories(), failures=st.lists(NUMBER, max_size=3), is_last_full=st.booleans())
def test_p6_any_history_comes_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, history: History, failures: list[int], is_last_full: bool
) -> None:
    """Columns, skips, edits, renamed and removed attributes, regenerated columns, doubles, lost lines, failures."""
    folder = RunFolder(tmp_path_factory.mktemp("r"))
    if not is_last_full:
        history.roll()
    _save(folder, history, failures)
    lineage = history.lineage()
    plain = told(replay(folder, lineage))
    assert plain == told(with_sidecars(folder, lineage))
    places, others = LinePlaces(), LinePlaces()
    assert told(replay(folder, lineage, places)) == told(with_sidecars(folder, lineage, others))
    assert list(places) == list(others)


def _save(folder: RunFolder, history: History, failures: list[int]) -> None:
    history.save(folder)
    attempt = {"kind": "server_error", "message": "no", "status": 500, "request_id": None}
    calls = [history.plan.call(number % history.plan.size) for number in failures]
    folder.failures.write_bytes(b"".join(failure_line(call, [attempt], at=AT) for call in calls))
    vouch(folder, history.segment)
    lineage = history.lineage()
    for path in folder.segments():
        write_sidecar(path, lineage.eras[lineage.era(segment_number(path))].plan)


def test_sidecars_of_rows_with_columns_are_taken(tmp_path: Path, taken: list[int]) -> None:
    """Where nobody asks where their lines are, as `status` and `plan` don't."""
    first = next(at for at, shape in enumerate(SHAPES) if any("when" in column for column in shape.values()))
    folder, history = RunFolder(tmp_path), made(first, [*[("row", number) for number in range(6)], ("roll", 0)], [])
    history.ask(20)
    _save(folder, history, [])
    found = with_sidecars(folder, history.lineage())
    assert [0] == taken
    assert told(found) == told(replay(folder, history.lineage()))
    assert len(found.skipped)
    assert found.column_usage


def test_an_answer_in_front_of_what_it_builds_on_is_read_for(tmp_path: Path, taken: list[int]) -> None:
    """It was made from another one, which is lost: the order of the lines tells, and indices have none."""
    folder, history = RunFolder(tmp_path), made(0, [("ask", 0), ("ask", 1), ("lose", 0), ("ask", 0), ("roll", 0)], [])
    history.ask(20)
    _save(folder, history, [])
    found = with_sidecars(folder, history.lineage())
    assert told(replay(folder, history.lineage())) == told(found)
    assert (1, []) == (found.outdated, taken)


ENDS: list[dict[str, Any]] = [
    {},
    {"finish_reason": None},
    {"finish_reason": "length", "usage": None},
    {"usage": {"prompt_tokens": 1, "odd": "text", "total_tokens": 0}},
    {"reasoning": "so", "extra": {"finish_reason": "no", "skipped": "1" * 32, "usage": {"total_tokens": 1}}},
]


def test_endings_and_usage_are_summed_as_lines_are(tmp_path: Path, taken: list[int]) -> None:
    """Every way in which an answer may end."""

    def ended_so(lines: list[bytes], segment: int) -> None:
        of = WrittenRun(tmp_path / "of", SPEC)
        for at in range(len(lines)):
            lines[at] = of.answer(at * 3 + segment, "a hero", **ENDS[(at + segment) % len(ENDS)])

    run = written(tmp_path / "r", lines=ended_so)
    assert told(replay(run.folder, Lineage(run.plan))) == told(with_sidecars(run.folder, Lineage(run.plan)))
    assert [0, 1] == taken


def plan_of(**changes: Any) -> Plan:
    return Plan(small_spec(**{"values": 20, "repeats": 2, **changes}), endpoint="completions", model=MODEL)


CHANGES = {
    "more values": plan_of(values=21),
    "fewer values": plan_of(values=10),
    "more repeats": plan_of(repeats=3),
    "an attribute is renamed": plan_of(
        attributes={"years": [str(20 + each) for each in range(20)], "gender": ["man", "woman"]},
        prompt="Describe a {years}-year-old {gender}.",
    ),
    "another prompt": plan_of(prompt="Who is {age} and {gender}?"),
}


@pytest.mark.parametrize("keeps_stale", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_spec_comes_to_the_same(tmp_path: Path, taken: list[int], change: str, keeps_stale: bool) -> None:
    """Sidecars are in the numbering of their plan; a later one moves them, or finds them stale."""
    run, plan = written(tmp_path / "r"), CHANGES[change]
    for index in range(0, 30, 3):  # of the first segment, where all is where it was
        run.write([run.answer(index, "new", plan=plan)], 3)
    vouch(run.folder, 3)
    write_sidecar(run.folder.segment(2), run.plan)
    lineage = Lineage(plan, [Era(run.plan)], first_segment=3, keeps_stale=keeps_stale)
    assert told(replay(run.folder, lineage)) == told(with_sidecars(run.folder, lineage))
    assert set(taken) <= {0, 1, 2}
    assert change != "another prompt" or [1, 2] == taken


def test_who_asks_for_places_gets_them(tmp_path: Path, taken: list[int]) -> None:
    """Sidecars have none: the lines are read."""
    run, places, others = written(tmp_path / "r"), LinePlaces(), LinePlaces()
    found = with_sidecars(run.folder, Lineage(run.plan), places)
    assert told(replay(run.folder, Lineage(run.plan), others)) == told(found)
    assert (80, []) == (len(places), taken)
    assert list(places) == list(others)


def test_a_form_that_came_later_is_read_for(tmp_path: Path, taken: list[int]) -> None:
    """Whether answers fit it, only they tell."""
    plans = [
        Plan(
            Spec(
                name="s", attributes={"a": [str(each) for each in range(9)]}, columns={"c": {"prompt": "{a}", **more}}
            ),
            endpoint="completions",
            model=MODEL,
        )
        for more in ({}, {"answer": {"one_of": ["yes", "no"]}})
    ]
    run = WrittenRun(tmp_path / "r", plans[0].spec)
    run.write(run.answer(index, "yes" if index % 2 else "well") for index in range(9))
    run.write([b""], 1)
    vouch(run.folder, 1)
    assert write_sidecar(run.folder.segment(0), plans[0])
    for plan, segments in ((plans[0], [0]), (plans[1], [])):
        lineage = Lineage(plan, [Era(plans[0])] * (plan is plans[1]), first_segment=int(plan is plans[1]))
        assert told(replay(run.folder, lineage)) == told(with_sidecars(run.folder, lineage))
        assert segments == taken
        taken.clear()


def test_two_answers_to_a_task_are_read(tmp_path: Path, taken: list[int]) -> None:
    """In two segments or in one: which of them counts, their lines say."""
    run = written(tmp_path / "r", segments=4, lines=lambda lines, n: lines.append(lines[0]) if n == 0 else None)
    run.write([run.answer(1, "again")], 2)
    assert write_sidecar(run.folder.segment(2), run.plan)
    found = with_sidecars(run.folder, Lineage(run.plan))
    assert told(replay(run.folder, Lineage(run.plan))) == told(found)
    assert 2 == found.duplicates
    assert [1] == taken


# -- when they are used --------------------------------------------------------------------------------------------


def test_a_small_run_is_read_line_by_line(tmp_path: Path) -> None:
    """Whatever its sidecars say: so a resume looks at every byte of it."""
    run = written(tmp_path / "r")
    without(run, 0)
    assert 79 == len(with_sidecars(run.folder, Lineage(run.plan)).done)
    assert 80 == len(replay(run.folder, Lineage(run.plan)).done)
    assert 4_000_000_000 == taking.SIDECARS_FROM


def test_the_size_of_the_sealed_segments_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one, which is read anyhow, does not count."""
    run = written(tmp_path / "r")
    without(run, 0)
    sealed = sum(run.folder.segment(number).stat().st_size for number in (0, 1))
    for size, done in ((sealed, 80), (sealed - 1, 79)):
        monkeypatch.setattr(taking, "SIDECARS_FROM", size)
        assert done == len(replay(run.folder, Lineage(run.plan)).done)


@pytest.mark.parametrize("marked", [None, 0, 1])
def test_only_a_segment_before_the_mark_is_believed(tmp_path: Path, marked: int | None) -> None:
    """A page of the lock that is older, or gone, vouches for less; the last segment is always read."""
    run = written(tmp_path / "r")
    without(run, 0)
    if marked is None:
        run.folder.lock.unlink()
    else:
        vouch(run.folder, marked)
    assert (79 if marked else 80) == len(with_sidecars(run.folder, Lineage(run.plan)).done)
    run.folder.segment(2).unlink()
    run.folder.segment(1).unlink()
    vouch(run.folder, 5)
    assert 27 == len(with_sidecars(run.folder, Lineage(run.plan)).done)


def damaged(path: Path) -> tuple[WrittenRun, int, Damage]:
    """A run of 800 rows, of which one, at that index, is damaged where no check of its sidecar looks."""
    run = WrittenRun(path, small_spec(values=200))
    run.write(run.answer(index, "a hero") for index in range(800))
    run.write([b""], 1)
    vouch(run.folder, 1)
    segment = run.folder.segment(0)
    assert write_sidecar(segment, run.plan)
    sidecar = sidecar_at(segment, run.plan)
    assert sidecar is not None
    lines = segment.read_bytes().splitlines(keepends=True)
    starts = [sum(map(len, lines[:at])) for at in range(800)]
    at = next(at for at in range(800) if starts[at] not in {each.offset for each in sidecar.seen})
    segment.write_bytes(b"".join([*lines[:at], lines[at].replace(b"hero", b"her0"), *lines[at + 1 :]]))
    return run, at, Damage(segment, at + 1, starts[at], len(lines[at]) - 1)


def test_a_line_that_a_person_has_given_up_is_asked_again(tmp_path: Path) -> None:
    """A sidecar from before its damage has it still."""
    run, at, damage = damaged(tmp_path / "r")
    accept_damage(run.folder, [damage])
    found = with_sidecars(run.folder, Lineage(run.plan))
    assert [at] == [index for index in range(800) if index not in found.done]


def test_damage_that_no_check_looks_at_is_left_to_verify(tmp_path: Path) -> None:
    """What docs/durability.md says of large runs: checks stand in for reading, and `verify` always reads."""
    run, _, _ = damaged(tmp_path / "r")
    assert 800 == len(with_sidecars(run.folder, Lineage(run.plan)).done)
    with pytest.raises(DamageError):
        replay(run.folder, Lineage(run.plan))
    (found,) = verify(f"{run.path}/").findings
    assert (True, "line") == (found.is_damage, found.kind)


# -- what does not fit ---------------------------------------------------------------------------------------------


def _of_another_segment(run: WrittenRun, file: Path, path: Path) -> None:
    file.write_bytes(sidecar_of(run.folder.segment(1)).read_bytes())


def _of_another_run(run: WrittenRun, file: Path, path: Path) -> None:
    other = WrittenRun(run.path.parent / "other", small_spec(values=20, repeats=2, prompt="Who is {age}, {gender}?"))
    other.write(other.answer(index, "a hero") for index in range(80))
    other.write([b""], 1)
    write_sidecar(other.folder.segment(0), other.plan)
    file.write_bytes(sidecar_of(other.folder.segment(0)).read_bytes())


def _of_an_older_format(run: WrittenRun, file: Path, path: Path) -> None:
    head, _, packed = file.read_bytes().partition(b"\n")
    said = codec.loads(head)
    del said["crc"]
    file.write_bytes(codec.sealed_line({**said, "format": 0}) + packed)


def _without_pages(run: WrittenRun, file: Path, path: Path) -> None:
    head, _, packed = file.read_bytes().partition(b"\n")
    said = codec.loads(head)
    del said["crc"]
    file.write_bytes(codec.sealed_line({**said, "pages": [[]]}) + packed)


def _of_a_longer_segment(run: WrittenRun, file: Path, path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _of_a_shorter_segment(run: WrittenRun, file: Path, path: Path) -> None:
    run.write([run.answer(0, "once more")], 0)


def _of_a_segment_of_the_same_size(run: WrittenRun, file: Path, path: Path) -> None:
    path.write_bytes(b"".join(run.answer(index, "a king") for index in range(0, 80, 3)))


def _of_lines_in_another_order(run: WrittenRun, file: Path, path: Path) -> None:
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))


def _empty(run: WrittenRun, file: Path, path: Path) -> None:
    file.write_bytes(b"")


def _zeros(run: WrittenRun, file: Path, path: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _a_link(run: WrittenRun, file: Path, path: Path) -> None:
    file.rename(run.path.parent / "elsewhere")
    file.symlink_to(run.path.parent / "elsewhere")


def _a_pipe(run: WrittenRun, file: Path, path: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _not_json(run: WrittenRun, file: Path, path: Path) -> None:
    file.write_bytes(codec.sealed_line({}) + b"x")


MISFITS = [
    _of_another_segment,
    _of_another_run,
    _of_an_older_format,
    _without_pages,
    _of_a_longer_segment,
    _of_a_shorter_segment,
    _of_a_segment_of_the_same_size,
    _of_lines_in_another_order,
    _empty,
    _zeros,
    _a_link,
    _not_json,
    _a_pipe,
]


@pytest.mark.parametrize("harm", MISFITS)
def test_what_does_not_fit_is_passed_over_and_written_again(
    tmp_path: Path, taken: list[int], harm: Callable[[WrittenRun, Path, Path], None]
) -> None:
    """Its segment is read; the next session of a large run writes another."""
    run = written(tmp_path / "r")
    path = run.folder.segment(0)
    harm(run, sidecar_of(path), path)
    plain = told(replay(run.folder, Lineage(run.plan)))
    taken.clear()
    assert plain == told(with_sidecars(run.folder, Lineage(run.plan)))
    assert [1] == taken
    if harm is _a_pipe:  # nobody's to remove but a person's
        return
    assert write_sidecar(path, run.plan)
    taken.clear()
    assert plain == told(with_sidecars(run.folder, Lineage(run.plan)))
    assert (harm is not _of_a_shorter_segment) == (0 in taken)  # one task has two answers there


def test_one_of_another_plan_is_none(tmp_path: Path) -> None:
    """Somebody has edited the manifest: the numbers in it mean other tasks."""
    run = written(tmp_path / "r")
    path = run.folder.segment(0)
    assert sidecar_at(path, run.plan) is not None
    assert sidecar_at(path, plan_of(prompt="Who is {age} and {gender}?")) is None
    assert sidecar_at(path, plan_of(values=21)) is None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), how=st.sampled_from(["flipped", "cut", "zeroed", "put in", "left out"]))
def test_a_torn_or_damaged_one_is_none(tmp_path_factory: pytest.TempPathFactory, how: str, data: st.DataObject) -> None:
    """Any bit, any length, any stretch of zeros: read as it was, or not at all."""
    run = written(tmp_path_factory.mktemp("r"))
    path = run.folder.segment(0)
    file, right = sidecar_of(path), sidecar_at(path, run.plan)
    assert right is not None
    said = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(said) - 1))
    stop = data.draw(st.integers(start + 1, len(said)))
    if how == "flipped":
        said[start] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del said[start:]
    elif how == "zeroed":
        said[start:stop] = bytes(stop - start)
    elif how == "put in":
        said[start:start] = b"\0"
    else:
        del said[start:stop]
    file.write_bytes(said)
    found = sidecar_at(path, run.plan)
    assert found is None or found.same(right)


@pytest.mark.parametrize("power", [False, True])
def test_a_crash_at_any_call_leaves_the_old_one_the_new_one_or_none(tmp_path: Path, power: bool) -> None:
    """Killed, or without power, before, inside or after each call of its publishing; and refused each of them."""
    run = written(tmp_path / "r")
    path = run.folder.segment(0)
    right = sidecar_at(path, run.plan)
    file = sidecar_of(path)
    assert right is not None
    crashes = refusals = 0
    for seed in range(40):
        for crash_in in range(1, 12):
            disk = SimulatedDisk(Random(seed), 64)
            if seed % 2:  # one is there that does not fit
                file.write_bytes(b"an old one")
            else:
                file.unlink(missing_ok=True)
            if seed % 3:
                disk.plan(crash_in=crash_in)
            else:
                disk.plan(refuse_in=crash_in, refusals=1)
            try:
                write_sidecar(path, run.plan, disk)
            except Crash:
                crashes += 1
            except OSError:
                refusals += 1
            if power:
                disk.cut_power()
            left = disk.content().get(file.name)
            if left is not None:
                file.write_bytes(left)
            found = sidecar_at(path, run.plan)
            assert found is None or found.same(right)
            assert 80 == len(with_sidecars(run.folder, Lineage(run.plan)).done)
            disk.kill()
            if found is None:
                write_sidecar(path, run.plan, disk)
                file.write_bytes(disk.content()[file.name])
                again = sidecar_at(path, run.plan)
                assert again is not None
                assert again.same(right)
    assert crashes > 100
    assert refusals > 50


# -- what is usual -------------------------------------------------------------------------------------------------


def _damaged(run: WrittenRun, lines: list[bytes]) -> None:
    lines[3] = lines[3].replace(b"hero", b"her0")


def _torn(run: WrittenRun, lines: list[bytes]) -> None:
    lines[-1] = lines[-1][:-1]


def _none(run: WrittenRun, lines: list[bytes]) -> None:
    lines.clear()


@pytest.mark.parametrize("harm", [_damaged, _torn, _none])
def test_a_segment_that_is_not_sound_gets_none(tmp_path: Path, harm: Callable[[WrittenRun, list[bytes]], None]) -> None:
    """Its damage is found by whoever reads it next."""
    run = WrittenRun(tmp_path / "r", SPEC)
    lines = [run.answer(index, "a hero") for index in range(40)]
    harm(run, lines)
    run.write(lines)
    assert sidecar_from_lines(run.folder.segment(0), run.plan) is None
    assert not write_sidecar(run.folder.segment(0), run.plan)
    assert not sidecar_of(run.folder.segment(0)).exists()


def _doubled(run: WrittenRun) -> bytes:
    return run.answer(0, "again")


def _foreign(run: WrittenRun) -> bytes:
    return run.answer(50, "somebody", plan=plan_of(prompt="Who is {age} and {gender}?"))


def _of_another_writer(run: WrittenRun) -> bytes:
    record = codec.loads(run.answer(50, "somebody"))
    del record["crc"]
    return codec.sealed_line(dict(sorted(record.items())))


def _out_of_the_plan(run: WrittenRun) -> bytes:
    return run.answer(81, "somebody", plan=plan_of(repeats=3))


def _of_no_form(run: WrittenRun) -> bytes:
    said = {"wrong_form": "no", "ask": 1}
    return codec.sealed_line({**{k: v for k, v in codec.loads(run.answer(50, "x")).items() if k != "crc"}, **said})


@pytest.mark.parametrize("line", [_doubled, _foreign, _of_another_writer, _out_of_the_plan, _of_no_form])
def test_a_segment_that_is_not_usual_is_read_each_time(
    tmp_path: Path, taken: list[int], line: Callable[[WrittenRun], bytes]
) -> None:
    """Its sidecar says only that, so that nobody tries to write it in each session."""
    run = WrittenRun(tmp_path / "r", SPEC)
    run.write([*[run.answer(index, "a hero") for index in range(40)], line(run)])
    run.write([run.answer(60, "a hero")], 1)
    vouch(run.folder, 1)
    assert write_sidecar(run.folder.segment(0), run.plan)
    sidecar = sidecar_at(run.folder.segment(0), run.plan)
    assert sidecar is not None
    assert (False, 0) == (sidecar.is_usual, len(sidecar.calls))
    assert told(replay(run.folder, Lineage(run.plan))) == told(with_sidecars(run.folder, Lineage(run.plan)))
    assert [] == taken


def test_more_words_than_are_counted_apart_are_not_usual(tmp_path: Path) -> None:
    """Which of them are counted together, the whole journal decides."""
    run = WrittenRun(tmp_path / "r", SPEC)
    run.write(run.answer(index, "a hero", f"reason {index}") for index in range(70))
    sidecar = sidecar_from_lines(run.folder.segment(0), run.plan)
    assert sidecar is not None
    assert not sidecar.is_usual


# -- verify, and all that lists a folder ---------------------------------------------------------------------------


def test_verify_compares_it_with_the_lines(tmp_path: Path) -> None:
    """One that fits and says something else would mislead a resume; one that does not fit misleads nobody."""
    run = written(tmp_path / "r")
    assert (0, ()) == ((sound := verify(f"{run.path}/")).damage, sound.findings)
    without(run, 0)
    (found,) = verify(f"{run.path}/").findings
    assert (True, "sidecar") == (found.is_damage, found.kind)
    assert f"{run.path}/rows-00000.index: it differs from the lines of rows-00000.jsonl: remove it" == found.message
    _zeros(run, sidecar_of(run.folder.segment(0)), run.folder.segment(0))
    (found,) = verify(f"{run.path}/").findings
    assert (False, "sidecar") == (found.is_damage, found.kind)
    _a_pipe(run, sidecar_of(run.folder.segment(0)), run.folder.segment(0))
    assert 0 == verify(f"{run.path}/").damage


@pytest.mark.parametrize("how", ["whole", "ends at once", "can't be started"])
def test_a_large_run_is_compared_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """And what none of them has said by the first."""
    run = written(tmp_path / "r", segments=5)
    without(run, 6, 1)
    _empty(run, sidecar_of(run.folder.segment(2)), run.folder.segment(2))
    alone = replace(verify(f"{run.path}/"), seconds=0)
    here: list[Path] = []

    def compared(segment: Path, plan: Plan) -> LikeItsLines:
        here.append(segment)
        return compare_sidecar(segment, plan)

    monkeypatch.setattr(compared_sidecars, "compare_sidecar", compared)
    monkeypatch.setattr(compared_sidecars, "A_PROCESS_FROM", 1)
    monkeypatch.setattr(compared_sidecars, "usable_cores", lambda: 3)
    if how != "whole":
        other = [str(tmp_path / "nothing")] if how == "can't be started" else [sys.executable, "-c", ""]
        monkeypatch.setattr(own_process, "_PYTHON", other)
    assert alone == replace(verify(f"{run.path}/"), seconds=0)
    assert (1, 0 if how == "whole" else 4) == (alone.damage, len(here))


def test_a_wrong_sum_is_found_by_verify(tmp_path: Path) -> None:
    """Budgets go by the usage."""
    run = written(tmp_path / "r")
    sidecar = sidecar_at(run.folder.segment(1), run.plan)
    assert sidecar is not None
    change(run, 1, ended={0: replace(sidecar.ended[0], usage={**sidecar.ended[0].usage, "total_tokens": 1})})
    assert 1 == verify(f"{run.path}/").damage


def test_nobody_else_takes_notice_of_them(tmp_path: Path) -> None:
    """Rows, exports and copies are what they are without, and a copy has none."""
    run = written(tmp_path / "r")
    outs = []
    for number in range(2):
        rows = [line.record for line in read_rows(run.folder)]
        dataset.export(run.path, out=tmp_path / f"out-{number}.jsonl", format="jsonl")
        copy = recover(f"{run.path}/", tmp_path / f"copy-{number}")
        folder = existing_run(tmp_path / f"copy-{number}")
        assert [] == [path for path in folder.path.iterdir() if path.suffix == ".index"]
        outs.append((rows, (tmp_path / f"out-{number}.jsonl").read_bytes(), copy.rows, copy.lost))
        for path in run.folder.segments():
            sidecar_of(path).unlink(missing_ok=True)
    assert outs[0] == outs[1]


@pytest.fixture(autouse=True)
def every_line_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sidecar, lines are taken as those of a large segment are."""
    monkeypatch.setattr(replaying, "EXACT_BYTES", 0)
