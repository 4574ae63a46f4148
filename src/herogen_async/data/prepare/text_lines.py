"""The lines of a UTF-8 text file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from herogen_async.core.errors import InputError


def text_lines(path: Path, newline: str | None) -> Iterator[str]:
    """Each line with its line break, without a byte order mark. `newline` is passed to `open`.

    Raises InputError for a NUL byte, which no text contains, and UnicodeDecodeError.
    """
    with path.open(encoding="utf-8-sig", newline=newline) as file:
        for number, line in enumerate(file, 1):
            if "\0" in line:
                raise not_text(path, f"line {number:,}")
            yield line


def not_text(path: Path, where: str) -> InputError:
    """The error for a file with a NUL byte."""
    return InputError(
        f"{path.name!r} contains a NUL byte ({where}): it is not UTF-8 text",
        fix="save it as UTF-8 text; if it is a workbook, rename it to .xlsx",
    )
