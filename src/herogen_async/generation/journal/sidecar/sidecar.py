"""A sidecar: `rows-NNNNN.index` beside a sealed segment, with what a fold takes from its lines, a thousandth as long.

A line of JSON with its checksum, then the pages of the sets of indices, packed. It says of its segment how long it is,
under which plan it was written, and the checksums of its first line, its last one and some between. Where anything of
that is otherwise, or the file is of another format, torn or damaged, there is no sidecar, and the lines are read.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.read.endings import Ended
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import IndexSet, Plan
from herogen_async.specs.plan.index_set import PAGE_BYTES, highest_of

FORMAT = 1
SEEN_LINES = 16  # between the first line and the last, at fixed places


@dataclass(frozen=True, slots=True)
class Seen:
    """A line of the segment: where it is, its size with its newline, and the CRC-32 of that."""

    offset: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the lines of a segment of `size` bytes say, in the numbering of the plan that they were written under.

    `skipped` has by the fingerprint of a condition the calls that it skips; `ended` is by the place of a call in its
    row. Where the lines are not usual (`is_usual`), nothing is said of them, and they are to be read.
    """

    size: int
    plan: tuple[str, str]
    seen: tuple[Seen, ...]
    is_usual: bool
    calls: IndexSet
    skipped: Mapping[str, IndexSet]
    ended: Mapping[int, Ended]

    def in_bytes(self) -> bytes:
        """The file."""
        sets = [list(each.pages()) for each in (self.calls, *self.skipped.values())]
        packed = zlib.compress(b"".join(page for each in sets for _, page in each), 1)
        said = {
            "format": FORMAT,
            "size": self.size,
            "plan": self.plan,
            "seen": [asdict(each) for each in self.seen],
            "is_usual": self.is_usual,
            "skipped": list(self.skipped),
            "ended": [[place, asdict(each)] for place, each in self.ended.items()],
            "pages": [[number for number, _ in each] for each in sets],
            "packed": [len(packed), zlib.crc32(packed)],
        }
        return codec.sealed_line(said) + packed

    def in_order(self) -> tuple[array[int], dict[int, str]]:
        """The indices of its lines, ascending, and by their place among these which of them are skipped by what.

        Where rows have several calls, each comes behind what it was made from, as the lines did.
        """
        indices = array("Q", self.calls)
        by_index = {index: by for by, calls in self.skipped.items() for index in calls}
        return indices, {at: by_index[index] for at, index in enumerate(indices) if index in by_index}

    def same(self, other: Sidecar) -> bool:
        """Whether both say the same of the lines."""
        return self._said() == other._said()

    def _said(self) -> tuple[object, ...]:
        skipped = {by: list(each.pages()) for by, each in self.skipped.items()}
        return self.size, self.plan, self.is_usual, list(self.calls.pages()), skipped, dict(self.ended)


def plan_prints(plan: Plan) -> tuple[str, str]:
    """What a plan is known by."""
    return plan.grid_fingerprint, plan.generation_fingerprint


def sidecar_at(segment: Path, plan: Plan) -> Sidecar | None:
    """That of a segment which was written under `plan`; None where there is none that fits it."""
    try:
        with own_file(sidecar_of(segment)) as file:
            sidecar = _read(file, plan)
        with own_file(segment) as file:
            return sidecar if _fits(sidecar, file) else None
    except (OSError, HerogenError, ValueError, KeyError, TypeError, OverflowError, zlib.error):
        return None


def _read(file: BinaryIO, plan: Plan) -> Sidecar:
    """Raises one of many errors, where it is not what was written, or of another plan."""
    said = record_of(file.readline())
    if said is None or said["format"] != FORMAT or tuple(said["plan"]) != plan_prints(plan):
        raise ValueError("of another format or plan")
    packed = file.read()
    if said["packed"] != [len(packed), zlib.crc32(packed)]:
        raise ValueError("torn")
    numbers: list[list[int]] = said["pages"]
    size = PAGE_BYTES * sum(map(len, numbers))
    pages = _pages(zlib.decompressobj().decompress(packed, size + 1), size)
    sets = [IndexSet.of_pages(zip(each, pages, strict=False)) for each in numbers]
    if len(sets) != 1 + len(said["skipped"]) or any(highest_of(each) >= plan.size for each in sets):
        raise ValueError("calls that the plan does not have")
    return Sidecar(
        said["size"],
        plan_prints(plan),
        tuple(Seen(**each) for each in said["seen"]),
        said["is_usual"],
        sets[0],
        dict(zip(said["skipped"], sets[1:], strict=True)),
        {place: Ended(**each) for place, each in said["ended"]},
    )


def _pages(data: bytes, size: int) -> Iterator[bytes]:
    if len(data) != size:
        raise ValueError("too few pages, or too many")
    return (data[start : start + PAGE_BYTES] for start in range(0, size, PAGE_BYTES))


def _fits(sidecar: Sidecar, segment: BinaryIO) -> bool:
    if segment.seek(0, 2) != sidecar.size or len(sidecar.seen) != SEEN_LINES + 2:
        return False
    return all(seen_at(segment, each.offset, each.size) == each for each in sidecar.seen)


def seen_at(segment: BinaryIO, offset: int, size: int) -> Seen:
    """The line that is there."""
    segment.seek(offset)
    return Seen(offset, size, zlib.crc32(segment.read(size)))
