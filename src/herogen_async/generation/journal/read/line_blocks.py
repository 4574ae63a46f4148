"""The lines of a segment in blocks, and what can be told of many lines without parsing each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from struct import pack
from typing import Any, BinaryIO
from zlib import crc32

from herogen_async.core import codec
from herogen_async.generation.journal.read.scan import unreadable
from herogen_async.generation.journal.record import (
    ENDING_NAMES,
    ENDING_WITHIN,
    INDEX_AT,
    KEY_AT,
    KEY_END,
    KEY_TO_INDEX,
    SEAL,
    SEAL_BYTES,
    SEALED,
    SKIPPED_BY,
    START,
)

BLOCK_BYTES = 1 << 18  # what is split, summed and searched stays in the processor's cache


def ending_of(tail: bytes) -> dict[str, Any] | None:
    """What the end of a row says, from `finish_reason` to `usage`; None when it is anything else: a row that another
    program wrote, a server's odd usage.
    """
    try:
        said = codec.loads_rounded(b"{" + tail[1:] + b"}")
    except ValueError:
        return None
    return said if isinstance(said, dict) and tuple(said) == ENDING_NAMES else None


def blocks_of(file: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of `file` without their newlines, some thousands at a time; a last one without an end, too."""
    rest: list[bytes] = []
    while data := _read(file):
        lines = data.split(b"\n")
        if len(lines) == 1:
            rest.append(data)
            continue
        if rest:
            lines[0] = b"".join((*rest, lines[0]))
        last = lines.pop()
        rest = [last] if last else []
        yield lines
    if rest:
        yield [b"".join(rest)]


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except OSError as error:
        raise unreadable(Path(file.name), error) from error


def skipped_by(line: bytes) -> str | None:
    """The fingerprint of the condition by which a line's call was not asked; None where the line is an answer."""
    found = SKIPPED_BY.search(line, max(len(line) - ENDING_WITHIN, 0))
    return None if found is None else found[1].decode()


def offsets_of(lines: list[bytes], first: int) -> list[int]:
    """Where each of `lines` begins, the first one at `first`."""
    ends = accumulate((len(line) + 1 for line in lines[:-1]), initial=first)
    return list(ends)


def are_sealed(lines: list[bytes], end: bytes = b"") -> bool:
    """Whether all begin as rows do, and all checksums fit: what the lines say of themselves is compared in one go.

    `end` is what stands behind each line, such as its newline.
    """
    if {line[:KEY_AT] for line in lines} != {START} or {line[KEY_END:INDEX_AT] for line in lines} != {KEY_TO_INDEX}:
        return False
    tail = SEAL_BYTES + len(end)
    said = b"".join([line[-tail:] for line in lines])
    sums = pack(f">{len(lines)}I", *[crc32(line[:-tail]) for line in lines]).hex("|", 4)
    return said == SEAL + sums.encode().replace(b"|", SEALED + end + SEAL) + SEALED + end
