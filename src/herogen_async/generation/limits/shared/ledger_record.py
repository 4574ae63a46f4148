"""The one record in a ledger's file, and how much time has passed since it was written.

Little-endian: magic and version, count, 2 spare bytes, boot, monotonic seconds, wall-clock seconds, `count` floats, and
the CRC-32 of all that. It lies at offset 0 and is shorter than a page, so that one write replaces it whole; what lies
behind it is left of a longer one and means nothing. Bytes that are no such record are no record: that is no error.

How much time has passed, by (boot, monotonic, wall):

1. The same boot: what the monotonic clock says. It can't be set, so a wall clock that somebody corrects does not
   matter. It stands still while the machine is suspended: then less is counted than has passed, never more.
2. The same boot, and the monotonic clock is before the record: who asks read it, and then waited while another process
   wrote. Nothing has passed since.
3. Another boot, or another machine that sees the same folder: its monotonic clock means nothing here, so the
   difference of the wall clocks, and nothing when that is negative.
4. A system that does not tell its boots apart (macOS): taken for the same boot, unless the monotonic clock is more than
   `STALE_READING_S` before the record. A boot whose clock is already past the record's has lasted longer than the
   difference says, so this counts too little as well, never too much.

To count too little costs the waiting for a bucket to fill; to count too much would be paid with 429s.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from struct import Struct
from zlib import crc32

MOST_VALUES = 64  # a dozen buckets with a handful of numbers each; a record stays far below a page
STALE_READING_S = 60.0  # longer than a process that runs waits between reading its clock and taking the lock
UNKNOWN_BOOT = 0

_MAGIC = b"hglim\x01"  # the last byte is the version of the layout
_COUNT_AT = len(_MAGIC)
_HEAD = f"<{len(_MAGIC)}sBxQdd"
_CRC_BYTES = 4
_LEAST_BYTES = Struct(_HEAD).size + _CRC_BYTES
MOST_BYTES = _LEAST_BYTES + 8 * MOST_VALUES

# (boot, monotonic seconds, wall-clock seconds, values): plain tuples, because a record is made and read at every
# decision, and a class would cost as much as the checksum.
Record = tuple[int, float, float, tuple[float, ...]]


def packed(boot: int, now_s: float, wall_s: float, values: tuple[float, ...]) -> bytes:
    """The record's bytes. Raises ValueError when it has more than MOST_VALUES values."""
    count = len(values)
    if count > MOST_VALUES:
        raise ValueError(f"a ledger holds {MOST_VALUES} values at most, not {count}")
    body = _body(count).pack(_MAGIC, count, boot, now_s, wall_s, *values)
    return body + crc32(body).to_bytes(_CRC_BYTES, "little")


def unpacked(data: bytes) -> Record | None:
    """The record at the beginning of `data`, None when there is no whole one."""
    if len(data) < _LEAST_BYTES:
        return None
    body = _body(data[_COUNT_AT])
    end = body.size
    if data[end : end + _CRC_BYTES] != crc32(data[:end]).to_bytes(_CRC_BYTES, "little"):
        return None
    fields = body.unpack_from(data)
    return (fields[2], fields[3], fields[4], fields[5:]) if fields[0] == _MAGIC else None


def of_one_boot(before: Record, boot: int, now_s: float) -> bool:
    """Whether the record's monotonic clock is the one that says `now_s`: rules 1, 2 and 4."""
    return boot == before[0] and (boot != UNKNOWN_BOOT or now_s > before[1] - STALE_READING_S)


@cache
def this_boot() -> int:
    """A number that no other boot of this machine has, and no other machine; UNKNOWN_BOOT where none can be had."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return UNKNOWN_BOOT
    return int.from_bytes(hashlib.sha256(name).digest()[:8])


@cache
def _body(count: int) -> Struct:
    return Struct(f"{_HEAD}{count}d")
