"""A disk in memory that crashes, fails and forgets as badly as POSIX and the file systems allow.

It is a `journal.disk.Disk` of one folder. A file is what processes see (`seen`: the page cache) and what a power cut
leaves (`kept`); pages between the two are dirty. What may happen, all from one seed:

- a crash before, inside or after any call: `Crash` is raised, and by every later call until `kill` or `cut_power`.
  A kill spares the page cache. A power cut takes each page that is not synced as it is, as it was, zeroed or garbled;
  sizes, cuts and names that are not synced may come or go, each on its own;
- a call refused with an OSError, once or for a while; a write refused half way, a write that takes only a part;
- a refused sync: any of the dirty pages are forgotten and taken for clean. Processes still see them, the disk does not
  have them, and the next sync says yes. Writing in the background fails the same way, and is told by the next sync.
  Those whose blocks were never written before may be lost for good: written again at the same place they are seen,
  synced, and still not there after a power cut, until the file is cut there (as ext4 does with unwritten extents);
- clean pages leave the cache: then what is seen is what the disk has;
- another thread in the middle of a sync: `beside` is called there.

Two mercies. Bytes of a page that were synced before and not written since are never garbled ("powersafe overwrite", as
SQLite takes it); nobody could append to a file without it. And no block is lost for good by a refused sync in the midst
of which the process ends: nobody could know of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
NEVER = 1 << 62
DEAD = 0  # the event of every call after a crash


class Crash(BaseException):
    """The process is gone; nobody can catch it."""


class File:
    """One inode."""

    __slots__ = ("dirty", "kept", "refused", "seen", "unwritten")

    def __init__(self) -> None:
        self.seen = bytearray()
        self.kept = bytearray()
        self.dirty: list[tuple[int, int]] = []
        self.refused = False  # a write in the background failed; the next sync says so
        self.unwritten: set[int] = set()  # pages that no writing at the same place brings to the disk


class Faults(NamedTuple):
    """By the call's number; `refuse_until` is the first that is not refused any more."""

    crash_at: int
    refuse_from: int
    refuse_until: int
    pressure_at: int


class SimulatedDisk:
    """One folder. What goes wrong is planned by `plan`; the rest is left to `random`."""

    def __init__(self, random: Random, page: int = 64) -> None:
        self.beside: Callable[[], None] | None = None
        self.forgot = False  # a page left the cache that was nowhere else: the disk had refused it
        self.short_writes = False
        self.calls = 0
        self._random = random
        self._page = page
        self._names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}
        self._renames: list[tuple[str, str, File]] = []  # (old, new, file), "" is none; not durable yet
        self._open: dict[int, File] = {}
        self.plan()

    def plan(
        self, *, crash_in: int = NEVER, refuse_in: int = NEVER, refusals: int = 0, pressure_in: int = NEVER
    ) -> None:
        """What goes wrong, counted in calls from now on."""
        now = self.calls
        self._faults = Faults(now + crash_in, now + refuse_in, now + refuse_in + refusals, now + pressure_in)
        self._event = min(self._faults)

    # What a process calls.

    def open(self, path: Path) -> int:
        fate = self._fate()
        if isinstance(fate, OSError):
            raise OSError(self._random.choice((errno.EMFILE, *ERRORS)), "refused")
        if fate is not None and self._coin():
            raise fate
        name = path.name
        file = self._names.get(name)
        if file is None:
            file = self._names[name] = File()
            self._renames.append(("", name, file))
        if fate is not None:
            raise fate
        self._open[self.calls] = file
        return self.calls

    def size(self, file: int) -> int:
        if (fate := self._fate()) is not None:
            raise fate
        return len(self._open[file].seen)

    def read(self, file: int, size: int, offset: int) -> bytes:
        if (fate := self._fate()) is not None:
            raise fate
        return bytes(self._open[file].seen[offset : offset + size])

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        fate = self._fate()
        node = self._open[file]
        size = len(data)
        if fate is not None or (self.short_writes and self._coin()):
            size = self._random.choice((0 if fate else 1, self._random.randint(1, size), size))
        seen = node.seen
        if offset > len(seen):
            seen.extend(bytes(offset - len(seen)))
        seen[offset : offset + size] = data[:size]
        if size:
            node.dirty.append((offset, offset + size))
        if fate is not None:
            raise fate
        return size

    def cut(self, file: int, size: int) -> None:
        fate = self._fate()
        if fate is not None and (isinstance(fate, OSError) or self._coin()):
            raise fate
        seen = self._open[file].seen
        if size > len(seen):
            seen.extend(bytes(size - len(seen)))
        del seen[size:]
        node = self._open[file]
        node.unwritten = {page for page in node.unwritten if page * self._page < size}
        if fate is not None:
            raise fate

    def sync(self, file: int) -> None:
        fate = self._fate()
        node = self._open[file]
        beside, self.beside = self.beside, None
        if beside is not None and self._coin():
            beside()
            beside = None
        if node.refused and fate is None:
            node.refused, fate = False, OSError(errno.EIO, "an earlier write was refused")
        dirty, size, unwritten = node.dirty, len(node.seen), set(node.unwritten)
        if fate is None:
            self._store(node, dirty, size)
            node.dirty = []
        else:
            part = [span for span in dirty if self._coin()]
            self._store(node, part, size if self._coin() else min(len(node.kept), size))
            if isinstance(fate, OSError):  # the rest is forgotten
                self._forsake(node, [span for span in dirty if span not in part])
                node.dirty = []
        if beside is not None:
            try:
                beside()
            except Crash:
                node.unwritten = unwritten  # the second mercy
                raise
        if fate is not None:
            raise fate

    def drop_cache(self, file: int, offset: int) -> None:
        fate = self._fate()
        node = self._open[file]
        if isinstance(fate, Crash) and self._coin():
            raise fate
        if node.dirty and self._coin():
            self._store(node, node.dirty, len(node.seen))
            node.dirty = []
        self._forget(node, offset)
        if isinstance(fate, Crash):
            raise fate

    def is_at(self, path: Path, file: int) -> bool:
        if (fate := self._fate()) is not None:
            raise fate
        return self._names.get(path.name) is self._open[file]

    def close(self, file: int) -> None:
        fate = self._fate()
        del self._open[file]
        if fate is not None:
            raise fate

    def rename(self, old: Path, new: Path) -> None:
        fate = self._fate()
        if fate is not None and self._coin():
            raise fate
        file = self._names[new.name] = self._names.pop(old.name)
        self._renames.append((old.name, new.name, file))
        if fate is not None:
            raise fate

    def remove(self, path: Path) -> None:
        fate = self._fate()
        if fate is not None and self._coin():
            raise fate
        self._renames.append((path.name, "", self._names.pop(path.name)))
        if fate is not None:
            raise fate

    def names(self, folder: Path) -> list[str]:
        if (fate := self._fate()) is not None:
            raise fate
        return list(self._names)

    def sync_names(self, folder: Path) -> None:
        fate = self._fate()
        if fate is not None and self._coin():
            self._keep_names(all_of_them=False)
        elif fate is None or self._coin():
            self._keep_names(all_of_them=True)
        if fate is not None:
            raise fate

    # What happens to it.

    def kill(self) -> None:
        """The process is gone, the machine goes on."""
        self._open.clear()
        self.beside = None
        self.plan()

    def cut_power(self) -> None:
        """The machine starts again with what the disk has."""
        self._keep_names(all_of_them=False)
        self._renames.clear()
        self._names = dict(self._durable_names)
        for file in self._names.values():
            self._lose(file)
        self.forgot = False
        self.kill()

    def rot(self, name: str, start: int, data: bytes) -> None:
        """Bytes of a file are `data` from now on, on the disk itself; nobody wrote them."""
        file = self._names[name]
        file.seen[start : start + len(data)] = data
        file.kept[start : start + len(data)] = data

    def content(self) -> dict[str, bytes]:
        """All files, as a process would see them; not a call."""
        return {name: bytes(file.seen) for name, file in self._names.items()}

    def leaked(self) -> bool:
        """Whether a process that goes on holds a descriptor."""
        return bool(self._open) and self._event != DEAD

    # How it happens.

    def _fate(self) -> Crash | OSError | None:
        """What is to be raised by this call, before, inside or after its work."""
        self.calls += 1
        if self.calls < self._event:
            return None
        faults = self._faults
        if self._event == DEAD or self.calls == faults.crash_at:
            self._event = DEAD
            return Crash()
        if self.calls == faults.pressure_at:
            self._press()
        self._event = min((at for at in faults if at > self.calls), default=NEVER)
        if faults.refuse_from <= self.calls < faults.refuse_until:
            self._event = self.calls + 1
            return OSError(self._random.choice(ERRORS), "refused")
        return None

    def _coin(self) -> bool:
        return self._random.random() < 0.5

    def _press(self) -> None:
        """Memory is short: dirty pages are written, perhaps in vain, and clean ones leave the cache."""
        for file in self._names.values():
            if file.dirty and self._coin():
                if self._coin():
                    self._store(file, file.dirty, len(file.seen))
                else:
                    file.refused = True
                    part = [span for span in file.dirty if self._coin()]
                    self._store(file, part, len(file.kept))
                    self._forsake(file, [span for span in file.dirty if span not in part])
                file.dirty = []
            if self._coin():
                self._forget(file, 0)

    def _store(self, file: File, dirty: list[tuple[int, int]], size: int) -> None:
        """Bring the pages that these bytes are in, and this size, to the disk."""
        seen, kept, page = file.seen, file.kept, self._page
        size = min(size, len(seen))
        if size > len(kept):
            kept.extend(bytes(size - len(kept)))
        del kept[size:]
        for start, end in dirty:
            for number in range(start // page, -(-min(end, size) // page)):
                if number not in file.unwritten:
                    first, last = number * page, min(number * page + page, size)
                    kept[first:last] = seen[first:last]

    def _forsake(self, file: File, lost: list[tuple[int, int]]) -> None:
        """The disk refused these bytes: pages of which it never had any may not take them at that place any more."""
        if self._coin():
            return
        page = self._page
        for start, end in lost:
            for number in range(start // page, -(-min(end, len(file.seen)) // page)):
                if not any(file.kept[number * page : number * page + page]):
                    file.unwritten.add(number)

    def _forget(self, file: File, start: int) -> None:
        """What is clean from `start` on is seen as the disk has it."""
        seen, page = file.seen, self._page
        if seen == file.kept:
            return
        start -= start % page
        size = len(seen)
        fresh = seen[:start] + file.kept[start:size]
        fresh.extend(bytes(size - len(fresh)))
        for first, last in file.dirty:
            start, end = first - first % page, min(last + -last % page, size)
            if start < end:
                fresh[start:end] = seen[start:end]
        if fresh != seen:
            self.forgot = True
            file.seen = fresh

    def _lose(self, file: File) -> None:
        """A power cut."""
        seen, kept = file.seen, file.kept
        if file.dirty or len(seen) != len(kept):
            size = len(kept)
            if len(seen) > size:
                size = self._random.choice((size, len(seen), len(seen), self._random.randint(size, len(seen))))
            elif self._coin():
                size = len(seen)
            if size > len(kept):
                kept.extend(bytes(size - len(kept)))
            self._lose_pages(file)
            del kept[size:]
            file.dirty = []
        file.refused = False
        file.unwritten.clear()
        file.seen = bytearray(kept)

    def _lose_pages(self, file: File) -> None:
        random, page, size = self._random, self._page, min(len(file.seen), len(file.kept))
        spans: dict[int, tuple[int, int]] = {}  # of each page, what was written
        for start, end in file.dirty:
            for number in range(start // page, -(-min(end, size) // page)):
                first, last = max(start, number * page), min(end, number * page + page, size)
                if first < last and number not in file.unwritten:
                    low, high = spans.get(number, (first, last))
                    spans[number] = min(low, first), max(high, last)
        fates = random.choice(
            ("keep old zero garble", "keep keep keep zero", "keep old", "garble keep", "keep")
        ).split()
        for first, last in spans.values():
            fate = random.choice(fates)
            if fate == "keep":
                file.kept[first:last] = file.seen[first:last]
            elif fate == "zero":
                file.kept[first:last] = bytes(last - first)
            elif fate == "garble":
                file.kept[first:last] = _garbled(file.seen[first:last], random)

    def _keep_names(self, *, all_of_them: bool) -> None:
        left: list[tuple[str, str, File]] = []
        for change in self._renames:
            if all_of_them or self._coin():
                old, new, file = change
                self._durable_names.pop(old, None)
                left = [each for each in left if each[1:] != (old, file)]  # it has one name, never both
                if new:
                    self._durable_names[new] = file
            else:
                left.append(change)
        self._renames = left


def _garbled(data: bytearray, random: Random) -> bytes:
    if random.random() < 0.5:
        return random.randbytes(len(data))
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)  # one bit is enough
    return bytes(data)
