"""The codec: whatever is stored reads back, whatever is damaged is seen, whatever a server sent is never a crash."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from herogen_async.core import codec

text = st.text()
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(scalars | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=5)
records = st.dictionaries(text.filter(lambda name: name != "crc"), values, min_size=1, max_size=2)


@settings(max_examples=20, deadline=None)
@given(values)
def test_dumped_values_load_unchanged(value: Any) -> None:
    """Any JSON value comes back equal after being dumped and loaded."""
    assert value == codec.loads(codec.dumps(value))


@settings(max_examples=20, deadline=None)
@given(values)
def test_loads_agrees_with_the_standard_librarys_json(value: Any) -> None:
    """The codec reads whatever the standard library's json module writes, with the same result."""
    assert value == codec.loads(json.dumps(value))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 0x10FFFF).map(chr), max_size=8).map("".join))
@example("\ud800")
@example("a\udfffb")
@example("\x00")
def test_any_text_can_be_stored_and_only_lone_surrogates_are_lost(text: str) -> None:
    """Any text can be dumped, and text without lone surrogates comes back unchanged."""
    stored = codec.loads(codec.dumps({"t": text}))["t"]
    stored.encode()
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        assert text == stored


def test_a_surrogate_pair_becomes_its_character() -> None:
    """A surrogate pair, in text or as JSON escapes, is read as the one character it stands for."""
    assert "😀" == codec.loads(codec.dumps("\ud83d\ude00"))
    assert "😀" == codec.loads(b'"\\ud83d\\ude00"')


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":NaN,"b":[-Infinity]}', {"a": None, "b": [None]}),
        (b'"nul \\u0000"', "nul \x00"),
    ],
)
def test_small_json_errors_of_servers_are_tolerated(sent: bytes, kept: Any) -> None:
    """Lone surrogates, invalid UTF-8, a byte order mark and NaN are replaced rather than refused."""
    assert kept == codec.loads(sent)


@pytest.mark.parametrize("sent", [b"", b" ", b"<html>", b"{", b'{"a":1', b"{'a':1}", b"[" * 100_000, b"\x00"])
def test_invalid_json_is_a_value_error(sent: bytes) -> None:
    """Empty, truncated, foreign or very deeply nested input raises ValueError with a message."""
    with pytest.raises(ValueError, match=r"\w"):
        codec.loads(sent)


LONG_NUMBERS = (
    "9" * 19,
    "-" + "9" * 25,
    "18446744073709551616",
    "9" * 400,
    "9" * 5000,
    "0.1234567890123456789",
    "-12345678901234567890.5",
    "9007199254740993e0",
    "1e400",
    "-1E400",
    "1e-400",
    "2E-9999999999999999999",
)


@pytest.mark.parametrize("bad", ["", '"\\ud800",'])
@pytest.mark.parametrize("digits", LONG_NUMBERS)
def test_a_long_number_keeps_its_digits(digits: str, bad: str) -> None:
    """What 64 bits or a float can't hold is read, shown and written with the digits it came with."""
    value = codec.loads(f"[{bad}{digits}]")[-1]
    assert digits == str(value)
    assert f"[{digits}]" == codec.dumps([value]).decode()
    assert f'{{"n":{digits}}}' == codec.canonical({"n": value}).decode()
    assert digits in codec.dumps_pretty({"n": value}).decode()
    assert float(digits) == float(value)


@pytest.mark.parametrize("digits", ["0.30000000000000004", "1.50", "1e5", "1700000000000000", "0.10000000000000000000"])
def test_a_number_that_a_float_holds_is_a_plain_one(digits: str) -> None:
    """Digits are kept only where the value would change without them."""
    assert type(json.loads(digits)) is type(codec.loads(digits))
    assert json.loads(digits) == codec.loads(digits)


def test_digits_in_a_text_change_nothing_around_them() -> None:
    """A text that looks like a long number is read as any other."""
    said = {"id": "chatcmpl-12345678901234567890", "ms": 812.5, "tokens": 7, "none": None, "text": "1e-400 ü"}
    assert said == codec.loads(codec.dumps(said))


def test_a_rows_own_numbers_are_read_without_a_second_look() -> None:
    """The quick reader rounds what the exact one keeps, and reads all else alike."""
    assert [123456789012345680000.0, "a"] == codec.loads_rounded(b'[123456789012345678901,"a"]')
    assert {"a": None} == codec.loads_rounded(b'{"a":NaN}')


@settings(max_examples=20, deadline=None)
@given(records)
def test_a_sealed_line_is_one_json_line_that_ends_with_its_crc(record: dict[str, Any]) -> None:
    """A sealed record is one line of JSON whose last key is its checksum and whose rest is unchanged."""
    line = codec.sealed_line(record)
    assert line.endswith(b'"}\n')
    assert 1 == line.count(b"\n")
    assert codec.is_sealed(line)
    assert codec.is_sealed(line[:-1])
    loaded = codec.loads(line)
    assert "crc" == list(loaded)[-1]
    del loaded["crc"]
    assert record == loaded


@settings(max_examples=20, deadline=None)
@given(records, st.data())
def test_one_changed_byte_breaks_the_seal(record: dict[str, Any], data: st.DataObject) -> None:
    """Flipping any single bit of a sealed line makes the seal check fail."""
    line = bytearray(codec.sealed_line(record)[:-1])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not codec.is_sealed(bytes(line))


@settings(max_examples=20, deadline=None)
@given(records, st.data())
def test_no_part_of_a_line_is_sealed(record: dict[str, Any], data: st.DataObject) -> None:
    """No proper prefix or suffix of a sealed line passes the check, so a torn write is always noticed."""
    line = codec.sealed_line(record)[:-1]
    assert not codec.is_sealed(line[: data.draw(st.integers(0, len(line) - 1))])
    assert not codec.is_sealed(line[data.draw(st.integers(1, len(line))) :])


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(text, scalars | text))
def test_key_order_does_not_change_a_fingerprint(value: dict[str, Any]) -> None:
    """Equal mappings have one 32-character fingerprint whatever the order of their keys."""
    other = dict(reversed(value.items()))
    assert codec.canonical(value) == codec.canonical(other)
    assert codec.fingerprint(value) == codec.fingerprint(other)
    assert 32 == len(codec.fingerprint(value))


def test_half_a_character_has_a_fingerprint() -> None:
    """As a model's name from a command line that is no UTF-8 may hold it."""
    assert codec.fingerprint(["a\ufffd"]) == codec.fingerprint(["a\udcff"])
    assert b'{"a\xef\xbf\xbd":1,"b":2}' == codec.canonical({"b": 2, "a\udcff": 1})
    with pytest.raises(TypeError):
        codec.canonical({"a": object()})


def test_fingerprints_never_change_between_versions() -> None:
    """Keys of rows on disk are made of them."""
    assert "987a9008d9c5720d6ba6517476011f34" == codec.fingerprint({"b": [1, "ü"], "a": None})


def test_pretty_json_ends_in_a_newline_and_takes_any_text() -> None:
    """Pretty JSON ends with a newline and replaces a lone surrogate instead of failing."""
    assert b'{\n  "a": "\xef\xbf\xbd"\n}\n' == codec.dumps_pretty({"a": "\ud800"})


def test_nan_and_infinity_are_written_as_null() -> None:
    """NaN and infinity, which JSON can't hold, are written as null."""
    assert b"[null,null]" == codec.dumps([math.nan, math.inf])


def test_a_value_nested_too_deeply_is_cut_and_the_rest_is_kept() -> None:
    """A value nested too deeply to be written is cut, and the rest of the record is kept."""
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    assert "kept" == codec.loads(codec.dumps({"text": "kept", "usage": deep}))["text"]
