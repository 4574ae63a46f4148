"""JSON lines in and out, canonical bytes, fingerprints, checksums.

A journal line is one JSON object whose last key is `crc`: the CRC-32 of everything before `,"crc":`, as eight
hexadecimal digits. It is checked on the raw bytes, so that reading a line never needs to serialise it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from zlib import crc32

import orjson

_CRC_KEY = b',"crc":"'
_CRC_TAIL = len(_CRC_KEY) + 8 + 2  # the key, eight digits, `"}`
DEEPEST = 200  # orjson writes 254 levels
_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> bytes:
    """Compact JSON. What is no valid Unicode (a lone surrogate) is stored as U+FFFD."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_scrub(value))


def dumps_pretty(value: Any) -> bytes:
    """Indented JSON with a final newline, for files that a person opens."""
    return orjson.dumps(_scrub(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def loads(data: bytes | str) -> Any:
    """Parse JSON; ValueError on anything else.

    Answers of real servers hold lone surrogates, broken UTF-8, a byte order mark or NaN now and then, and are paid for:
    text is kept with U+FFFD in the bad places, NaN and infinities become null.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data if isinstance(data, str) else data.decode("utf-8", errors="replace")
        try:
            return _scrub(json.loads(text.removeprefix("\ufeff"), parse_int=_integer, parse_constant=lambda _: None))
        except RecursionError:
            raise ValueError("JSON nested too deeply") from None


def canonical(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes. A lone surrogate is taken as U+FFFD."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return orjson.dumps(_scrub(value), option=orjson.OPT_SORT_KEYS)


def fingerprint(value: Any) -> str:
    """128 bits of BLAKE2b over the canonical bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def sealed_line(record: dict[str, Any]) -> bytes:
    """`record` as a journal line: JSON, crc last, newline."""
    body = dumps(record)[:-1]
    return body + b',"crc":"%08x"}\n' % crc32(body)


def is_sealed(line: bytes) -> bool:
    """Whether `line` (with or without its newline) carries a crc that fits its bytes."""
    line = line.removesuffix(b"\n")
    body = line[:-_CRC_TAIL]
    return bool(body) and line[-_CRC_TAIL:] == b'%b%08x"}' % (_CRC_KEY, crc32(body))


def _integer(digits: str) -> int | float:
    """As orjson reads it: what 64 bits can't hold, and `dumps` would refuse, is a float."""
    value = float(digits)
    return int(digits) if abs(value) < 2.0**63 else value


def _scrub(value: Any, depth: int = 0) -> Any:
    """A copy of `value` in which lone surrogates became U+FFFD and paired ones the character that they mean.

    What lies deeper than orjson can write becomes null: no server means anything by it, and its answer is paid for.
    """
    if depth > DEEPEST:
        return None
    if isinstance(value, str):
        if not _SURROGATE.search(value):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub(item, depth + 1) for item in value]
    return value
