"""How one record of a file is read again, from its bytes alone."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.specs.records.as_text import spelled
from herogen_async.specs.records.encoding import Encoding

JSON_BLANK = " \t\r\n\ufeff"
_BY_MARK = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_WITH_STATE = ("iso2022", "hz", "utf_7")  # what a byte means depends on those before it


@dataclass(frozen=True, slots=True)
class Grammar:
    """Of the records of one file: a table's where it has a `delimiter`, with its column `names`, else JSON's; with
    `names`, each record is a JSON array of their values.

    `start` is the place of the first character: behind the byte order mark.
    """

    codec: str
    start: int = 0
    delimiter: str | None = None
    names: tuple[str, ...] = ()

    def values(self, raw: bytes) -> Any:
        """The values of the record in these bytes. ValueError where they are none."""
        text = raw.decode(self.codec)
        if self.delimiter is None:
            found = codec.loads(text.strip(JSON_BLANK))
            return dict(zip(self.names, found, strict=True)) if self.names else found
        before = csv.field_size_limit(sys.maxsize)
        try:
            cells = next(csv.reader([text], delimiter=self.delimiter), [])
        except csv.Error as error:
            raise ValueError(str(error)) from None
        finally:
            csv.field_size_limit(before)
        if len(cells) < len(self.names):
            cells += [""] * (len(self.names) - len(cells))
        return dict(zip(self.names, cells, strict=False))

    def spelled(self, raw: bytes) -> Any:
        """The same of a record in JSON, its numbers as they are written. ValueError where it is none."""
        return spelled(raw.decode(self.codec).strip(JSON_BLANK))

    def measure(self) -> Callable[[str], int]:
        """What gives the number of bytes of a piece of the file's text."""
        name = self.codec
        if name == "utf-8":
            return lambda text: len(text) if text.isascii() else len(text.encode())
        return lambda text: len(text.encode(name))


def grammar_of(path: Path, encoding: Encoding, delimiter: str | None = None) -> Grammar | None:
    """That of a file; None where its bytes can't be read from the middle."""
    name = encoding.codec
    if name.replace("-", "_").startswith(_WITH_STATE):
        return None
    if not encoding.marked:
        return Grammar(name, 0, delimiter)
    if name == "utf-8-sig":
        return Grammar("utf-8", 3, delimiter)
    with path.open("rb") as file:
        head = file.read(4)
    if name == "utf-32":
        return Grammar("utf-32-le" if head[0] == 0xFF else "utf-32-be", 4, delimiter)
    return Grammar(_BY_MARK[head[:2]], 2, delimiter)
