"""What the readers of a file give: its records, and what a person should know about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Content(Enum):
    """What a file is, by its content."""

    JSON = "JSON"
    JSON_LINES = "JSON Lines"
    CSV = "CSV"
    TSV = "TSV"
    WORKBOOK = "XLSX"
    PARQUET = "Parquet"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One record. `line` is its place in the file: the line that it begins on, or the row of a sheet, from 1.

    Values are text in tables and what JSON has in JSON; a value that is not there has no name here. `place` is (first
    byte, number of bytes) of a record that can be read again by itself, as `Grammar` reads it; None where none can.
    """

    line: int
    values: Any
    place: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the file that a person should know; `warning` if rows may not be what was meant.

    `code` names what was done about it, for programs.
    """

    text: str
    warning: bool = False
    code: str | None = None


class Reader(Protocol):
    """Reads a file once, a record at a time, in memory that does not grow with it.

    `names` are the columns of a table, empty for JSON and text. `remarks` are complete once all records were read.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def remarks(self) -> tuple[Remark, ...]: ...

    def __iter__(self) -> Iterator[FileRecord]: ...
