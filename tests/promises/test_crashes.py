"""The journal on a disk that crashes, fails and forgets: nothing promised is lost, whatever happens when.

The long run of the same is `python benchmarks/crashes.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from herogen_async.core import codec
from herogen_async.generation.journal.repair import tail_repair
from herogen_async.generation.journal.write.append_file import AppendFile
from herogen_async.generation.journal.write.store import Store
from herogen_async.generation.run_folder.disk import write_all
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.mark import Mark
from support.crash_harness import Scenario
from support.planted_bugs import Bug, Seeds
from support.simulated_disk import SimulatedDisk

RANDOM_S = 2.0
SCENARIOS = 1000  # within which each planted bug is found; the rarest shows in one of 120


SEEDS = Seeds(Scenario, "store")


@pytest.mark.slow
def test_p1_p2_p3_random_crashes_lose_nothing_promised() -> None:
    """More than a thousand random simulated crashes break none of the durability promises."""
    assert SEEDS.run_for(RANDOM_S) > 1000


def test_the_same_seed_gives_the_same_crash() -> None:
    """The same seed reproduces the same calls, result and disk content, so a failure can be replayed."""
    first, second = Scenario(7), Scenario(7)
    assert first.run() == second.run()
    assert first.disk.content() == second.disk.content()
    assert first.disk.calls == second.disk.calls


def test_a_repair_in_small_pieces_loses_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repair that reads 50 bytes at a time keeps the same promises over a hundred seeds."""
    monkeypatch.setattr(tail_repair, "_PIECE", 50)
    assert sum(map(SEEDS.run, range(100))) > 400


def test_a_synced_last_line_without_its_end_is_kept_aside(tmp_path: Path) -> None:
    """A synced last line that lost its newline is kept aside, and the mark moves back before it."""
    first, last = codec.sealed_line({"key": "a"}), codec.sealed_line({"key": "b"})
    folder = RunFolder(tmp_path)
    folder.segment(0).write_bytes(first + last[:-1] + b"x")
    (torn,), mark = tail_repair.repair_tails(folder, datetime(2026, 1, 1, tzinfo=UTC), Mark(0, len(first + last), 0))
    assert first == folder.segment(0).read_bytes()
    assert last[:-1] + b"x" == torn.kept_in.read_bytes()
    assert Mark(0, len(first), 0) == mark


def no_fsync(patch: pytest.MonkeyPatch) -> None:
    def sync(self: AppendFile) -> None:
        self._vouched(self.end)

    patch.setattr(AppendFile, "sync", sync)


def no_tail_repair(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tail_repair._Tail, "repair", lambda self, *_: self._disk.sync(self._file))


def no_roll_back_after_an_error(patch: pytest.MonkeyPatch) -> None:
    def append(self: AppendFile, data: bytes) -> None:
        file = self._opened()
        end = self._disk.size(file)
        write_all(self._disk, file, data, end)
        self._unsynced.append((end, data))
        self.end = end + len(data)

    patch.setattr(AppendFile, "append", append)


def no_crc(patch: pytest.MonkeyPatch) -> None:
    def is_sealed(line: bytes) -> bool:
        return line[:1] == b"{" and line.rstrip(b"\n")[-1:] == b"}"

    patch.setattr(codec, "is_sealed", is_sealed)


def no_folder_sync(patch: pytest.MonkeyPatch) -> None:
    def open_file(self: AppendFile) -> None:
        self._file = self._disk.open(self.path)
        self.end = self.durable = self._disk.size(self._file)

    patch.setattr(AppendFile, "open", open_file)


def fsync_retried(patch: pytest.MonkeyPatch) -> None:
    def heal(self: AppendFile) -> None:
        if self.needs_healing:
            self._disk.sync(self._opened())
            self._vouched(self.end)
            self.needs_healing = False

    patch.setattr(AppendFile, "heal", heal)


def healed_at_the_same_place(patch: pytest.MonkeyPatch) -> None:
    def heal(self: AppendFile) -> None:
        if self.needs_healing:
            self._reopen()
            for offset, data in list(self._unsynced):
                write_all(self._disk, self._opened(), data, offset)
            self._disk.sync(self._opened())
            self._vouched(self.end)
            self.needs_healing = False

    patch.setattr(AppendFile, "heal", heal)


def recovery_through_the_cache(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedDisk, "drop_cache", lambda self, file, offset: None)
    told = property(lambda self: Mark(self._segment, self._rows.durable, self._failures.durable))
    patch.setattr(Store, "mark", told)  # and a refused sync is forgotten, which would do instead


BUGS: list[Bug] = [
    no_fsync,
    no_tail_repair,
    no_roll_back_after_an_error,
    no_crc,
    no_folder_sync,
    fsync_retried,
    healed_at_the_same_place,
    recovery_through_the_cache,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_is_found_and_crashes_alone_do_no_harm(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted bug is found, and without it the same crashes do no harm."""
    found = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    for seed in range(found + 1):
        SEEDS.run(seed)
