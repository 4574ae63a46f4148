"""The lines of a text file in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from herogen_async.core.errors import InputError


def text_lines(path: Path, newline: str | None) -> Iterator[str]:
    """Each line with its end, without a byte order mark. `newline` is `open`'s.

    Raises InputError at a NUL, which no text holds, and UnicodeDecodeError.
    """
    with path.open(encoding="utf-8-sig", newline=newline) as file:
        for number, line in enumerate(file, 1):
            if "\0" in line:
                raise not_text(path, f"line {number:,}")
            yield line


def not_text(path: Path, where: str) -> InputError:
    """The error for a file that holds a NUL."""
    return InputError(
        f"{path.name!r} holds a NUL byte ({where}): it is no text in UTF-8",
        fix="save it as UTF-8 text; if it is a workbook, call it .xlsx",
    )
