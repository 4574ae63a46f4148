"""JSON to nodes with line numbers: the standard library's parser keeps none, and YAML's rejects some JSON (tabs)."""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]

from herogen_async.specs.spec.node import MAX_DEPTH, Listing, Mapping, Node, Scalar

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def read_json(text: str) -> Node:
    """The value in `text`. Raises JSONDecodeError when it is not JSON."""
    reader = _Reader(text)
    node, end = reader.value(0, 0)
    if reader.skip(end) != len(text):
        raise JSONDecodeError("text after the end of the spec", text, end)
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        assert found is not None
        return found.end()

    def line(self, at: int) -> int:
        return bisect_right(self._ends, at - 1) + 1

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        at = self.skip(at)
        sign = self._text[at : at + 1]
        if sign == '"':
            return self.string(at)
        if sign and sign in "[{":
            if depth >= MAX_DEPTH:
                raise JSONDecodeError(f"nested more than {MAX_DEPTH} levels deep", self._text, at)
            return self.listing(at, depth + 1) if sign == "[" else self.mapping(at, depth + 1)
        found = _PLAIN.match(self._text, at)
        if found is None:
            raise JSONDecodeError("missing value", self._text, at)
        return Scalar(found.group(), True, self.line(at)), found.end()

    def string(self, at: int) -> tuple[Scalar, int]:
        if self._text[at : at + 1] != '"':
            raise JSONDecodeError("missing key in double quotes", self._text, at)
        text, end = scanstring(self._text, at + 1, True)
        return Scalar(text, False, self.line(at)), end

    def listing(self, at: int, depth: int) -> tuple[Listing, int]:
        items: list[Node] = []
        node = Listing(items, self.line(at))
        end = self.skip(at + 1)
        if self._text[end : end + 1] == "]":
            return node, end + 1
        while True:
            item, end = self.value(end, depth)
            items.append(item)
            end = self.skip(end)
            if self._text[end : end + 1] == "]":
                return node, end + 1
            end = self.comma(end, "]")

    def mapping(self, at: int, depth: int) -> tuple[Mapping, int]:
        pairs: list[tuple[Scalar, Node]] = []
        node = Mapping(pairs, self.line(at))
        end = self.skip(at + 1)
        if self._text[end : end + 1] == "}":
            return node, end + 1
        while True:
            key, end = self.string(self.skip(end))
            end = self.skip(end)
            if self._text[end : end + 1] != ":":
                raise JSONDecodeError("missing ':' after the key", self._text, end)
            item, end = self.value(end + 1, depth)
            pairs.append((key, item))
            end = self.skip(end)
            if self._text[end : end + 1] == "}":
                return node, end + 1
            end = self.comma(end, "}")

    def comma(self, at: int, closing: str) -> int:
        if self._text[at : at + 1] != ",":
            raise JSONDecodeError(f"missing ',' or '{closing}'", self._text, at)
        return at + 1
