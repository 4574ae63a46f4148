"""Plain text: each line is a record, and so is what follows the last line break, even if empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from herogen_async.specs.records.encoding import Encoding
from herogen_async.specs.records.records import FileRecord, Remark
from herogen_async.specs.records.text_lines import text_lines


class TextReader:
    """The lines, as `{"text": ...}`. Raises InputError for what is no text."""

    names = ("text",)
    remarks: tuple[Remark, ...] = ()

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path = path
        self._encoding = encoding

    def __iter__(self) -> Iterator[FileRecord]:
        line, number = "\n", 0  # an empty file is one empty line
        for number, line in enumerate(text_lines(self._path, self._encoding), 1):
            yield FileRecord(number, {"text": line.removesuffix("\n")})
        if line.endswith("\n"):
            yield FileRecord(number + 1, {"text": ""})
