"""CSV that every reader parses back into the same cells, and that no spreadsheet runs as formulas.

P14, the guard: a text that a spreadsheet would run gets a `'` in front. So does one that begins with quotes and then
would be run: only so can the guard be taken off again, exactly.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable

Write = Callable[[bytes], object]

# The signs that begin a formula, in their full and small widths too (a spreadsheet with an East Asian keyboard takes
# them for the same), behind blanks and what nobody sees, which some readers cut off.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
_UNSEEN = "\\s\\x00-\\x1f\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
_FORMULA = re.compile(f"'*(?:[{_UNSEEN}]*[{_SIGNS}]|[\t\r])")
_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?")


class CsvTable:
    """Rows of cells as UTF-8 CSV, passed to `write`; lines end in a newline, None is an empty cell."""

    def __init__(self, write: Write) -> None:
        self._write = write
        # The csv module quotes a lone carriage return only if its line terminator has one, and readers split a cell
        # that contains it unquoted. So the terminator is "\r\n" here, and `write` replaces it with a plain newline.
        self._csv = csv.writer(self, lineterminator="\r\n")

    def row(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._csv.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in cells])

    def write(self, line: str) -> None:
        """For the csv module, which calls this once per row."""
        self._write(line[:-2].encode() + b"\n")


def guarded(text: object) -> object:
    """`text` so that a spreadsheet shows it instead of running it (P14): a `'` goes before the start of a formula.

    A plain number such as -5 is not a formula. Anything but text is returned unchanged.
    """
    return f"'{text}" if isinstance(text, str) and is_formula(text) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith("'") and is_formula(text[1:]) else text


def is_formula(text: str) -> bool:
    """Whether `text` needs the guard."""
    return bool(_FORMULA.match(text)) and not _NUMBER.fullmatch(text)
