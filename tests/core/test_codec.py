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
def test_what_is_dumped_is_loaded_again(value: Any) -> None:
    assert value == codec.loads(codec.dumps(value))


@settings(max_examples=20, deadline=None)
@given(values)
def test_loads_agrees_with_the_standard_librarys_json(value: Any) -> None:
    assert value == codec.loads(json.dumps(value))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 0x10FFFF).map(chr), max_size=8).map("".join))
@example("\ud800")
@example("a\udfffb")
@example("\x00")
def test_any_text_can_be_stored_and_only_lone_surrogates_are_lost(text: str) -> None:
    stored = codec.loads(codec.dumps({"t": text}))["t"]
    stored.encode()
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        assert text == stored


def test_two_surrogates_that_make_a_pair_become_their_character() -> None:
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
def test_the_small_sins_of_servers_are_forgiven(sent: bytes, kept: Any) -> None:
    assert kept == codec.loads(sent)


@pytest.mark.parametrize("sent", [b"", b" ", b"<html>", b"{", b'{"a":1', b"{'a':1}", b"[" * 100_000, b"\x00"])
def test_what_is_no_json_is_a_value_error(sent: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        codec.loads(sent)


@pytest.mark.parametrize("bad", ["", '"\\ud800",'])
@pytest.mark.parametrize("digits", ["9" * 19, "-" + "9" * 25, "9" * 400, "9" * 5000])
def test_a_number_past_64_bits_can_be_written_again(digits: str, bad: str) -> None:
    value = codec.loads(f"[{bad}{digits}]")
    codec.dumps(value)
    assert isinstance(value[-1], float) or value[-1] == int(digits)


@settings(max_examples=20, deadline=None)
@given(records)
def test_a_sealed_line_is_one_line_of_json_that_ends_in_its_crc(record: dict[str, Any]) -> None:
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
    line = bytearray(codec.sealed_line(record)[:-1])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not codec.is_sealed(bytes(line))


@settings(max_examples=20, deadline=None)
@given(records, st.data())
def test_no_part_of_a_line_is_sealed(record: dict[str, Any], data: st.DataObject) -> None:
    line = codec.sealed_line(record)[:-1]
    assert not codec.is_sealed(line[: data.draw(st.integers(0, len(line) - 1))])
    assert not codec.is_sealed(line[data.draw(st.integers(1, len(line))) :])


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(text, scalars | text))
def test_equal_values_have_one_fingerprint_whatever_their_order(value: dict[str, Any]) -> None:
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
    assert b'{\n  "a": "\xef\xbf\xbd"\n}\n' == codec.dumps_pretty({"a": "\ud800"})


def test_what_is_no_number_is_written_as_null() -> None:
    assert b"[null,null]" == codec.dumps([math.nan, math.inf])


def test_a_value_nested_too_deeply_is_cut_and_the_rest_is_kept() -> None:
    """A value nested too deeply to be written is cut, and the rest of the record is kept."""
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    assert "kept" == codec.loads(codec.dumps({"text": "kept", "usage": deep}))["text"]
