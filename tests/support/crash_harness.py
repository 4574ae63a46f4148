"""Sessions of a run on a disk that crashes, one after another, and what must be true after each.

A `Scenario` is one seed: a few sessions over the product's own `Store`, `Acknowledged` and `repair_tails`, called in
the order in which `writer` calls them. After each crash the run is repaired, which may crash and fail too, and every
line is read back. A promise that was not kept is a `Violation`:

- of the lines that were told to be done (`Acknowledged`), a kill takes none, nor any that was written; a power cut
  takes none with `power`, at most the AHEAD youngest with `periodic`, any with `process`. What was read back once, and
  what a session that ended well has written, is there for ever, at any level;
- every line is one that was written, whole, with its end; the lines of one task are all the same;
- after errors, a session writes and tells all of its lines, once, or it says that it gave up;
- a repair drops no line that can be read, keeps each byte that it cuts, and leaves nothing to the next repair to do.

The one excuse: what a disk has refused to keep, and has let go of since, is gone with the process that knew it.

The page of the lock file is modelled by `_marks`: a kill spares it, a power cut may bring back any older one, or none.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

from herogen_async.core.codec import sealed_line
from herogen_async.core.errors import DiskError
from herogen_async.generation.journal.repair import tail_repair
from herogen_async.generation.journal.write.store import Acknowledged, Batch, LineCount, Store
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.settings import Durability
from support.simulated_disk import NEVER, Crash, SimulatedDisk


class Folder(RunFolder):
    """Making a Path takes longer than all that is done with it here."""

    failures = Path("run/failures.jsonl")

    @staticmethod
    @cache
    def segment(number: int) -> Path:
        return Path(f"run/rows-{number:05d}.jsonl")


FOLDER = Folder(Path("run"))
START = datetime(2026, 1, 1, tzinfo=UTC)
AHEAD = 5  # for the product's 256, so that short sessions come to it
TRIES = 6
DURABILITIES: tuple[Durability, ...] = ("process", "periodic", "power")
JOURNAL = re.compile(r"rows-\d{5}\.jsonl|failures\.jsonl")
_ROWS = re.compile(r"rows-\d{5}\.(jsonl|saving-\d+)")

Key = tuple[str, int]  # "row" or "failure", and which
_lines: dict[tuple[Key, int], bytes] = {}  # an answer of a task; what was lost is asked again, and answered otherwise
_known: dict[bytes, tuple[Key, int]] = {}


class Violation(AssertionError):
    """A promise that was not kept."""


def line_of(key: Key, version: int) -> bytes:
    """The same for each scenario; of any length between a part of a page and a few."""
    line = _lines.get((key, version))
    if line is None:
        size = hash((key[1], version, len(key[0]))) % 90
        line = _lines[key, version] = sealed_line({"key": key[1], "is": key[0], "version": version, "text": "x" * size})
        _known[line[:-1]] = key, version
    return line


def key_of(line: bytes) -> Key | None:
    """Whose line it is, None when nobody wrote it; without its newline."""
    known = _known.get(line)
    return known and known[0]


class Scenario:
    """One seed's sessions and crashes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = SimulatedDisk(self.random, self.random.choice((16, 64, 256)))
        self.durability = self.random.choice(DURABILITIES)
        self.segment_bytes = self.random.choice((200, 600, 1 << 30))
        self.crashes = 0
        self._marks: list[Mark | None] = [None]  # all that the page of the lock file may hold after a power cut
        self._done: dict[Key, int] = {}  # read back after a repair: there for ever
        self._doubles = 0
        self._repairs = 0
        self._versions: Counter[Key] = Counter()
        self._next = {"row": 0, "failure": 0}

    def run(self) -> int:
        """How many crashes there were, all of them survived; or Violation."""
        self._repair()
        for session in self._sessions():
            self._plan_faults()
            with contextlib.suppress(Crash):
                session.run()
            self._recover(session)
        return self.crashes

    def fresh(self, kind: str) -> tuple[Key, bytes]:
        """An answer that was not there before."""
        number = self._next[kind]
        while (kind, number) in self._done:
            number += 1
        self._next[kind] = number + 1
        key = kind, number
        return key, line_of(key, self._versions[key])

    def version(self, key: Key) -> int:
        """Which answer of a task this session has."""
        return self._versions[key]

    def vouch(self, mark: Mark) -> None:
        """The lock's page says so now; a power cut may still bring back an older one."""
        self._marks.append(mark)

    def _sessions(self) -> Iterator[Session]:
        for _ in range(self.random.randint(2, 6)):
            yield Session(self)

    def _at(self) -> datetime:
        self._repairs += 1
        return START + timedelta(seconds=self._repairs)

    def _plan_faults(self) -> None:
        random = self.random
        self.disk.short_writes = random.random() < 0.2
        crash_in = random.randint(1, 30) if random.random() < 0.9 else NEVER
        if random.random() < 0.5:
            self.disk.plan(crash_in=crash_in)
            return
        self.disk.plan(
            crash_in=crash_in,
            refuse_in=random.randint(1, 25),
            refusals=random.choice((1, 1, 2, 5, 30)),
            pressure_in=random.randint(1, 25) if random.random() < 0.4 else NEVER,
        )

    def _plan_faults_of_a_repair(self) -> None:
        random = self.random
        fate = random.random()
        self.disk.plan(
            crash_in=random.randint(1, 25) if fate < 0.3 else NEVER,
            refuse_in=random.randint(1, 20) if 0.2 < fate < 0.4 else NEVER,
            refusals=random.choice((1, 3)),
        )

    def _crash(self) -> bool:
        """Whether the power was cut; a kill otherwise."""
        self.crashes += 1
        if self.random.random() < 0.4:
            self.disk.kill()
            return False
        self.disk.cut_power()
        mark = self.random.choice((*self._marks[-3:], self.random.choice(self._marks)))
        self._marks = [None if self.random.random() < 0.1 else mark]
        return True

    def _recover(self, session: Session) -> None:
        power = self._crash()
        before = self.disk.content()
        left = _is_saving(before)  # its removal was refused, or not durable yet; or a repair was stopped
        while True:
            forgot = self.disk.forgot
            self._plan_faults_of_a_repair()
            try:
                if self._repair():
                    break
            except Crash:
                # What was on the disk after one power cut is there after the next.
                left = left or _is_saving(self.disk.content())
                if self._crash() and not power:
                    power, before = True, self.disk.content()
        self.disk.plan()
        self.disk.forgot = False
        after = self.disk.content()
        found, lines = read_back(after)
        self._check(before, after, found, forgot=forgot)
        session.check(found, power=power, forgot=forgot)
        if session.ended and not left and lines - len(found) > self._doubles:
            raise Violation("D5: a session that ended well wrote a line twice")
        if self.random.random() < 0.1:
            self._check_repeated(after)
        self._done, self._doubles = found, lines - len(found)
        for kind, end in self._next.items():
            for number in range(end):
                if (kind, number) not in found:
                    self._versions[kind, number] += 1  # asked again, and answered otherwise
            self._next[kind] = 0

    def _repair(self) -> bool:
        """One try, which may crash; False when the disk refused."""
        try:
            _, mark = tail_repair.repair_tails(FOLDER, self._at(), self._marks[-1], self.disk)
        except DiskError:
            if (latest := self._marks[-1]) is not None:
                self.vouch(latest._replace(in_doubt=1))
            return False
        finally:
            if self.disk.leaked():
                raise Violation("a repair left a file open")
        self.vouch(mark)
        return True

    def _check(self, before: dict[str, bytes], after: dict[str, bytes], found: dict[Key, int], *, forgot: bool) -> None:
        for key, version in self._done.items():
            if found.get(key) != version:
                raise Violation(f"P2: {key} was read back after an earlier crash, and now it is {found.get(key)}")
        if forgot:
            return
        for name, content in before.items():
            if _ROWS.fullmatch(name):
                for line in content.replace(b"\0", b"\n").split(b"\n"):
                    if (known := _known.get(line)) and found.get(known[0]) != known[1]:
                        raise Violation(f"{known[0]} was readable in {name} after the crash, and was dropped")
            if JOURNAL.fullmatch(name) and after.get(name) not in (content, content + b"\n"):
                stem = f"{name[:-6]}.torn-"
                kept = [after[torn] for torn in sorted(after.keys() - before.keys()) if torn.startswith(stem)]
                if not after.get(name, b"").startswith(content[: _start_of_what_is_kept(content, kept)]):
                    raise Violation(f"D3: what was cut off {name} is kept nowhere")

    def _check_repeated(self, content: dict[str, bytes]) -> None:
        for mark in (self._marks[-1], self.random.choice((*self._marks, None))):
            # One of a refused sync before would have it all written again.
            newest = mark and mark._replace(in_doubt=0)
            torn, again = tail_repair.repair_tails(FOLDER, self._at(), newest, self.disk)
            if torn or again != self._marks[-1] or content != self.disk.content():
                raise Violation(f"a repaired run was repaired again: {torn}, {again} after {self._marks[-1]}")


class Session:
    """One process that writes, until it ends or crashes."""

    def __init__(self, scenario: Scenario) -> None:
        self.ended = False
        self._scenario = scenario
        self._random = scenario.random
        self._disk = scenario.disk
        self._given: dict[str, list[Key]] = {"row": [], "failure": []}  # in the order of writing
        self._told = LineCount()
        self._written = LineCount()  # the store's own
        self._refused = False  # a sync was, and is not healed yet
        self._gave_up = False

    def run(self) -> None:
        """As `JournalWriter.run`; after an OSError that stays, the session ends and says so."""
        scenario = self._scenario
        keeps = scenario.durability != "process"
        try:
            self._store = Store(FOLDER, self._disk, segment_bytes=scenario.segment_bytes, keeps=keeps)
        except OSError:
            return
        try:
            self._store.open()
        except OSError:
            self._close()
            return
        self._written = self._store.written
        self._acknowledged = Acknowledged(self._store, scenario.durability, ahead=AHEAD)
        for _ in range(self._random.randint(1, 8)):
            self._write()
            if not self._gave_up:
                self._keep_durable()
            if self._gave_up:
                break
        else:
            self.ended = self._end()
        self._close()

    def check(self, found: dict[Key, int], *, power: bool, forgot: bool) -> None:
        """Raise Violation unless what was promised is in `found`."""
        for kind, keys in self._given.items():
            told, written = getattr(self._told, f"{kind}s"), getattr(self._written, f"{kind}s")
            if self.ended and not told == written == len(keys):
                raise Violation(f"P9: the session ended well with {told} {kind}s told of {len(keys)}")
            if self.ended or not power:
                promised = 0 if forgot else written
            else:
                promised = {"process": 0, "periodic": told - AHEAD, "power": told}[self._scenario.durability]
            lost = [key for key in keys[: max(promised, 0)] if key not in found]
            if lost:
                what = "P2: a power cut" if power else "P1: a kill"
                raise Violation(f"{what} took {lost} of {promised} {kind}s, {self._scenario.durability}")

    def _close(self) -> None:
        self._store.close()
        if self._disk.leaked():
            raise Violation("a session left a file open")

    def _write(self) -> None:
        """Write some lines; when the disk refuses for too long, the session gives up."""
        batch = Batch()
        for kind, lines, most in (("row", batch.rows, 4), ("failure", batch.failures, 1)):
            for _ in range(self._random.randint(kind == "row", most)):
                key, line = self._scenario.fresh(kind)
                self._given[kind].append(key)
                lines.append(line)
        for _ in range(TRIES):
            try:
                self._store.write(batch)
            except OSError:
                self._acknowledge()
            else:
                self._acknowledge()
                return
        self._gave_up = True

    def _keep_durable(self) -> None:
        if self._refused and self._store.keeps:
            self._heal()
        elif self._store.is_segment_full and not self._refused:
            try:
                self._store.roll()
            except OSError:
                self._refuse()
        if self._store.keeps and not self._refused and self._random.random() < 0.5:
            self._sync(self._write if self._random.random() < 0.3 else None)
        self._acknowledge()

    def _sync(self, beside: Callable[[], None] | None = None) -> None:
        self._disk.beside = beside
        try:
            self._store.sync()
        except OSError:
            self._refuse()
        else:
            self._scenario.vouch(self._store.mark)
        self._disk.beside = None

    def _refuse(self) -> None:
        self._refused = True
        self._scenario.vouch(self._store.mark)

    def _heal(self) -> None:
        try:
            self._store.heal()
        except OSError:
            return
        self._refused = self._disk.forgot = False
        self._scenario.vouch(self._store.mark)

    def _end(self) -> bool:
        if not self._refused:
            self._sync()
        for _ in range(TRIES if self._store.keeps else 0):
            if self._refused:
                self._heal()
        self._acknowledge()
        return not self._refused

    def _acknowledge(self) -> None:
        fresh = self._acknowledged.more(sync_is_late=self._refused)
        self._told.rows += fresh.rows
        self._told.failures += fresh.failures


def _is_saving(content: dict[str, bytes]) -> bool:
    return any(".saving-" in name for name in content)


def _start_of_what_is_kept(content: bytes, kept: list[bytes]) -> int:
    """Where the end of `content` begins that lies in these pieces: several, where a repair was refused between cuts."""
    start = len(content)
    for torn in kept:
        # The newline that a repair adds was not there, and may be a zero after a power cut.
        for piece in (torn, torn.removesuffix(b"\n"), torn.rstrip(b"\0")):
            if content.endswith(piece):
                start = min(start, len(content) - len(piece))
            elif content[:start].endswith(piece):
                start -= len(piece)
    return start


def read_back(content: dict[str, bytes]) -> tuple[dict[Key, int], int]:
    """What is in the files of a repaired run, and in how many lines. Violation when a line is not what was written."""
    found: dict[Key, int] = {}
    lines = 0
    for name, data in content.items():
        if not JOURNAL.fullmatch(name):
            continue
        *whole, rest = data.split(b"\n")
        if rest:
            raise Violation(f"P3: {name} does not end in a newline")
        lines += len(whole)
        for line in whole:
            known = _known.get(line)
            if known is None:
                raise Violation(f"P3: {name} has the line {line!r}, which nobody wrote")
            if found.setdefault(known[0], known[1]) != known[1]:
                raise Violation(f"D5: {known[0]} has two answers")
    return found, lines
