"""CSV that every reader takes apart into the cells that were put in, and that no spreadsheet runs."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable

Write = Callable[[bytes], object]

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class CsvTable:
    """Rows of cells as UTF-8 CSV, handed to `write`; lines end in a newline, None is an empty cell."""

    def __init__(self, write: Write) -> None:
        self._write = write
        # The csv module quotes a lone carriage return only where its line end has one, and a cell that holds it
        # unquoted falls apart in readers. So it is told "\r\n", and the line gets its plain newline below.
        self._csv = csv.writer(self, lineterminator="\r\n")

    def row(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._csv.writerow(cells)

    def write(self, line: str) -> None:
        """For the csv module: it calls this once a row."""
        self._write(line[:-2].encode() + b"\n")


def guarded(text: object) -> object:
    """`text` as a spreadsheet shows it instead of running it (P14): one that begins a formula gets a `'` before it.

    A plain number such as -5 is none. Anything but text is returned as it is.
    """
    if isinstance(text, str) and _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
