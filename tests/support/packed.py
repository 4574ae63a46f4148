"""Bodies as gateways pack them."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["PACKERS", "packed", "zstd"]


def _bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


_PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": _bare_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "identity": bytes,
}
PACKERS = ["gzip", "x-gzip", "deflate", "Deflate", "br", "zstd", "gzip, br", "zstd,identity, deflate"]


def packed(body: bytes, encoding: str) -> bytes:
    """`body` as a Content-Encoding says; `Deflate` is the bare one."""
    for name in encoding.split(","):
        body = _PACK[name.strip()](body)
    return body
