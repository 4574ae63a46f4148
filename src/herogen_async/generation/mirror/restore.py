"""A run's folder, made again from its mirror.

It grows beside its place, under a name with a dot, and gets its own name when it is whole. A restore that was
interrupted goes on with what it has: each part is compared with its checksum, and fetched where it isn't that.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from herogen_async.core.errors import DiskError, InputError, RunFolderError
from herogen_async.generation.journal.verify import Verdict, verify
from herogen_async.generation.mirror.layout import MirrorHead, Part, Piece, WholeFile, gaps_between, pieces_of
from herogen_async.generation.mirror.ship import held_parts, read_head
from herogen_async.generation.mirror.storage import Storage, open_storage
from herogen_async.generation.run_folder import RunFolder, find_run
from herogen_async.generation.run_folder.disk import REAL, put, write_all
from herogen_async.generation.run_folder.lock import without_mark
from herogen_async.generation.run_folder.publish import make_folder

_ORIGIN = ".restoring"  # says of which mirror a folder is that is not whole yet
_OWN = re.compile(r"rows-\d{5}\.jsonl|(?:failures|events|marks)\.jsonl|(?:manifest|damage)\.json|sources/[^./][^/]*")


@dataclass(frozen=True, slots=True)
class Restored:
    """A run's folder that was made again. `missing` says what the mirror lacks, or has damaged: a sentence each.

    `shipped_at` is when the last of it was shipped; `is_complete`: the run's session had ended by then, and all of it
    was shipped. `verdict` is what `verify` found in it.
    """

    run: str
    size: int
    shipped_at: str
    is_complete: bool
    missing: tuple[str, ...]
    verdict: Verdict

    @property
    def exit_code(self) -> int:
        """4 for damage, as `verify` has it."""
        return 4 if self.missing else self.verdict.exit_code

    @property
    def next(self) -> str:
        """The command that a person wants next."""
        if self.exit_code:
            return self.verdict.next
        return f"herogen-async resume {RunFolder(Path(self.run)).argument}"

    def lines(self) -> list[str]:
        """For people."""
        ended = "the run's session had ended" if self.is_complete else "the run was at work"
        return [
            f"Restored {self.run}: {self.size:,} bytes, as of {self.shipped_at}; {ended} by then.",
            *self.missing,
            *self.verdict.lines(),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "run": self.run,
            "bytes": self.size,
            "shipped_at": self.shipped_at,
            "is_complete": self.is_complete,
            "missing": list(self.missing),
            "verified": self.verdict.as_dict(),
        }


def restore(
    uri: str,
    run: str | os.PathLike[str],
    *,
    on_bytes: Callable[[int], None] = lambda _: None,
    storage: Storage | None = None,
) -> Restored:
    """Make the folder of a run again from the mirror at `uri`, and verify it; `run` is a folder, or a name below
    `runs/`. `on_bytes` is told the size of each part once it is there.

    Raises InputError where there is no mirror, RunFolderError where there is a folder already, MirrorError, DiskError:
    then the same call goes on.
    """
    storage = storage or open_storage(uri)
    target = find_run(run)
    if os.path.lexists(target.path):
        raise RunFolderError(
            f"{str(target.path)!r} is there already", fix="give another --run: a restore writes over nothing"
        )
    head = read_head(storage, uri)
    if head is None:
        raise InputError(f"there is no mirror at {uri}", fix="give the URI that the run had with --mirror")
    parts = held_parts(storage)
    growing = target.path.with_name(f".{target.path.name}.restoring")
    made = _Growing(storage, growing, on_bytes)
    try:
        _begin(growing, f"{uri}\n{head.run}\n".encode())
        made.fill(head, parts)
        (growing / _ORIGIN).unlink()
        REAL.sync_names(growing)
        growing.rename(target.path)
        REAL.sync_names(target.path.parent)
    except OSError as error:
        raise DiskError(
            f"{str(growing)!r} can't be written: {error.strerror}", fix="free some space; the same command continues"
        ) from error
    return Restored(
        str(target.path), made.size, head.at, head.is_complete, tuple(made.missing), verify(str(target.path.absolute()))
    )


def _begin(growing: Path, origin: bytes) -> None:
    known = growing / _ORIGIN
    if growing.exists() and not (known.is_file() and known.read_bytes() == origin):
        shutil.rmtree(growing)  # of another mirror: it never was a run
    make_folder(growing)
    if not known.exists():
        put(REAL, known, origin)


@dataclass
class _Growing:
    """A folder that is being made again; `size` bytes of it are there."""

    storage: Storage
    path: Path
    on_bytes: Callable[[int], None]
    size: int = 0
    missing: list[str] = field(default_factory=list)

    def fill(self, head: MirrorHead, parts: list[Part]) -> None:
        """All that the mirror has. Raises MirrorError, OSError."""
        for file, whole in sorted(head.whole.items()):
            if self._is_own(file):
                self._fetch_whole(file, whole)
        by_file: dict[str, list[Part]] = {file: [] for file in head.sizes}
        for part in parts:
            by_file.setdefault(part.file, []).append(part)
        for file, own in sorted(by_file.items()):
            if self._is_own(file):
                self._fetch_appended(file, pieces_of(file, own, head.sessions), head.sizes)
        if head.lock:
            page = bytes.fromhex(head.lock)
            # Where lines are missing the mark would promise too much.
            put(REAL, self.path / "lock", without_mark(page) if self.missing else page)

    def _is_own(self, file: str) -> bool:
        if _OWN.fullmatch(file):
            return True
        self.missing.append(f"{file!r} in the mirror is no file of a run: it was left out.")
        return False

    def _fetch_whole(self, file: str, whole: WholeFile) -> None:
        path = self.path / file
        if not (path.is_file() and path.stat().st_size == whole.size and crc32(path.read_bytes()) == whole.crc):
            data = self.storage.get(whole.key(file))
            if data is None or (len(data), crc32(data)) != (whole.size, whole.crc):
                self.missing.append(f"{file} is {'missing' if data is None else 'damaged'} in the mirror.")
                return
            make_folder(path.parent)
            put(REAL, path, data)
        self._is_there(whole.size)

    def _fetch_appended(self, file: str, pieces: list[Piece], sizes: Mapping[str, int]) -> None:
        """The pieces one behind the other: a part begins and ends with a line, so those behind a gap are sound, too."""
        for start, stop in gaps_between(pieces, sizes.get(file, 0)):
            self.missing.append(f"{stop - start:,} bytes of {file}, from byte {start:,} on, are missing in the mirror.")
        descriptor = REAL.open(self.path / file)
        try:
            at = 0
            for piece in pieces:
                length = piece.stop - piece.start
                if not self._holds(descriptor, piece, at):
                    data = self.storage.get(piece.part.key)
                    if data is None or (len(data), crc32(data)) != (piece.part.length, piece.part.crc):
                        what = "missing" if data is None else "damaged"
                        self.missing.append(
                            f"{length:,} bytes of {file}, from byte {piece.start:,} on, are {what} in the mirror."
                        )
                        continue
                    begins = piece.start - piece.part.offset
                    write_all(REAL, descriptor, data[begins : begins + length], at)
                at += length
                self._is_there(length)
            REAL.cut(descriptor, at)
            REAL.sync(descriptor)
        finally:
            REAL.close(descriptor)

    def _holds(self, descriptor: int, piece: Piece, at: int) -> bool:
        """Whether an earlier try has fetched the piece; only a whole part can be compared."""
        part = piece.part
        if (piece.start, piece.stop) != (part.offset, part.stop):
            return False
        data = REAL.read(descriptor, part.length, at)
        return (len(data), crc32(data)) == (part.length, part.crc)

    def _is_there(self, size: int) -> None:
        self.size += size
        self.on_bytes(size)
