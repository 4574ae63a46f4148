"""Bodies as they were before somebody packed them: gzip, deflate, br and zstd, one over the other too. Pure.

Nobody asks for any, but gateways pack unasked. What comes out is bounded as what comes in: a small body can be a large
one in disguise. Sources: RFC 9110, 8.4; RFC 1950 to 1952, 7932, 8878; a window of zstd as in RFC 9659.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

from herogen_async.core.errors import BadAnswer

_NONE = frozenset({"", "identity", "none", "utf-8", "utf8", "binary", "8bit", "chunked", "aws-chunked"})
_DEEPEST = 4  # one over the other: two are in use
_MOST_PARTS = 100  # members of gzip, frames of zstd, that follow each other: each copies what is left
_ZSTD_WINDOW_LOG = 23  # 8 MiB: what a frame may make its reader keep
_RAW_DEFLATE = -zlib.MAX_WBITS
_ANY_GZIP = 16 + zlib.MAX_WBITS


class _Broken(Exception):
    """These bytes are not packed in this way, or end too soon."""


def decoded_body(body: bytes, encoding: str, *, status: int, most: int) -> bytes:
    """`body` without its Content-Encoding, `most` bytes at most.

    An error's status says more than a body that can't be read: it comes out as it is. Raises BadAnswer for any other
    body that is broken, packed in an unknown way, or larger.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    packed = [name for name in reversed(names) if name not in _NONE]
    try:
        if len(packed) > _DEEPEST:
            raise BadAnswer(f"an answer packed {len(packed)} times over: {encoding[:100]!r}", fix=_FIX)
        for name in packed:
            body = _unpack(body, name, most)
    except BadAnswer:
        if status < 300:
            raise
    return body


def _unpack(body: bytes, name: str, most: int) -> bytes:
    unpack = _UNPACKERS.get(name)
    if unpack is None and not _is_open(body):
        raise BadAnswer(f"an answer in an unknown content-encoding: {name[:50]!r}", fix=_FIX)
    if unpack is None or not body:
        return body
    try:
        found = unpack(body, most)
    except _Broken as error:
        if _is_open(body):  # somebody on the way has unpacked it, and left the header
            return body
        raise BadAnswer(f"an answer in content-encoding {name} that is broken: {error}") from None
    if len(found) > most:
        raise BadAnswer(f"an answer of more than {most >> 20} MiB, unpacked from {name}")
    return found


def _is_open(body: bytes) -> bool:
    """Whether it is text as answers are, and so not packed at all."""
    return body.lstrip()[:1] in (b"{", b"[", b"<") or body.startswith((b"data:", b"event:"))


def _gzip(body: bytes, most: int) -> bytes:
    found, body = _inflate(body, _ANY_GZIP, most)
    for _ in range(_MOST_PARTS):
        if len(found) > most or not body.startswith(b"\x1f\x8b"):  # what follows the last one is padding
            return found
        part, body = _inflate(body, _ANY_GZIP, most - len(found))
        found += part
    raise _Broken("it has too many parts")


def _deflate(body: bytes, most: int) -> bytes:
    """Zlib's format, as the name means, or the bare one, as some servers understand it."""
    try:
        return _inflate(body, zlib.MAX_WBITS, most)[0]
    except _Broken:
        return _inflate(body, _RAW_DEFLATE, most)[0]


def _inflate(body: bytes, window: int, most: int) -> tuple[bytes, bytes]:
    """(what is in it, up to one byte more than `most`; what follows)"""
    unpacker = zlib.decompressobj(window)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise _Broken(str(error)) from None
    if len(found) <= most and not unpacker.eof:
        raise _Broken("it ends too soon")
    return found, unpacker.unused_data


def _brotli(body: bytes, most: int) -> bytes:
    import brotli  # noqa: PLC0415 - few servers pack so

    unpacker = brotli.Decompressor()
    try:
        found: bytes = unpacker.process(body, output_buffer_limit=most + 1)
    except brotli.error as error:
        raise _Broken(str(error)) from None
    if len(found) <= most and not unpacker.is_finished():
        raise _Broken("it ends too soon")
    return found


def _zstd(body: bytes, most: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415

    found = b""
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    for _ in range(_MOST_PARTS):
        unpacker = zstd.ZstdDecompressor(options=options)
        try:
            found += unpacker.decompress(body, most + 1 - len(found))
        except zstd.ZstdError as error:
            raise _Broken(str(error)) from None
        if len(found) > most:
            return found
        if not unpacker.eof:
            raise _Broken("it ends too soon")
        body = unpacker.unused_data
        if not body:
            return found
    raise _Broken("it has too many parts")


_FIX = "let the server answer without a content-encoding, or with gzip, deflate, br or zstd"
_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
