"""The journal's writer on a disk that takes its time and crashes: P2's 256 rows and 50 ms, P4, P9 and P10.

The long run of the same is `python benchmarks/crashes.py --kind writer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from herogen_async.generation.journal.write import syncs, writer
from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.journal.write.store import Acknowledged, LineCount, Store
from herogen_async.generation.journal.write.syncs import Syncs
from herogen_async.generation.journal.write.writer import JournalWriter
from support.planted_bugs import Bug, Seeds
from support.timed_crashes import TimedScenario

RANDOM_S = 2.0
SCENARIOS = 1000  # within which each planted bug is found; the rarest shows in one of 80


SEEDS = Seeds(TimedScenario, "writer")


@pytest.mark.slow
def test_p2_p4_p9_p10_a_writer_keeps_them_to_the_millisecond() -> None:
    """Random crashes while rows come and the disk is fast, slow or stuck break none of what is promised."""
    assert SEEDS.run_for(RANDOM_S) > 50


def test_the_same_seed_gives_the_same_times() -> None:
    """Threads and timers come in the same order each time, so a failure can be replayed."""
    first, second = TimedScenario(3), TimedScenario(3)
    assert first.run() == second.run()
    assert first.disk.content() == second.disk.content()
    assert first.disk.calls == second.disk.calls


def tells_on_though_the_sync_is_late(patch: pytest.MonkeyPatch) -> None:
    more = Acknowledged.more

    def tells_on(self: Acknowledged, **_: bool) -> LineCount:
        return more(self)

    patch.setattr(Acknowledged, "more", tells_on)


def what_comes_while_a_sync_runs_waits_anew(patch: pytest.MonkeyPatch) -> None:
    ended = Syncs._ended

    def forgets(self: Syncs, future: object) -> None:
        self._waiting_for_next.end()
        ended(self, future)  # type: ignore[arg-type]

    patch.setattr(Syncs, "_ended", forgets)


def no_sync_begins_by_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(syncs._Waiting, "_be_due", lambda self: None)


def a_sync_begins_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(syncs, "SYNC_S", 0.040)


def more_lines_ahead(patch: pytest.MonkeyPatch) -> None:
    begin = Acknowledged.__init__

    def with_more(self: Acknowledged, *given: object, **_: object) -> None:
        begin(self, *given, ahead=300)  # type: ignore[arg-type]

    patch.setattr(Acknowledged, "__init__", with_more)


def a_sync_counts_what_came_while_it_ran(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Store) -> None:
        self._rows.sync()
        self._failures.sync()
        if not self.needs_healing:
            self.synced = LineCount(self.written.rows, self.written.failures)

    patch.setattr(Store, "sync", sync)


def power_tells_after_the_write(patch: pytest.MonkeyPatch) -> None:
    begin = Acknowledged.__init__

    def as_periodic(self: Acknowledged, store: Store, durability: str) -> None:
        begin(self, store, "periodic" if durability == "power" else durability)  # type: ignore[arg-type]

    patch.setattr(Acknowledged, "__init__", as_periodic)


def told_before_the_write(patch: pytest.MonkeyPatch) -> None:
    add_rows = JournalWriter.add_rows

    def at_once(self: JournalWriter, lines: Sequence[bytes]) -> None:
        add_rows(self, lines)
        self.on_written(Written(len(lines), 0))

    patch.setattr(JournalWriter, "add_rows", at_once)


def a_batch_waits_for_long(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "BATCH_S", 0.02)


def a_cancelled_writer_drops_what_it_holds(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: JournalWriter) -> None:
        pass

    patch.setattr(JournalWriter, "_write_last", nothing)


def a_session_ends_without_its_last_sync(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Syncs) -> None:
        pass

    patch.setattr(Syncs, "drain", nothing)


BUGS: list[Bug] = [
    tells_on_though_the_sync_is_late,
    what_comes_while_a_sync_runs_waits_anew,
    no_sync_begins_by_time,
    a_sync_begins_late,
    more_lines_ahead,
    a_sync_counts_what_came_while_it_ran,
    power_tells_after_the_write,
    told_before_the_write,
    a_batch_waits_for_long,
    a_cancelled_writer_drops_what_it_holds,
    a_session_ends_without_its_last_sync,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_of_the_writer_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted bug is found, and without it the same times and crashes do no harm."""
    found = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    SEEDS.run(found)
