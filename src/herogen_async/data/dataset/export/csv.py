"""CSV that every reader parses back into the same cells, and that no spreadsheet runs as formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable

Write = Callable[[bytes], object]

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class CsvTable:
    """Rows of cells as UTF-8 CSV, passed to `write`; lines end in a newline, None is an empty cell."""

    def __init__(self, write: Write) -> None:
        self._write = write
        # The csv module quotes a lone carriage return only if its line terminator has one, and readers split a cell
        # that contains it unquoted. So the terminator is "\r\n" here, and `write` replaces it with a plain newline.
        self._csv = csv.writer(self, lineterminator="\r\n")

    def row(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._csv.writerow(cells)

    def write(self, line: str) -> None:
        """For the csv module, which calls this once per row."""
        self._write(line[:-2].encode() + b"\n")


def guarded(text: object) -> object:
    """`text` so that a spreadsheet shows it instead of running it (P14): a `'` goes before the start of a formula.

    A plain number such as -5 is not a formula. Anything but text is returned unchanged.
    """
    if isinstance(text, str) and _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
