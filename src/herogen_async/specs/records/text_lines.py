"""The lines of a text file, in its own encoding."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from herogen_async.core.errors import InputError
from herogen_async.specs.records.encoding import Encoding

LONGEST_RECORD = 1 << 28  # characters: what is longer is no row, and would have to be held at once
_CHUNK = 1 << 20


def text_lines(path: Path, encoding: Encoding, *, newline: str | None = None) -> Iterator[str]:
    """Each line with its line break, without a byte order mark. `newline` is passed to `open`.

    Raises InputError, with the line, for what is no text of this encoding, or no text at all.
    """
    with _opened(path, encoding, newline) as file:
        number = 1
        while line := file.readline(LONGEST_RECORD):
            if "\0" in line:
                raise not_text(path, f"line {number:,}")
            if len(line) >= LONGEST_RECORD and not line.endswith("\n"):
                raise too_long(path, number)
            yield line
            number += 1


def text_chunks(path: Path, encoding: Encoding) -> Generator[str, int]:
    """The text in pieces: of the size that is sent, at least. Raises InputError as `text_lines` does."""
    with _opened(path, encoding, "") as file:
        wanted = _CHUNK
        before = 0
        while chunk := file.read(max(wanted or 0, _CHUNK)):
            if "\0" in chunk:
                raise not_text(path, f"line {before + chunk[: chunk.index(chr(0))].count(chr(10)) + 1:,}")
            before += chunk.count("\n")
            wanted = yield chunk


@contextmanager
def _opened(path: Path, encoding: Encoding, newline: str | None) -> Iterator[TextIO]:
    try:
        with path.open(encoding=encoding.codec, newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name!r} has bytes that are no {encoding.name} text: {error.reason}",
            fix="save it as UTF-8 with the program that made it",
        ) from None


def too_long(path: Path, line: int) -> InputError:
    """The error for what is no row."""
    return InputError(
        f"the record on line {line:,} of {path.name!r} is longer than {LONGEST_RECORD:,} characters",
        fix="write one row a record",
    )


def not_text(path: Path, where: str) -> InputError:
    """The error for a file with a NUL byte."""
    return InputError(
        f"{path.name!r} contains a NUL byte ({where}): it is no text",
        fix="save it as UTF-8 text, or as a workbook (.xlsx)",
    )
