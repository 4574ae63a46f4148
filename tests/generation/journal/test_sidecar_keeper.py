"""Sidecars are written while a large run is at work, by a process that nobody waits for and that leaves nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.journal import JournalWriter, own_process
from herogen_async.generation.journal.sidecar import keeper as keeping
from herogen_async.generation.journal.sidecar import taking
from herogen_async.generation.journal.sidecar.keeper import SidecarKeeper
from herogen_async.generation.journal.sidecar.sidecar import sidecar_at
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.generation.session import asking
from herogen_async.specs.plan import Lineage
from support.fake_server import FakeServer
from support.run_folders import WrittenRun
from support.runs import small_spec

SPEC = small_spec(values=20, repeats=2)  # 80 tasks


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any run is one."""
    monkeypatch.setattr(taking, "SIDECARS_FROM", 0)


def written(path: Path, segments: int = 3) -> WrittenRun:
    run = WrittenRun(path, SPEC)
    for segment in range(segments):
        run.write((run.answer(index, "a hero") for index in range(segment, 80, segments)), segment)
    return run


def sidecars(run: RunFolder) -> list[str]:
    return sorted(path.name for path in run.path.glob("*.index"))


def let_it_end(keeper: SidecarKeeper) -> None:
    """Without closing it: what was begun is done then."""
    if keeper._thread is not None:
        keeper._thread.shutdown()


@pytest.mark.usefixtures("large")
def test_sealed_segments_get_those_that_they_lack(tmp_path: Path) -> None:
    """Also one that does not fit its segment; the last segment has none."""
    run = written(tmp_path / "r")
    sidecar_of(run.folder.segment(1)).write_bytes(b"torn")
    with SidecarKeeper(run.folder, Lineage(run.plan)) as keeper:
        keeper.begin(2)
        let_it_end(keeper)
    assert ["rows-00000.index", "rows-00001.index"] == sidecars(run.folder)
    assert all(sidecar_at(run.folder.segment(number), run.plan) for number in (0, 1))
    assert 0o600 == sidecar_of(run.folder.segment(0)).stat().st_mode & 0o777


def test_a_small_run_has_no_sidecar_no_process_and_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read line by line, so it needs none."""
    monkeypatch.setattr(keeping, "own_process", lambda *_: pytest.fail("a process was started"))
    run, before = written(tmp_path / "r"), threading.active_count()
    with SidecarKeeper(run.folder, Lineage(run.plan)) as keeper:
        keeper.begin(2)
        assert before == threading.active_count()
    assert [] == sidecars(run.folder)


@pytest.mark.usefixtures("large")
def test_its_process_ends_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it has to do still; what waits for it is not begun."""
    monkeypatch.setattr(
        own_process, "_PYTHON", [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    )
    run = written(tmp_path / "r")
    started = threading.Event()
    original = subprocess.Popen.communicate

    def communicate(self: subprocess.Popen[bytes], given: bytes) -> object:
        started.set()
        return original(self, given)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    with SidecarKeeper(run.folder, Lineage(run.plan)) as keeper:
        keeper.begin(2)
        keeper.begin(2)
        assert started.wait(60)
    assert keeper._child is not None
    assert -9 == keeper._child.returncode
    assert [] == sidecars(run.folder)


@pytest.mark.parametrize("how", ["no program", "another manifest", "the folder is gone"])
@pytest.mark.usefixtures("large")
def test_a_process_that_comes_to_nothing_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The run goes on without sidecars."""
    run = written(tmp_path / "r")
    lineage, folder = Lineage(run.plan), run.folder
    if how == "no program":
        monkeypatch.setattr(own_process, "_PYTHON", [str(tmp_path / "nothing")])
    elif how == "another manifest":
        lineage = Lineage(WrittenRun(tmp_path / "s", small_spec(values=3)).plan)
    else:
        folder = RunFolder(tmp_path / "gone")
    with SidecarKeeper(folder, lineage) as keeper:
        keeper.begin(2)
        let_it_end(keeper)
    assert [] == sidecars(run.folder)


@pytest.mark.usefixtures("large")
def test_a_segment_is_sealed_before_the_next_one_is_there(tmp_path: Path) -> None:
    """The first write makes the next one."""
    run = written(tmp_path / "r")
    with SidecarKeeper(run.folder, Lineage(run.plan)) as keeper:
        keeper.begin(3)
        let_it_end(keeper)
    assert 3 == len(sidecars(run.folder))


@pytest.mark.anyio
async def test_the_writer_tells_of_each_new_segment(tmp_path: Path) -> None:
    """When what is before it is durable."""
    run, told = WrittenRun(tmp_path / "r", SPEC), list[tuple[int, list[str]]]()

    def sealed(number: int) -> None:
        told.append((number, [path.name for path in run.folder.segments()]))
        journal.finish()

    line = run.answer(0, "a hero")
    journal = JournalWriter(run.folder, segment_bytes=len(line), on_sealed=sealed)
    await journal.open()
    journal.add_rows([line])
    await journal.run()
    assert [(1, ["rows-00000.jsonl"])] == told


@pytest.mark.usefixtures("large")
def test_a_session_writes_what_its_run_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of segments that earlier sessions have sealed, when it begins, and of its own."""
    run = written(tmp_path / "r")
    path = run.folder.segment(2)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    begun: list[int] = []

    class Kept(SidecarKeeper):
        def begin(self, current: int) -> None:
            begun.append(current)
            super().begin(current)

        def __exit__(self, *raised: object) -> None:
            let_it_end(self)
            super().__exit__(*raised)

    monkeypatch.setattr(asking, "SidecarKeeper", Kept)
    with FakeServer() as server:
        report = herogen_async.resume(run.path, base_url=server.url)
    assert ("done", 80, 1) == (report.state, report.done, len(server.asked))
    assert [2] == begun
    assert ["rows-00000.index", "rows-00001.index"] == sidecars(run.folder)
