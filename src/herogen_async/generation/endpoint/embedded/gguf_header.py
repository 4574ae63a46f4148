"""What a GGUF file says of itself, without its tensors and its tokenizer: in a tenth of a second, with no package.

The layout is the format's own description (version 2 and 3): magic, version, counts, key-value pairs, tensor infos.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """`metadata` holds numbers and texts, and of an array its length. `tensors` has each one's shape, fastest first."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.tensors.values())

    def of_architecture(self, name: str) -> Any:
        """The value that the file's architecture gives under `name`, such as `block_count`; None when it has none."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{name}")


def read_header(path: Path) -> GgufHeader:
    """Raises ValueError when the file is no whole GGUF header, OSError when it can't be read."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{str(path)!r} is not a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reading(data).header()
            except (struct.error, UnicodeDecodeError, KeyError, OverflowError, RecursionError) as error:
                raise ValueError(f"{str(path)!r} is a GGUF file with a damaged header: {error}") from error


class _Reading:
    """A place in the file that moves on."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(MAGIC)

    def header(self) -> GgufHeader:
        version = self._scalar("I")
        if version not in _VERSIONS:
            raise KeyError(f"version {version}")
        tensors, pairs = self._scalar("Q"), self._scalar("Q")
        metadata = {}
        for _ in range(pairs):
            name = self._text()
            metadata[name] = self._value(self._scalar("I"))
        return GgufHeader(metadata, dict(self._tensor() for _ in range(tensors)))

    def _scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._data, self._at)
        self._at += struct.calcsize("<" + code)
        return value

    def _text(self) -> str:
        size = self._scalar("Q")
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._scalar(_SCALARS[kind])
        items, count = self._scalar("I"), self._scalar("Q")
        if items == _STRING:
            self._skip_texts(count)
        elif items == _ARRAY:
            for _ in range(count):
                self._value(_ARRAY)
        else:
            self._at += count * struct.calcsize("<" + _SCALARS[items])
        return count

    def _skip_texts(self, count: int) -> None:
        """A vocabulary has a hundred thousand: this loop is what reading a header costs."""
        read, at = struct.Struct("<Q").unpack_from, self._at
        for _ in range(count):
            at += 8 + read(self._data, at)[0]
        self._at = at

    def _tensor(self) -> tuple[str, tuple[int, ...]]:
        name = self._text()
        shape = tuple(self._scalar("Q") for _ in range(self._scalar("I")))
        self._at += 4 + 8  # its type and its place
        return name, shape
