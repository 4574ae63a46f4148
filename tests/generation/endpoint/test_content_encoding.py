"""Packed bodies: what is broken, odd or meant to do harm."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.errors import BadAnswer
from herogen_async.generation.endpoint.http.content_encoding import decoded_body
from support.packed import PACKERS, packed, zstd

MOST = 1 << 20
ANSWER = b'{"choices":[{"text":"Fine."}]}'


def opened(body: bytes, encoding: str, *, status: int = 200) -> bytes:
    return decoded_body(body, encoding, status=status, most=MOST)


@pytest.mark.parametrize("encoding", PACKERS)
@given(body=st.binary(max_size=2000))
def test_what_was_packed_comes_out_the_same(encoding: str, body: bytes) -> None:
    """Every encoding, and several one over the other, give back every byte."""
    assert body == opened(packed(body, encoding), encoding)


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_packed_body_that_ends_too_soon_is_no_answer(encoding: str) -> None:
    """A body that was cut off is an answer to be asked for again, never half an answer."""
    with pytest.raises(BadAnswer):
        opened(packed(ANSWER * 20, encoding)[:-6], encoding)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "compress"])
@pytest.mark.parametrize("body", [ANSWER, b"  <html>", b"data: {}\n\n"])
def test_a_header_that_outlived_its_packing_is_passed_over(encoding: str, body: bytes) -> None:
    """What somebody on the way has unpacked already is taken as it is."""
    assert body == opened(body, encoding)


@pytest.mark.parametrize("name", ["", "identity", "utf-8", "none", " Identity "])
def test_words_that_pack_nothing_change_nothing(name: str) -> None:
    """Some servers write a charset there, or that there is none."""
    assert ANSWER == opened(ANSWER, name)


def test_an_unknown_encoding_is_named() -> None:
    """The error has the server's word for it, and what would be read."""
    with pytest.raises(BadAnswer, match="'compress'") as failed:
        opened(b"\x1f\x9d\x90", "compress")
    assert "zstd" in (failed.value.fix or "")


def test_members_that_follow_each_other_are_one_body() -> None:
    """Parts of gzip and frames of zstd are joined, and padding is no part."""
    assert ANSWER == opened(gzip.compress(ANSWER[:9]) + gzip.compress(ANSWER[9:]) + b"\0\0", "gzip")
    assert ANSWER == opened(zstd.compress(ANSWER[:9]) + zstd.compress(ANSWER[9:]), "zstd")


@pytest.mark.parametrize("encoding", PACKERS)
def test_no_more_than_the_limit_is_unpacked(encoding: str) -> None:
    """A limit of bytes is kept to the byte, whatever the encoding."""
    assert MOST == len(opened(packed(b"x" * MOST, encoding), encoding))
    with pytest.raises(BadAnswer, match="more than 1 MiB"):
        opened(packed(b"x" * (MOST + 1), encoding), encoding)


def test_very_many_empty_parts_are_refused_at_once() -> None:
    """A body of nothing but empty parts costs no time."""
    with pytest.raises(BadAnswer, match="too many parts"):
        opened(gzip.compress(b"") * 20_000, "gzip")
    with pytest.raises(BadAnswer, match="too many parts"):
        opened(zstd.compress(b"") * 20_000, "zstd")


def test_very_many_layers_are_refused() -> None:
    """Encodings one over the other are looked through four deep."""
    with pytest.raises(BadAnswer, match="5 times over"):
        opened(packed(ANSWER, "gzip,gzip,gzip,gzip,gzip"), "gzip,gzip,gzip,gzip,gzip")


def test_a_zstd_window_past_8_mib_is_refused() -> None:
    """A frame that would make its reader keep more than a body's limit is not read."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    wide = packer.compress(ANSWER) + packer.flush()
    with pytest.raises(BadAnswer, match="zstd"):
        opened(wide, "zstd")


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "compress"])
def test_an_error_that_is_broken_comes_as_it_is(encoding: str) -> None:
    """An error's status counts, whatever became of its body."""
    assert b"\x00broken" == opened(b"\x00broken", encoding, status=503)
