"""One pass after the other over a run's folder: what is durable there and not in the mirror yet is shipped.

Kept here:
1. Of the journal only what a sync has vouched for is shipped, by the lock's mark; whole lines where there are no
   syncs (`--durability process`). So what is shipped stays what it is.
2. The head comes last: whatever ends a pass, the mirror is one that can be restored.
3. A mirror that holds lines of this run which its folder lacks is never written over: they were paid for.
4. Another process that writes to the mirror ends this one's part in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from herogen_async.core.errors import InputError
from herogen_async.generation.mirror.layout import (
    HEAD,
    PARTS,
    MirrorHead,
    Part,
    Piece,
    WholeFile,
    gaps_between,
    pieces_of,
)
from herogen_async.generation.mirror.storage import Storage
from herogen_async.generation.run_folder import LockFile, RunFolder, read_manifest
from herogen_async.generation.run_folder.layout import segment_number
from herogen_async.generation.run_folder.lock import page_at_rest
from herogen_async.generation.run_folder.own_file import end_of_lines, own_bytes, own_file

RANGE_BYTES = 16 << 20  # held in memory; a range that is larger becomes several
_READ = 1 << 20


class Shipper:
    """Ships the folder of one session. `syncs`: its durability has any. For the process that holds the run's lock."""

    def __init__(self, folder: RunFolder, storage: Storage, uri: str, *, syncs: bool, now: Callable[[], str]) -> None:
        self._folder = folder
        self._storage = storage
        self._uri = uri
        self._syncs = syncs
        self._now = now
        self._session = secrets.token_hex(4)
        self._head: MirrorHead | None = None
        self._shipped: dict[str, int] = {}
        self._began: dict[str, int] = {}  # from which byte of each file on this session ships
        self._gaps: dict[str, list[tuple[int, int]]] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}  # of files that are replaced whole
        self._is_begun = False
        self._has_head = False  # one of this session

    def begin(self) -> None:
        """See what the mirror holds. Raises MirrorError where that can't be seen, and InputError where it holds another
        run, or more of this one than its folder.
        """
        if self._is_begun:
            return
        head = read_head(self._storage, self._uri)
        if head is not None:
            self._require_own(head)
            parts = held_parts(self._storage)
            began: dict[str, int] = {}
            for file in sorted({part.file for part in parts}):
                pieces = pieces_of(file, parts, head.sessions)
                began[file] = self._agreed(file, pieces)
                self._gaps[file] = [gap for gap in gaps_between(pieces, 0) if gap[1] <= began[file]]
            self._shipped, self._began = dict(began), began
            self._head = head
        self._is_begun = True

    def ship(self, *, is_last: bool = False) -> None:
        """Ship all that is new. Raises MirrorError, InputError, OSError."""
        self.begin()
        page = own_bytes(self._folder.lock)
        sent = 0
        for file, stop in self._ranges(page):
            sent += self._ship_range(file, stop)
        whole = dict(self._head.whole) if self._head is not None else {}
        changed = self._ship_whole(whole)
        if sent or changed or is_last or not self._has_head:
            self._put_head(page, whole, is_last=is_last)

    def behind(self) -> int:
        """Bytes of the folder that are not in the mirror."""
        try:
            ranges = list(self._ranges(own_bytes(self._folder.lock)))
        except OSError:
            return 0
        return sum(max(stop - self._shipped.get(file, 0), 0) for file, stop in ranges)

    # -- what the mirror holds ---------------------------------------------------------------------------------

    def _require_own(self, head: MirrorHead) -> None:
        run = read_manifest(self._folder).created_at if self._folder.is_run else None
        if run != head.run:
            raise InputError(
                f"the mirror at {self._uri} holds another run ({head.name}, made at {head.run})",
                fix="give each run a URI of its own; `herogen-async restore` makes that run's folder again",
            )

    def _agreed(self, file: str, pieces: list[Piece]) -> int:
        """Up to which byte the mirror's pieces are the folder's, too."""
        path = self._folder.path / file
        for piece in reversed(pieces):
            if self._holds(path, piece):
                return piece.stop
            if _is_journal(file):
                raise InputError(
                    f"the mirror at {self._uri} holds lines of {file} that this folder lacks",
                    fix=f"make it again: herogen-async restore {self._uri} --run NAME; or give another --mirror",
                )
        return 0

    def _holds(self, path: Path, piece: Piece) -> bool:
        part = piece.part
        try:
            with own_file(path) as file:
                file.seek(piece.start)
                data = file.read(piece.stop - piece.start)
        except OSError:
            return False
        if (piece.start, piece.stop) == (part.offset, part.stop):
            return len(data) == part.length and crc32(data) == part.crc
        held = self._storage.get(part.key) or b""  # only a part of it counts, which has no checksum of its own
        return data == held[piece.start - part.offset : piece.stop - part.offset]

    # -- what is shipped ---------------------------------------------------------------------------------------

    def _ranges(self, page: bytes) -> Iterator[tuple[str, int]]:
        """The appended files, and up to which byte each may be shipped."""
        mark = LockFile(page).mark if self._syncs else None
        if not self._syncs or (mark is not None and not mark.in_doubt):
            for path in self._folder.segments():
                number = segment_number(path)
                if mark is None or number < mark.segment:
                    # A sealed one is read once.
                    size = path.stat().st_size
                    yield path.name, size if size == self._shipped.get(path.name) else end_of_lines(path)
                elif number == mark.segment:
                    yield path.name, mark.rows
            yield self._folder.failures.name, end_of_lines(self._folder.failures) if mark is None else mark.failures
        for path in (self._folder.events, self._folder.marks):
            yield path.name, end_of_lines(path)

    def _ship_range(self, file: str, stop: int) -> int:
        sent = 0
        for start, end in [*self._gaps.pop(file, []), (self._shipped.get(file, 0), stop)]:
            at = start
            while at < end:
                data = _lines_from(self._folder.path / file, at, end)
                if not data:
                    break
                self._storage.put(Part(file, at, len(data), self._session, crc32(data)).key, data)
                at += len(data)
                sent += len(data)
                self._shipped[file] = max(self._shipped.get(file, 0), at)
        return sent

    def _ship_whole(self, whole: dict[str, WholeFile]) -> bool:
        changed = False
        kept = {path.relative_to(self._folder.path).as_posix(): path for path in self._folder.kept_sources()}
        for file, path in {
            **kept,
            **{each.name: each for each in (self._folder.damage, self._folder.manifest)},
        }.items():
            try:
                stat = path.stat()
            except FileNotFoundError:
                changed = whole.pop(file, None) is not None or changed
                continue
            seen = stat.st_ino, stat.st_size, stat.st_mtime_ns
            if self._seen.get(file) == seen:
                continue
            now = _whole_file(path)
            if whole.get(file) != now:
                self._storage.put_file(now.key(file), path)
                whole[file] = now
                changed = True
            self._seen[file] = seen
        return changed

    def _put_head(self, page: bytes, whole: dict[str, WholeFile], *, is_last: bool) -> None:
        manifest = read_manifest(self._folder)
        sessions = () if self._head is None else self._head.sessions
        if not self._has_head:
            sessions = (*sessions, (self._session, self._began))
        elif (other := read_head(self._storage, self._uri)) is not None and other.sessions[-1][0] != self._session:
            raise InputError(f"another process writes to the mirror at {self._uri}: this one stops")
        self._head = MirrorHead(
            manifest.created_at,
            str(manifest.spec.get("name", "")),
            self._now(),
            sessions,
            dict(self._shipped),
            whole,
            (page_at_rest(page) if is_last else page).hex(),
            is_last,
        )
        self._storage.put(HEAD, self._head.in_bytes())
        self._has_head = True


def read_head(storage: Storage, uri: str) -> MirrorHead | None:
    """The head of the mirror at `uri`; None where there is none. Raises MirrorError, and InputError for no head."""
    data = storage.get(HEAD)
    if data is None:
        return None
    try:
        return MirrorHead.read(data)
    except ValueError as error:
        raise InputError(
            f"{HEAD} at {uri} is not the head of a mirror: {error}",
            fix="is this the URI of a mirror, and written by this version?",
        ) from None


def held_parts(storage: Storage) -> list[Part]:
    """The parts that are there, of whichever session. Raises MirrorError."""
    return [part for key in storage.keys(PARTS) if (part := Part.at(key)) is not None]


def _is_journal(file: str) -> bool:
    """Whether `file` holds rows, or what failed of them: what was paid for."""
    return file.startswith("rows-") or file == "failures.jsonl"


def _lines_from(path: Path, start: int, stop: int) -> bytes:
    """Whole lines from `start` on, as many as a part has room for, one at least; up to `stop`, where a line ends."""
    with own_file(path) as file:
        file.seek(start)
        data = file.read(min(stop - start, RANGE_BYTES))
        if start + len(data) < stop:
            end = data.rfind(b"\n") + 1
            data = data[:end] if end else data + file.readline()
    return data


def _whole_file(path: Path) -> WholeFile:
    size = crc = 0
    with own_file(path) as file:
        while data := file.read(_READ):
            size, crc = size + len(data), crc32(data, crc)
    return WholeFile(size, crc)
