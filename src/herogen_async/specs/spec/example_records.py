"""The records of a spec's `examples`: read from their file, chosen for a row, written as a text.

Kept here:
1. Which ones a row gets follows from the values of its cell, its repeat and the file alone: on every machine, in every
   order of rows, after any restart the same, and no record twice.
2. The file is known by its sha256. Where it is another one than the spec says, nothing is chosen from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from herogen_async.core.codec import canonical
from herogen_async.core.errors import InputError, TemplateFailed
from herogen_async.core.likeness import shown
from herogen_async.specs.forms.form import field_text
from herogen_async.specs.records import Content, open_records
from herogen_async.specs.spec.said import SaidList, SaidMapping, SaidText

MAX_RECORDS = 100_000  # of the file: they are held in memory
MAX_EXAMPLE_BYTES = 64 << 20  # of the file
_BETWEEN = "\n\n"


def examples_of_row(
    records: Sequence[SaidMapping], count: int, cell: Mapping[str, str], repeat: int
) -> list[SaidMapping]:
    """Those that the row with these values is shown."""
    # By values alone: an attribute that is renamed or moved changes no row's examples.
    part = canonical([repeat, *sorted(cell.values())])
    return [records[place] for place in _places(part, count, len(records))]


def together(records: Sequence[SaidMapping]) -> SaidText:
    """Several records as one text, with a blank line between them; its value is their list."""
    text = _BETWEEN.join(map(str, records))
    return SaidText(text, SaidList(records, text))


def record_text(record: Mapping[str, Any]) -> str:
    """A line `name: value` for each field; the value alone where there is but one field."""
    if len(record) == 1:
        return field_text(next(iter(record.values())))
    return "\n".join(f"{name}: {field_text(value)}" for name, value in record.items())


def examples_sha256(file: Path) -> str:
    """Of a file's content. Raises InputError where it can't be read, or is too large to be held."""
    fix = "check the path, which is relative to the spec file"
    try:
        size = file.stat().st_size
        if size > MAX_EXAMPLE_BYTES:
            message = f"{str(file)!r} is larger than {MAX_EXAMPLE_BYTES >> 20} MiB; examples are held in memory"
            raise InputError(message, fix="take a part of it")
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the examples in {str(file)!r} can't be read: {reason}", fix=fix) from error


@lru_cache(maxsize=4)
def shown_records(path: str, sha256: str) -> tuple[SaidMapping, ...]:
    """The records of a file that is known by its `sha256`; each prints as its text.

    Raises InputError where the file is another one, is no table and no JSON, or holds no records or too many.
    """
    file = Path(path)
    if (found := examples_sha256(file)) != sha256:
        raise InputError(
            f"the examples in {path!r} have changed: the file's sha256 is {found}, and the spec says {sha256}",
            fix="restore the file, or run the spec again to agree to the change: what shows examples is stale then",
        )
    opened = open_records(file)
    if opened.content is Content.TEXT:
        raise InputError(f"{path!r} holds lines of text, not records", fix="write JSON Lines, or CSV with a header")
    records: list[SaidMapping] = []
    for record in opened:
        if not isinstance(record.values, dict) or not record.values:
            what = shown(record.values)
            raise InputError(f"line {record.line:,} of {path!r} is {what}, not an object with fields", fix="correct it")
        if len(records) == MAX_RECORDS:
            message = f"{path!r} has more than {MAX_RECORDS:,} records; examples are held in memory"
            raise InputError(message, fix="take a part of it")
        try:
            records.append(SaidMapping(record.values, record_text(record.values)))
        except TemplateFailed as error:
            raise InputError(f"line {record.line:,} of {path!r}: {error.message}", fix="correct it") from None
    if not records:
        raise InputError(f"{path!r} has no records", fix="write the examples there, one on a line")
    return tuple(records)


def _places(part: bytes, count: int, size: int) -> Iterator[int]:
    """`count` different numbers below `size`, in random order: the first ones of a shuffle that `part` seeds."""
    moved: dict[int, int] = {}
    for number in range(min(count, size)):
        digest = hashlib.blake2b(part, digest_size=16, salt=number.to_bytes(4, "big"), person=b"examples")
        place = number + int.from_bytes(digest.digest(), "big") % (size - number)
        yield moved.get(place, place)
        moved[place] = moved.get(number, number)
