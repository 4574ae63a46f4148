"""The journal's writer itself on a disk that crashes and takes its time: what holds when, to the millisecond.

A `TimedScenario` is a seed, as a `Scenario` of `crash_harness` is: the same disk, the same repairs, the same checks
after each crash. But here `JournalWriter` does the writing, with its threads and timers, in virtual time
(`stepped_loop`): writes and syncs take from a fraction of a millisecond to a third of a second, while rows go on
coming, and a crash comes at any moment. What is checked besides:

- `periodic`: what a power cut takes of the lines that were told to be done are the 256 youngest at most, and all of
  them were told within 50 ms (P2). A line that was told waits 25 ms at most until a sync begins;
- `power`: it takes none;
- a line is in a write 5 ms after it came, unless the one before is still being written or was refused (P10);
- a writer that was cancelled has written all that it held, or says that it could not (P4, P9);
- the rows that could not be written are put elsewhere, each of them, once (P9).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.errors import DiskError
from herogen_async.generation.journal.write import writer
from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.journal.write.writer import JournalWriter
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.settings import Durability
from support.crash_harness import FOLDER, Key, Scenario, Violation, line_of
from support.simulated_disk import DEAD, NEVER, Crash, SimulatedDisk
from support.stepped_loop import SteppedLoop

# P2's and P10's own figures: not the product's constants, which might be changed.
AHEAD = 256
WITHIN_S = 0.050
UNTIL_SYNC_S = 0.025
UNTIL_WRITE_S = 0.005
_EPSILON_S = 1e-6
DURABILITIES: tuple[Durability, ...] = ("process", "periodic", "periodic", "periodic", "power")
KINDS = ("row", "failure")


class TimedDisk(SimulatedDisk):
    """A simulated disk whose writes and syncs take time, in which others go on; nothing happens after a crash."""

    loop: SteppedLoop | None = None
    write_s: Callable[[], float]
    sync_s: Callable[[], float]

    @property
    def is_dead(self) -> bool:
        return self._event == DEAD

    def die(self) -> None:
        """The crash comes now."""
        self._event = DEAD

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        before = self._coin()
        if before:
            self._pass(self.write_s())
        taken = super().write(file, data, offset)
        if not before:
            self._pass(self.write_s())
        return taken

    def sync(self, file: int) -> None:
        # Before or after it looks at what there is to sync: a disk may do either.
        self.beside = lambda: self._pass(self.sync_s())
        super().sync(file)

    def sync_names(self, folder: Path) -> None:
        self._pass(self.write_s())
        super().sync_names(folder)

    def _pass(self, seconds: float) -> None:
        if self.loop is not None:
            self.loop.pass_time(seconds)
        if self.is_dead:
            raise Crash

    def _fate(self) -> Crash | OSError | None:
        if self.is_dead:
            raise Crash
        return super()._fate()


class TimedScenario(Scenario):
    """One seed's sessions of a `JournalWriter`, and their crashes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        random = self.random
        self.disk = self.timed_disk = TimedDisk(random, random.choice((64, 256)))
        self.durability = random.choice(DURABILITIES)
        self.segment_bytes = random.choice((2_000, 20_000, 1 << 30))
        sync_s: list[Callable[[], float]] = [
            lambda: random.expovariate(1000),
            lambda: random.uniform(0.005, 0.035),
            lambda: random.uniform(0.020, 0.120),
            lambda: random.uniform(0.050, 0.300) if random.random() < 0.2 else random.expovariate(1000),
        ]
        write_s: list[Callable[[], float]] = [
            lambda: random.expovariate(5000),
            lambda: random.uniform(0.001, 0.020) if random.random() < 0.2 else 0.0002,
        ]
        self.timed_disk.sync_s, self.timed_disk.write_s = random.choice(sync_s), random.choice(write_s)

    def _sessions(self) -> Iterator[Any]:
        for _ in range(self.random.randint(1, 3)):
            yield WriterSession(self)

    def _plan_faults(self) -> None:
        random = self.random
        self.disk.short_writes = random.random() < 0.2
        refuses = random.random() < 0.3
        self.disk.plan(
            crash_in=random.randint(1, 200) if random.random() < 0.3 else NEVER,
            refuse_in=random.randint(1, 100) if refuses else NEVER,
            refusals=random.choice((1, 1, 2, 5, 30, 200)),
            pressure_in=random.randint(1, 100) if refuses and random.random() < 0.4 else NEVER,
        )


class WriterSession:
    """One process that writes with a JournalWriter, until it ends, is cancelled or crashes."""

    def __init__(self, scenario: TimedScenario) -> None:
        self.ended = False
        self._scenario = scenario
        self._random = scenario.random
        self._disk = scenario.timed_disk
        self._given: dict[str, list[Key]] = {kind: [] for kind in KINDS}  # in the order of writing
        self._given_at: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self._told_at: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self._spilled: list[bytes] = []
        self._in_trouble = self._is_in_doubt = False
        self._wrong: BaseException | None = None
        self._journal: JournalWriter | None = None

    def run(self) -> None:
        """Raises Crash, or Violation."""
        loop = self._loop = SteppedLoop()
        loop.set_exception_handler(self._unhandled)
        self._disk.loop = loop
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(writer, "spill", self._spill)  # the only thing that would go to a real disk
                loop.run_until_complete(self._main())
        finally:
            self._disk.loop = None
            loop.close()
        if self._wrong is not None:
            raise self._wrong
        if self._disk.is_dead:
            raise Crash
        if self._disk.leaked():
            raise Violation("a session left a file open")

    def check(self, found: dict[Key, int], *, power: bool, forgot: bool) -> None:
        """Raise Violation unless what was promised is in `found`."""
        if self._journal is None:
            return
        for kind, keys in self._given.items():
            written, told_at = self._count(self._journal._store.written, kind), self._told_at[kind]
            if self.ended and not len(told_at) == written == len(keys):
                raise Violation(f"P9: the session ended well with {len(told_at)} {kind}s told of {len(keys)}")
            durability = self._scenario.durability
            if self.ended or not power:
                promised = 0 if forgot else written
            else:
                promised = 0 if durability == "process" else len(told_at)
            lost = [place for place, key in enumerate(keys[:promised]) if key not in found]
            if not lost:
                continue
            if self.ended or not power or durability != "periodic":
                raise Violation(
                    f"{'P2' if power else 'P1'}: of {promised} {kind}s, {durability}, are gone: {len(lost)}"
                )
            if promised - lost[0] > AHEAD:
                raise Violation(f"P2: a power cut took the youngest {promised - lost[0]} {kind}s but for some")
            if (within_s := told_at[-1] - told_at[lost[0]]) > WITHIN_S + _EPSILON_S:
                raise Violation(f"P2: a power cut took {kind}s that were told within {within_s * 1000:.1f} ms")

    async def _main(self) -> None:
        random, scenario = self._random, self._scenario
        try:
            self._journal = journal = JournalWriter(
                FOLDER,
                durability=scenario.durability,
                segment_bytes=scenario.segment_bytes,
                disk=self._disk,
                on_durable=self._durable,
            )
        except (OSError, Crash):
            return
        journal.on_written, journal.on_trouble = self._written, self._trouble
        task = asyncio.create_task(journal.run())
        self._loop.on_crash = task.cancel
        if random.random() < 0.8:
            self._loop.call_later(random.uniform(0.0, 0.4), self._die, task)
        cancels, pause_s, most = random.random() < 0.15, random.choice((0.001, 0.004, 0.015)), random.choice((2, 8, 80))
        for _ in range(random.randint(5, 60)):
            await asyncio.wait({task}, timeout=random.expovariate(1 / pause_s))
            if task.done() or self._disk.is_dead:
                break
            if not journal.full:
                self._give(journal, random.randint(1, most if random.random() < 0.9 else 300))
        if cancels:
            task.cancel()
        journal.finish()
        await asyncio.wait({task})
        if not self._disk.is_dead:
            self._check_end(journal, task)

    def _give(self, journal: JournalWriter, lines: int) -> None:
        for _ in range(lines):
            kind = "failure" if self._random.random() < 0.1 else "row"
            key, line = self._scenario.fresh(kind)
            self._given[kind].append(key)
            self._given_at[kind].append(self._loop.time())
            journal.add_rows((line,)) if kind == "row" else journal.failure(line)

    def _written(self, fresh: Written) -> None:
        if not self._disk.is_dead:
            for kind in KINDS:
                self._told_at[kind] += [self._loop.time()] * self._count(fresh, kind)
            if self._scenario.durability == "periodic":
                with self._kept():
                    self._check_told(fresh)

    def _check_told(self, fresh: Written) -> None:
        """What a power cut would take now, at the worst: all that was told and that no sync has vouched for."""
        assert self._journal is not None
        for kind in KINDS:
            told_at, synced = self._told_at[kind], self._count(self._journal._store.synced, kind)
            if (ahead := len(told_at) - synced) <= 0 or not self._count(fresh, kind):
                continue
            if self._is_in_doubt:
                raise Violation(f"P2: a {kind} was told after a refused sync")
            if ahead > AHEAD:
                raise Violation(f"P2: {ahead} {kind}s were told that no sync has vouched for")
            if (within_s := told_at[-1] - told_at[synced]) > WITHIN_S + _EPSILON_S:
                raise Violation(f"P2: {kind}s were told within {within_s * 1000:.1f} ms that no sync has vouched for")

    def _durable(self, mark: Mark) -> None:
        if not self._disk.is_dead:
            self._is_in_doubt = bool(mark.in_doubt)
            self._scenario.vouch(mark)

    def _trouble(self, error: OSError | None) -> None:
        self._in_trouble = error is not None

    def _spill(self, _: str, lines: list[bytes]) -> Path:
        self._spilled += lines
        return Path("elsewhere")

    def _die(self, task: asyncio.Task[None]) -> None:
        """A crash by the clock."""
        if not self._disk.is_dead and not task.done():
            with self._kept():
                self._check_times()
            self._disk.die()
            task.cancel()

    def _check_times(self) -> None:
        journal, now = self._journal, self._loop.time()
        assert journal is not None
        refused = self._in_trouble or journal._syncs.error is not None or journal.lost is not None
        if refused or self._loop.is_busy(journal._thread):
            return
        store, is_syncing = journal._store, self._loop.is_busy(journal._syncs._thread)
        for kind in KINDS:
            given_at, told_at = self._given_at[kind], self._told_at[kind]
            written, synced = self._count(store.written, kind), self._count(store.synced, kind)
            if written < len(given_at) and now - given_at[written] > UNTIL_WRITE_S + _EPSILON_S:
                raise Violation(f"P10: a {kind} has waited for its write since {now - given_at[written]:.4f} s")
            waits = self._scenario.durability == "periodic" and synced < len(told_at) and not is_syncing
            if waits and now - told_at[synced] > UNTIL_SYNC_S + _EPSILON_S:
                raise Violation(f"P2: a {kind} that was told waits for a sync since {now - told_at[synced]:.4f} s")

    def _check_end(self, journal: JournalWriter, task: asyncio.Task[None]) -> None:
        """Of a session that came to an end by itself."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DiskError):
            self._wrong = self._wrong or error
            return
        refused = error is not None or journal.lost is not None
        written = self._count(journal._store.written, "row")
        lost = [line_of(key, self._scenario.version(key)) for key in self._given["row"][written:]]
        if self._spilled != lost:
            self._wrong = self._wrong or Violation(f"P9: {len(lost)} rows not written, {len(self._spilled)} put aside")
        if not refused and journal.held:
            self._wrong = self._wrong or Violation(f"P4: a writer went with {journal.held} lines and said nothing")
        # Cancelled, it may have been refused a sync, which nobody waits for; else its end is the promise of all.
        self.ended = not refused and not task.cancelled()

    def _unhandled(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Crash):
            self._wrong = self._wrong or error or Violation(str(context["message"]))

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except Violation as violation:
            self._wrong = self._wrong or violation

    @staticmethod
    def _count(lines: Any, kind: str) -> int:
        found: int = getattr(lines, f"{kind}s")
        return found
