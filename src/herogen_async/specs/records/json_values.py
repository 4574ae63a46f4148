"""JSON: one object a line, one object over several lines, an array of objects, or one object of columns.

An array is read item by item, so that a file of any size takes the memory of one item. Only an object of columns is
held as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterator
from enum import Enum
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.specs.records.encoding import Encoding
from herogen_async.specs.records.grammar import JSON_BLANK, grammar_of
from herogen_async.specs.records.records import FileRecord, Remark
from herogen_async.specs.records.text_lines import LONGEST_RECORD, text_chunks, text_lines, too_long

ROWS_FIX = 'write one line per row: {"prompt": "...", "completion": "..."}'
_LINE_FIX = 'write one line per row, each a JSON object: {"name": "value"}'
_DEEPEST = 500
# A lone quote begins a text that is not complete.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],]', re.DOTALL)
_OBJECT_OR_ARRAY = re.compile(r'[\s\ufeff]*(?:\{\s*(?:"[^"\\]*(?:\\.[^"\\]*)*"\s*:|\})|\[\s*[{\]])', re.DOTALL)


class JsonShape(Enum):
    """How a JSON file holds its records."""

    LINES = "JSON Lines"
    DOCUMENTS = "JSON objects over several lines each"
    ARRAY = "a JSON array"
    COLUMNS = "a JSON object of columns"


def looks_like_json(head: str) -> bool:
    """Whether a text begins as an object with a key does, or as an array of objects."""
    return _OBJECT_OR_ARRAY.match(head) is not None


class JsonReader:
    """The values of a JSON file. `shape` is known once all were read.

    A single object with one of the `wanted` names whose values are all lists, or all objects, is one of columns.
    Raises InputError, with the line, for what is not JSON.
    """

    names: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def __init__(self, path: Path, encoding: Encoding, *, wanted: Collection[str] = ()) -> None:
        self._path = path
        self._encoding = encoding
        self._wanted = wanted
        self.shape = JsonShape.LINES
        self.grammar = grammar_of(path, encoding)
        self._measure = (lambda _: 0) if self.grammar is None else self.grammar.measure()

    def __iter__(self) -> Iterator[FileRecord]:
        if self._first_sign() == "[":
            self.shape = JsonShape.ARRAY
            yield from self._items()
            return
        records = self._documents()
        held = next(records, None)
        if held is None:
            return
        following = next(records, None)
        if following is None and self._is_columns(held.values):
            self.shape = JsonShape.COLUMNS
            yield from (FileRecord(held.line, row) for row in self._rows_of(held.values))
            return
        yield held
        if following is not None:
            yield following
            yield from records

    def _first_sign(self) -> str:
        for chunk in text_chunks(self._path, self._encoding):
            if text := chunk.lstrip(JSON_BLANK):
                return text[0]
        return ""

    # -- objects, one a line or over several

    def _documents(self) -> Iterator[FileRecord]:
        lines = enumerate(text_lines(self._path, self._encoding, newline=""), 1)
        has_places, measure = self.grammar is not None, self._measure
        end = 0 if self.grammar is None else self.grammar.start
        for number, line in lines:
            start, size = end, measure(line)
            end += size
            text = line.strip(JSON_BLANK)
            if not text:
                continue
            try:
                yield FileRecord(number, codec.loads(text), (start, size) if has_places else None)
            except ValueError as error:
                if not _goes_on(text, error):
                    raise self._not_json(number, error) from None
                end = yield from self._spanning(number, line, lines, why=error, start=start)

    def _spanning(
        self, number: int, text: str, lines: Iterator[tuple[int, str]], *, why: ValueError, start: int
    ) -> Generator[FileRecord, None, int]:
        """The values that begin in `text`, the line of this number at byte `start`, and end on a later one; returns the
        byte behind them.
        """
        self.shape = JsonShape.DOCUMENTS
        begun, last = number, number
        has_places, measure = self.grammar is not None, self._measure
        while text:
            scan = _Scan()
            while (end := scan.end_in(text)) is None:
                last, line = next(lines, (0, ""))
                if not line:
                    raise self._not_json(begun, why)
                text += line
                if len(text) > LONGEST_RECORD:
                    raise too_long(self._path, begun)
            try:
                value = codec.loads(text[:end].strip(JSON_BLANK))
            except ValueError as error:
                at = begun + getattr(error, "lineno", 1) - 1
                raise self._not_json(at, why if at == number else error) from None
            size = measure(text[:end])
            yield FileRecord(begun, value, (start, size) if has_places else None)
            rest = text[end:]
            text = rest.lstrip(JSON_BLANK)
            start += size + measure(rest[: len(rest) - len(text)])
            begun = last
        return start

    # -- the items of an array

    def _items(self) -> Iterator[FileRecord]:
        """Each item, by the commas between them: whatever lies deeper is left to the parser."""
        chunks = text_chunks(self._path, self._encoding)
        text = next(chunks, "")
        while "[" not in text:  # blanks
            text += _sent(chunks, 0)
        start = text.index("[") + 1
        has_places, measure = self.grammar is not None, self._measure
        place = (0 if self.grammar is None else self.grammar.start) + measure(text[:start].removeprefix("\ufeff"))
        line, depth, at, count = 1 + text.count("\n", 0, start), 1, start, 0
        while True:
            token = _TOKEN.search(text, at)
            if token is None or token[0] == '"':
                more = _sent(chunks, len(text) - start)
                if not more:
                    raise self._not_json(line, ValueError("it ends inside of the array that begins the file"))
                if len(text) - start > LONGEST_RECORD:
                    raise too_long(self._path, line)
                at = (len(text) if token is None else token.start()) - start
                text, start = text[start:] + more, 0
                continue
            sign, at = token[0], token.end()
            if sign in "{[":
                depth += 1
                if depth > _DEEPEST:
                    raise self._not_json(line, ValueError("nested too deeply"))
            elif sign in "}]":
                depth -= 1
            if depth and not (depth == 1 and sign == ","):
                continue
            item = text[start : at - 1]
            begun = line + item[: len(item) - len(item.lstrip(JSON_BLANK))].count("\n")
            if item.strip(JSON_BLANK) or depth or count:
                own = (place, measure(item)) if has_places else None
                yield FileRecord(begun, self._item(item, begun), own)
                count += 1
            place += measure(item) + measure(sign)
            line += item.count("\n")
            start = at
            if not depth:
                self._require_end(text[at:], line, chunks)
                return

    def _item(self, item: str, line: int) -> Any:
        try:
            return codec.loads(item.strip(JSON_BLANK))
        except ValueError as error:
            raise self._not_json(line + getattr(error, "lineno", 1) - 1, error) from None

    def _require_end(self, rest: str, line: int, chunks: Generator[str, int]) -> None:
        while not rest.strip(JSON_BLANK):
            line += rest.count("\n")
            rest = next(chunks, "")
            if not rest:
                return
        line += rest[: len(rest) - len(rest.lstrip(JSON_BLANK))].count("\n")
        raise self._not_json(line, ValueError("more follows after the end of the array"))

    # -- an object of columns

    def _is_columns(self, value: Any) -> bool:
        if not isinstance(value, dict) or not any(name.lower() in self._wanted for name in value):
            return False
        return all(isinstance(each, list | dict) for each in value.values()) and not any(
            map(_is_conversation, value.values())
        )

    def _rows_of(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        if all(isinstance(each, list) for each in value.values()):
            if len({len(each) for each in value.values()}) > 1:
                raise InputError(f"the columns in {self._path.name!r} differ in length", fix=ROWS_FIX)
            return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
        if all(isinstance(each, dict) for each in value.values()):
            keys = dict.fromkeys(key for each in value.values() for key in each)
            return [{name: cells.get(key) for name, cells in value.items()} for key in keys]
        raise InputError(f"{self._path.name!r} is a JSON object, not rows", fix=ROWS_FIX)

    def _not_json(self, line: int, why: ValueError) -> InputError:
        return InputError(f"line {line:,} of {self._path.name!r} is not valid JSON: {_reason(why)}", fix=_LINE_FIX)


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) and "role" in each for each in value)


class _Scan:
    """Looks for the end of the object or array that a growing text begins with."""

    def __init__(self) -> None:
        self._depth = self._at = 0

    def end_in(self, text: str) -> int | None:
        """The place behind it; None if it goes on. Where the text can't be JSON, its end: the parser says why."""
        for token in _TOKEN.finditer(text, self._at):
            sign = token[0]
            self._depth += (sign in ("{", "[")) - (sign in ("}", "]"))
            if sign == '"':  # JSON has no line break in a text
                return len(text)
            if self._depth > _DEEPEST or (self._depth <= 0 and sign != ","):
                return token.end()
        self._at = len(text)
        return None if self._depth else len(text)


def _goes_on(line: str, error: ValueError) -> bool:
    """Whether only the end of a value is missing, or another one begins behind it."""
    return isinstance(error, JSONDecodeError) and (error.pos >= len(line) or error.msg == "Extra data")


def _sent(chunks: Generator[str, int], size: int) -> str:
    try:
        return chunks.send(size)
    except StopIteration:
        return ""


def _reason(error: ValueError) -> str:
    """Without the place, which is that in a part of the file."""
    return re.sub(r":? line \d+ column \d+ \(char \d+\)", "", str(error))
