"""JSON lines in and out, canonical bytes, fingerprints, checksums.

A journal line is one JSON object whose last key is `crc`: the CRC-32 of everything before `,"crc":`, as eight
hexadecimal digits. It is checked on the raw bytes, so that reading a line never needs to serialise it again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from zlib import crc32

import orjson

_CRC_KEY = b',"crc":"'
_CRC_TAIL = len(_CRC_KEY) + 8 + 2  # the key, eight digits, `"}`
DEEPEST = 200  # orjson writes 254 levels
_SURROGATE = re.compile("[\ud800-\udfff]")

# A double keeps 15 significant digits whatever they are; with a point, those are 16 bytes. A long run of digits may
# also be a part of a text: it is looked at by the slow reader, which finds the same.
_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789." else byte for byte in range(256))
_LONG = b"0" * 16
_POWERS = (b"0e", b"0E")  # of the shapes of numbers: an exponent may be any
_TINY = (b"0e-000", b"0E-000")  # a double below 1e-323 is 0
_WHOLE = range(-(2**63), 2**64)  # what orjson reads and writes
_MOST_DIGITS = 308  # of an int that any float can be made of


class Digits(float):
    """A number that a float can't hold as it was written: text and JSON give its digits, arithmetic the nearest float.

    Beyond the range of floats that is an infinity, or 0.
    """

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, digits: str) -> Digits:
        self = super().__new__(cls, digits)
        self.digits = digits
        return self

    def __repr__(self) -> str:
        return self.digits

    __str__ = __repr__


def dumps(value: Any) -> bytes:
    """Compact JSON. What is no valid Unicode (a lone surrogate) is stored as U+FFFD."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_writable(value))


def dumps_pretty(value: Any) -> bytes:
    """Indented JSON with a final newline, for files that a person opens."""
    return orjson.dumps(_writable(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def loads_exact(text: str) -> Any:
    """Parse JSON that reads back digit for digit; ValueError on anything else, and where that is not certain.

    Of a key that is there twice the last value is taken.
    """
    shapes = text.encode().translate(_AS_ZERO)
    if _LONG in shapes or _POWERS[0] in shapes or _POWERS[1] in shapes:
        raise ValueError("a number may be more than a double holds")
    return orjson.loads(text)


def loads(data: bytes | str) -> Any:
    """Parse JSON; ValueError on anything else.

    Numbers keep their digits: integers of any length are ints (past 308 digits `Digits`), and a decimal that a float
    would round is `Digits`, which `dumps` writes as it was read.
    Answers of real servers hold lone surrogates, broken UTF-8, a byte order mark or NaN now and then, and are paid for:
    text is kept with U+FFFD in the bad places, NaN and infinities become null.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return _read_slowly(data)
    shapes = (data.encode() if isinstance(data, str) else data).translate(_AS_ZERO)
    if _LONG in shapes or _TINY[0] in shapes or _TINY[1] in shapes:
        return _read_slowly(data)
    return value


def loads_rounded(data: bytes | str) -> Any:
    """As `loads`, but numbers past 64 bits and long decimals come as the nearest float: it takes half the time.

    For each row's own bytes, where numbers are counts and times.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _read_slowly(data)


loads_sound = orjson.loads
"""As `loads_rounded`, of sound JSON alone; ValueError on anything else."""


def finite_number(value: object) -> float | None:
    """The number that a JSON value is, or says as a text; None where it is none, or none that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def canonical(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes. A lone surrogate is taken as U+FFFD."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return orjson.dumps(_writable(value), option=orjson.OPT_SORT_KEYS)


def fingerprint(value: Any) -> str:
    """128 bits of BLAKE2b over the canonical bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def sealed_line(record: dict[str, Any]) -> bytes:
    """`record` as a journal line: JSON, crc last, newline."""
    try:
        body = orjson.dumps(record)[:-1]
    except TypeError:
        body = orjson.dumps(_writable(record))[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def is_sealed(line: bytes) -> bool:
    """Whether `line` (with or without its newline) carries a crc that fits its bytes."""
    line = line.removesuffix(b"\n")
    body = line[:-_CRC_TAIL]
    return bool(body) and line[-_CRC_TAIL:] == b'%b%08x"}' % (_CRC_KEY, crc32(body))


def _read_slowly(data: bytes | str) -> Any:
    """With Python's own reader, which hands over the digits."""
    text = data if isinstance(data, str) else data.decode("utf-8", errors="replace")
    try:
        value = json.loads(
            text.removeprefix("\ufeff"), parse_int=_integer, parse_float=_decimal, parse_constant=lambda _: None
        )
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return _scrub(value)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else Digits(digits)


def _decimal(digits: str) -> float:
    """A float, if it has the value that is written."""
    value = float(digits)
    if len(digits) < len(_LONG) and 1e-300 < abs(value) < 1e300:
        return value
    try:
        exact = math.isfinite(value) and Decimal(repr(value)) == Decimal(digits)
    except InvalidOperation:  # an exponent of 19 digits
        exact = False
    return value if exact else Digits(digits)


def _writable(value: Any) -> Any:
    """A copy of `value` that orjson writes: without surrogates, and with the digits of numbers that it refuses."""
    return _scrub(value, number=_as_written)


def _as_written(value: Any) -> Any:
    if isinstance(value, Digits):
        return orjson.Fragment(value.digits)
    if isinstance(value, int) and value not in _WHOLE:
        return orjson.Fragment(str(value))
    return value


def _scrub(value: Any, depth: int = 0, *, number: Callable[[Any], Any] | None = None) -> Any:
    """A copy of `value` in which lone surrogates became U+FFFD and paired ones the character that they mean.

    `number` is asked about everything that is neither text nor a container.
    What lies deeper than orjson can write becomes null: no server means anything by it, and its answer is paid for.
    """
    if depth > DEEPEST:
        return None
    if isinstance(value, str):
        if not _SURROGATE.search(value):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item, depth + 1, number=number) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub(item, depth + 1, number=number) for item in value]
    return value if number is None else number(value)
