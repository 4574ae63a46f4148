"""`verify` among several processes says what it says alone, whatever is in the blocks and whatever becomes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herogen_async.generation.journal import Fold, Line, own_process, scan
from herogen_async.generation.journal.verify import Verdict, block_workers, verify
from herogen_async.generation.journal.verify.block_workers import BlockWorkers
from herogen_async.generation.journal.verify.usual_lines import Block, block_at
from herogen_async.generation.run_folder import RunFolder, RunLock, segment_number
from herogen_async.specs.plan import Lineage, Plan
from support.column_histories import History, histories
from support.run_folders import AT, MODEL, WrittenRun
from support.runs import small_spec

SPEC = small_spec(values=20, repeats=2)  # 80 tasks
OTHER = Plan(small_spec(values=20, repeats=2, prompt="Who is {age} and {gender}?"), endpoint="completions", model=MODEL)
BLOCK = 3000  # bytes: some seven lines


def told(run: WrittenRun) -> Verdict:
    return replace(verify(f"{run.path}/"), seconds=0)


def written(path: Path, *, segments: int = 2) -> WrittenRun:
    """A run of which each task has an answer."""
    run = WrittenRun(path, SPEC)
    for segment in range(segments):
        run.write((run.answer(index, "a hero") for index in range(segment, 80, segments)), segment)
    return run


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_workers, "A_PROCESS_FROM", 1)
    monkeypatch.setattr(block_workers, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(block_workers, "usable_cores", lambda: 3)


def alone(run: WrittenRun) -> Verdict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_workers, "usable_cores", lambda: 1)
        return told(run)


def here(patch: pytest.MonkeyPatch) -> list[Block]:
    """From now on blocks are looked at in this process; all of them."""
    looked_at: list[Block] = []

    def answer_of(self: Any, place: int) -> Block:
        name, era, start, stop = self._blocks[self._asked[place]]
        looked_at.append(block_at(self._folder / name, self._lineage, era, start, stop))
        return looked_at[-1]

    patch.setattr(BlockWorkers, "_started", lambda *_: None)
    patch.setattr(BlockWorkers, "_answer_of", answer_of)
    return looked_at


def flipped(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines[at] = lines[at].replace(b"hero", b"her0")


def doubled(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines.insert(at, lines[at // 2])


def of_another(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines.insert(at, run.answer(at % 80, "somebody", plan=OTHER))


def torn(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines[-1] = lines[-1][: at + 1].removesuffix(b"\n")


def fused(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines[at] = lines[at].removesuffix(b"\n")


def zeroed(run: WrittenRun, lines: list[bytes], at: int) -> None:
    lines[at] = bytes(len(lines[at]) * 12)  # as long as some blocks


HARM: list[Callable[[WrittenRun, list[bytes], int], None]] = [flipped, doubled, of_another, torn, fused, zeroed]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HARM), st.integers(0, 1), st.integers(0, 38)), max_size=4))
@pytest.mark.usefixtures("small_blocks")
def test_what_is_found_is_the_same_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, harm: list[tuple[Callable[..., None], int, int]]
) -> None:
    """Damage, doubles, rows of another run, torn ends, zeros over several blocks: with sentence, line and byte."""
    run = written(tmp_path_factory.mktemp("r"))
    for do, segment, at in harm:
        path = run.folder.segment(segment)
        lines = path.read_bytes().splitlines(keepends=True)
        do(run, lines, min(at, len(lines) - 1))
        path.write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        looked_at = here(patch)
        among = told(run)
    assert alone(run) == among
    assert len(looked_at) > 8
    assert harm or all(each.indices is not None for each in looked_at)


@pytest.mark.usefixtures("small_blocks")
def test_processes_of_their_own_say_the_same(tmp_path: Path) -> None:
    """Three of them look at a run with one damaged line."""
    run = written(tmp_path / "r")
    path = run.folder.segment(0)
    path.write_bytes(path.read_bytes().replace(b"hero", b"her0", 1))
    answers: list[Block | None] = []
    with pytest.MonkeyPatch.context() as patch:
        original = BlockWorkers._answer_of

        def answer_of(self: BlockWorkers, place: int) -> Block | None:
            answers.append(original(self, place))
            return answers[-1]

        patch.setattr(BlockWorkers, "_answer_of", answer_of)
        among = told(run)
    assert alone(run) == among
    assert (1, 79) == (among.damage, among.answered)
    assert len(answers) > 8
    assert [False] * (len(answers) - 1) == [each is None for each in answers if each is None or each.indices]


@pytest.mark.parametrize("ends", ["at once", "after a block", "with half a block", "saying something else"])
@pytest.mark.usefixtures("small_blocks")
def test_a_process_that_ends_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    """What it has not said is looked at by `verify` itself; so is what comes of a block that it said half of."""
    run = written(tmp_path / "r")
    programs = {
        "at once": "",
        "after a block": "out.write(first)",
        "with half a block": "out.write(first[:-3])",
        "saying something else": "out.write(b'[1, 2]\\n{}\\n')",
    }
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "one.py").write_text(
        "import sys, json\n"
        "from array import array\n"
        "from pathlib import Path\n"
        "from herogen_async.generation.journal.verify.usual_lines import block_at\n"
        "from herogen_async.generation.run_folder import RunFolder\n"
        "from herogen_async.generation.run_folder.manifest import read_manifest\n"
        "given, out = json.load(sys.stdin), sys.stdout.buffer\n"
        "name, era, start, stop = given['blocks'][0]\n"
        "folder = Path(given['folder'])\n"
        "block = block_at(folder / name, read_manifest(RunFolder(folder)).lineage(), era, start, stop)\n"
        "said = {'start': block.start, 'stop': block.stop, 'lines': block.lines, 'is_usual': True, 'skipped': []}\n"
        "first = json.dumps(said).encode() + b'\\n' + block.indices.tobytes()\n" + programs[ends] + "\n"
    )
    monkeypatch.setattr(own_process, "_PYTHON", [sys.executable, str(fake / "one.py")])
    among = told(run)
    assert alone(run) == among
    assert (0, 80) == (among.damage, among.answered)


@pytest.mark.usefixtures("small_blocks")
def test_a_process_that_cannot_be_started_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no room for one more process."""
    monkeypatch.setattr(own_process, "_PYTHON", [str(tmp_path / "nothing")])
    assert 80 == told(written(tmp_path / "r")).answered


def test_a_small_run_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the size at which one more pays."""
    monkeypatch.setattr(block_workers, "usable_cores", lambda: 8)
    monkeypatch.setattr(BlockWorkers, "_started", lambda *_: pytest.fail("a process was started"))
    assert 80 == told(written(tmp_path / "r")).answered


@pytest.mark.usefixtures("small_blocks")
def test_a_run_at_work_is_left_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is verified by one process."""
    monkeypatch.setattr(BlockWorkers, "_started", lambda *_: pytest.fail("a process was started"))
    run = written(tmp_path / "r")
    lock = RunLock.acquire(run.folder, AT.isoformat())
    try:
        assert 80 == told(run).answered
    finally:
        lock.release()


def folded(folder: RunFolder, lineage: Lineage, block_bytes: int) -> dict[str, Any]:
    """All that a fold says: of blocks of so many bytes, line by line at 0."""
    fold, paths = Fold(lineage), {segment_number(path): path for path in folder.segments()}
    for reading in lineage.readings(list(paths)):
        path = paths[reading.segment]
        size = path.stat().st_size
        step = block_bytes or size or 1
        for start in range(0, size, step):
            block = block_at(path, lineage, reading.era, start, min(start + step, size))
            usual = block_bytes and block.indices is not None
            if usual and fold.take_usual(block.indices or (), block.skipped or {}, reading):
                continue
            for line in scan(path, block.start):
                if line.offset < block.stop and isinstance(line, Line) and fold.is_for(line.record, reading):
                    fold.take(line.record, reading, line.offset)
    fold.settle(paths.values())
    found = fold.found
    sets = {name: list(getattr(found, name)) for name in ("done", "stale", "skipped", "unfit")}
    names = ("rows", "duplicates", "foreign", "unused", "replaced", "outdated", "misfits", "reusable", "asked")
    return sets | {name: getattr(found, name) for name in names}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=histories(), block_bytes=st.integers(1, 4000))
def test_p6_blocks_of_any_history_of_columns_come_to_what_their_lines_do(
    tmp_path_factory: pytest.TempPathFactory, history: History, block_bytes: int
) -> None:
    """Doubles, skips, edits, lost lines and such that are there again."""
    folder = RunFolder(tmp_path_factory.mktemp("r"))
    history.save(folder)
    assert folded(folder, history.lineage(), 0) == folded(folder, history.lineage(), block_bytes)
