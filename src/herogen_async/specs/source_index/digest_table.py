"""Which record has which digest: a table on disk, sorted, in memory that does not grow with it.

DT1  An item is a digest (16 bytes) and the record's number (8, big-endian); items are in ascending order.
DT2  Equal digests are numbered from 1 in the order of their records.
"""

from __future__ import annotations

import heapq
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

DIGEST = 16
ITEM_SIZE = DIGEST + 8
_BUCKETS = 256
_HELD = 16 << 20  # bytes
_CHUNK = 1 << 18  # items that are sorted at once


class DigestTable:
    """Takes digests in the order of their records, and gives them sorted.

    What memory should not hold is put aside in `folder`, in files without names: the system's folder for such files is
    often memory, too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buckets = [bytearray() for _ in range(_BUCKETS)]
        self._files: list[BinaryIO | None] = [None] * _BUCKETS
        self._held = 0
        self._count = 0

    def add(self, digests: Sequence[bytes]) -> None:
        """Those of the next records."""
        first = self._count
        self._count += len(digests)
        entries = sorted([digest + number.to_bytes(8) for number, digest in enumerate(digests, first)])
        begin, buckets = 0, self._buckets
        while begin < len(entries):
            bucket = entries[begin][0]
            end = bisect_left(entries, bytes((bucket + 1,)), begin) if bucket < _BUCKETS - 1 else len(entries)
            buckets[bucket] += b"".join(entries[begin:end])
            begin = end
        self._held += ITEM_SIZE * len(digests)
        if self._held >= _HELD:
            self._spill()

    def write(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        """Write all items, sorted; gives (record, occurrence) of each whose digest an earlier record has."""
        for number, bucket in enumerate(self._buckets):
            spilled = self._files[number]
            if spilled is None:
                yield from _written(sorted(_entries(bucket)), file)
            else:
                spilled.write(bucket)
                with spilled:
                    yield from _written(_merged(_sorted_chunks(spilled, self._folder)), file)
            self._buckets[number] = bytearray()

    def _spill(self) -> None:
        for number, bucket in enumerate(self._buckets):
            if bucket:
                file = self._files[number]
                if file is None:
                    file = self._files[number] = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed once it is sorted
                file.write(bucket)
                file.flush()
                self._buckets[number] = bytearray()
        self._held = 0

    def close(self) -> None:
        """Let go of what was not written."""
        for file in self._files:
            if file is not None:
                file.close()


def _entries(raw: bytes | bytearray) -> list[bytes]:
    held = bytes(raw)
    return [held[start : start + ITEM_SIZE] for start in range(0, len(held), ITEM_SIZE)]


def _merged(chunks: Sequence[Iterable[bytes]]) -> Iterable[bytes]:
    return chunks[0] if len(chunks) == 1 else heapq.merge(*chunks)


def _sorted_chunks(file: BinaryIO, folder: Path) -> Sequence[Iterable[bytes]]:
    """Each chunk of a bucket, sorted on disk where there are several."""
    size = file.tell()
    if size <= _CHUNK * ITEM_SIZE:
        file.seek(0)
        return [sorted(_entries(file.read()))]
    found: list[Iterable[bytes]] = []
    for start in range(0, size, _CHUNK * ITEM_SIZE):
        file.seek(start)
        chunk = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed once it is read
        chunk.write(b"".join(sorted(_entries(file.read(_CHUNK * ITEM_SIZE)))))
        found.append(_read(chunk))
    return found


def _read(chunk: BinaryIO) -> Iterator[bytes]:
    with chunk:
        chunk.seek(0)
        while held := chunk.read(ITEM_SIZE * 1024):
            yield from _entries(held)


def _written(entries: Iterable[bytes], file: BinaryIO) -> Iterator[tuple[int, int]]:
    if isinstance(entries, list):
        file.write(b"".join(entries))
        if len({each[:DIGEST] for each in entries}) == len(entries):
            return
        pairs: Iterable[tuple[bytes, bytes]] = pairwise(entries)
    else:
        pairs = pairwise(_passed(entries, file))
    occurrence = 1
    for before, entry in pairs:
        occurrence = occurrence + 1 if before[:DIGEST] == entry[:DIGEST] else 1
        if occurrence > 1:
            yield int.from_bytes(entry[DIGEST:]), occurrence


def _passed(entries: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    for entry in entries:
        file.write(entry)
        yield entry
