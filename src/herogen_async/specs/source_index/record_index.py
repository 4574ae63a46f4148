"""Builds the index of a source: where each record lies, and the digest of what is sent of it.

RI1  A record takes 32 bytes: the record's first byte in its file (48 bits), the file's number (16), its size (32), its
     digest (128), and which of the records with that digest it is (32 bits, from 1). They stand in the order of
     the records, behind them the digests in sorted order (`DigestTable`), and last a header as JSON with its size.
RI2  A digest is of the values of the key fields alone, in the order of their names in the file.
RI3  Memory does not grow with the number of records.
RI4  Whatever can't be read from the middle (Parquet, a workbook, a text in an encoding with states) is copied beside
     the index, a line of JSON a record.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.specs.expressions import Expression, ExpressionFailed
from herogen_async.specs.records import Content, FileRecord, RecordFile, open_records
from herogen_async.specs.records.as_text import field_texts, value_text
from herogen_async.specs.records.field_names import field_names, no_object
from herogen_async.specs.records.grammar import Grammar
from herogen_async.specs.records.parquet_rows import ParquetReader
from herogen_async.specs.records.records import Reader
from herogen_async.specs.records.spool import sha256_of
from herogen_async.specs.records.whole_file import whole_file
from herogen_async.specs.source_index.digest_table import DigestTable
from herogen_async.specs.spec.source import PEEKED, RecordSource

PACKED = struct.Struct("<QI16sI")
TAIL = struct.Struct("<Q8s")
INDEX_MAGIC = b"herorec1"
FILE_BITS = 48
MOST_FILES = 1 << 16
MOST_FACET_VALUES = 32  # of a facet
LONGEST_VALUE = 80  # characters of a facet's value, and of what a line's cell shows
_BLOCK = 4096  # records
_MOST_REMARKS = 10


@dataclass(slots=True)
class _Files:
    """The files of a source: where they are, and what is in them."""

    paths: list[Path]
    stats: list[os.stat_result]
    shas: list[str]


@dataclass(slots=True)
class _Block:
    """Some records of one file: their places there, and the texts of each field."""

    file: int
    places: list[tuple[int, int]]
    columns: list[list[str]]


class _NotByPlace(Exception):
    """A record can't be read from the middle of its file."""


def digest_of(texts: Sequence[str]) -> bytes:
    """Of the values of the key fields."""
    if len(texts) == 1:
        return blake2b(texts[0].encode("utf-8", "surrogatepass"), digest_size=16).digest()
    whole = "".join([f"{len(text)}:{text}" for text in texts])
    return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _digests(columns: Sequence[Sequence[str]]) -> list[bytes]:
    """Of many records, column by column."""
    if len(columns) == 1:
        try:
            return [blake2b(text.encode(), digest_size=16).digest() for text in columns[0]]
        except UnicodeEncodeError:  # half a character, as JSON may have it
            return [digest_of((text,)) for text in columns[0]]
    return [digest_of(texts) for texts in zip(*columns, strict=True)]


def content_sha256(shas: Sequence[str]) -> str:
    """Of one file its own SHA-256; of several, one over theirs."""
    return shas[0] if len(shas) == 1 else sha256("".join(shas).encode()).hexdigest()


def build_index(source: RecordSource, key: Sequence[str], target: Path) -> None:
    """Write the index of `source` to `target`; `key` are the names in the file of the fields that are sent.

    Raises InputError, with file and line, for what can't be read, and where no record is left; OSError.
    """
    paths = source.files()
    if len(paths) > MOST_FILES:
        raise InputError(f"{source.path!r} is {len(paths):,} files; the limit is {MOST_FILES:,}", fix="join some")
    try:
        stats = [path.stat() for path in paths]
        files = _Files(paths, stats, [sha256_of(path) for path in paths])
    except OSError as error:
        raise InputError(f"{error.filename!r} can't be read: {error.strerror}", fix="check the path") from None
    try:
        _Build(source, key, files).write(target, copies=False)
    except _NotByPlace:
        _Build(source, key, files).write(target, copies=True)


class _Build:
    """One pass over the files of a source."""

    def __init__(self, source: RecordSource, key: Sequence[str], files: _Files) -> None:
        self._source = source
        self._files = files
        self._where = None if source.where is None else Expression.parse(source.where)
        self._its_names = list(source.fields.values())
        self._key_places = [self._its_names.index(name) for name in sorted(key)]
        self._longest = [""] * len(self._its_names)
        self._values: dict[int, dict[str, None]] = {place: {} for place in range(len(self._its_names))}
        self._blank = [0] * len(self._its_names)
        self._is_known = [False] * len(self._its_names)
        self._read = 0
        self._remarks: list[str] = []
        self._grammars: list[Grammar] = []  # how the records of each file are read again, or those of the copy

    def write(self, target: Path, *, copies: bool) -> None:
        if copies:
            self._grammars = [Grammar("utf-8", names=tuple(self._its_names))]
        table = DigestTable(target.parent)
        with ExitStack() as stack:
            stack.callback(table.close)
            file = stack.enter_context(whole_file(target))
            copy = stack.enter_context(whole_file(target.with_suffix(".jsonl"))) if copies else None
            count = self._entries(file, copy, table)
            if not count:
                raise self._nothing()
            self._require_fields()
            file.flush()
            repeated = 0
            for number, occurrence in table.write(file):
                os.pwrite(file.fileno(), occurrence.to_bytes(4, "little"), number * PACKED.size + PACKED.size - 4)
                repeated += 1
            head = codec.dumps(self._header(count, repeated, copies=copies))
            file.write(head + TAIL.pack(len(head), INDEX_MAGIC))
            self._require_unchanged()

    def _entries(self, file: BinaryIO, copy: BinaryIO | None, table: DigestTable) -> int:
        pack, key = PACKED.pack, self._key_places
        count, end = 0, 0
        for block in self._blocks(copies=copy is not None):
            left = None if self._source.limit is None else self._source.limit - count
            columns = block.columns if left is None else [column[:left] for column in block.columns]
            digests = _digests([columns[place] for place in key])
            places, number = block.places, block.file << FILE_BITS
            if copy is not None:
                lines = list(map(codec.dumps, zip(*columns, strict=True)))
                sizes = list(map(len, lines))
                copy.write(b"".join(lines))
                ends = list(accumulate(sizes, initial=end))
                places, number, end = list(zip(ends, sizes, strict=False)), 0, ends[-1]
            file.write(b"".join([pack(number | at, size, digest, 1) for (at, size), digest in zip(places, digests)]))  # noqa: B905 - a copy has one end more
            table.add(digests)
            self._look(columns)
            count += len(digests)
            if left is not None and len(digests) >= left:
                break
        return count

    def _blocks(self, *, copies: bool) -> Iterator[_Block]:
        """The texts of the fields of all records that are taken."""
        for number, path in enumerate(self._files.paths):
            with closing(open_records(path)) as records, path.open("rb") as raw:
                grammar = records.grammar
                if not copies:
                    if grammar is None:
                        raise _NotByPlace
                    self._grammars.append(grammar)
                if copies and isinstance(records.reader, ParquetReader) and self._where is None:
                    yield from self._of_parquet(records.reader, number)
                    continue
                taken = self._taken(records, path, raw, copies=copies)
                while held := list(islice(taken, _BLOCK)):
                    places, rows = zip(*held, strict=True)
                    yield _Block(number, list(places), list(map(list, zip(*rows, strict=True))))
            self._remarks += [f"{path.name}: {each.text}" for each in records.remarks]

    def _of_parquet(self, reader: ParquetReader, number: int) -> Iterator[_Block]:
        """The same for a table, of which only the columns are read that are needed."""
        there = [name for name in self._its_names if name in reader.names]
        self._is_known = [known or name in there for name, known in zip(self._its_names, self._is_known, strict=True)]
        for size, columns in reader.batches(there):
            texts = {
                name: [value if type(value) is str else value_text(value) for value in column]
                for name, column in zip(there, columns, strict=True)
            }
            self._read += size
            yield _Block(number, [], [texts.get(name) or [""] * size for name in self._its_names])

    def _needed(self, reader: Reader) -> Iterator[FileRecord]:
        """All records; of a table that is stored by columns, those that `fields` and `where` name."""
        if not isinstance(reader, ParquetReader) or self._where is None:
            return iter(reader)
        named = {*self._its_names, *self._where.names, *self._where.stems}
        return reader.records([name for name in reader.names if name in named])

    def _taken(
        self, records: RecordFile, path: Path, raw: BinaryIO, *, copies: bool
    ) -> Iterator[tuple[tuple[int, int], list[str]]]:
        """(place, texts of the fields) of each record of a file that is taken."""
        names, where, grammar = self._its_names, self._where, records.grammar

        def spelled_at(place: tuple[int, int]) -> dict[str, Any]:
            raw.seek(place[0])
            found = {} if grammar is None else grammar.spelled(raw.read(place[1]))
            return found if isinstance(found, dict) else {}

        for record in self._needed(records.reader):
            values, place = record.values, record.place
            if place is None:
                if not copies:
                    raise _NotByPlace
                place = (0, 0)
            if type(values) is not dict:
                raise no_object(path.name, record.line)
            if records.content is Content.TEXT and not values["text"].strip():
                continue  # as the one behind the last line break
            self._read += 1
            if where is not None and not _holds(where, record, path):
                continue
            texts = field_texts(values, names, spelled_at, record.place)
            if not all(self._is_known):
                for number, name in enumerate(names):
                    self._is_known[number] = self._is_known[number] or name in values
            yield place, texts

    def _look(self, columns: Sequence[Sequence[str]]) -> None:
        """What the header says of all records: the longest values, those of facets, and how many are blank."""
        for place, texts in enumerate(columns):
            longest = max(texts, key=len)
            if len(longest) > len(self._longest[place]):
                self._longest[place] = longest
            self._blank[place] += texts.count("")
            if (seen := self._values.get(place)) is not None:
                seen.update(dict.fromkeys(texts))
                if len(seen) > MOST_FACET_VALUES or any(len(text) > LONGEST_VALUE for text in seen):
                    del self._values[place]

    def _header(self, count: int, repeated: int, *, copies: bool) -> dict[str, Any]:
        files, names = self._files, list(self._source.fields)
        return {
            "files": [
                {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha}
                for path, stat, sha in zip(files.paths, files.stats, files.shas, strict=True)
            ],
            "grammars": [asdict(each) for each in self._grammars],
            "is_copied": copies,
            "sha256": content_sha256(files.shas),
            "count": count,
            "read": self._read,
            "repeated": repeated,
            "remarks": list(dict.fromkeys(self._remarks))[:_MOST_REMARKS],
            "blank": {name: blank for name, blank in zip(names, self._blank, strict=True) if blank},
            "longest": dict(zip(names, self._longest, strict=True)),
            "facets": {
                names[place]: list(seen)
                for place, seen in self._values.items()
                if 1 < len(seen) and 2 * len(seen) <= count
            },
        }

    def _require_fields(self) -> None:
        """A field that no taken record has may be one of the others: `where` and `limit` leave them out."""
        missing = [name for name, known in zip(self._its_names, self._is_known, strict=True) if not known]
        if not missing:
            return
        there = field_names(self._files.paths, PEEKED).names
        if missing := [name for name in missing if name not in there]:
            raise InputError(
                f"no record of {self._source.path!r} has the field {missing[0]!r}",
                fix="check `fields`: `our_name: its_name`",
            )

    def _require_unchanged(self) -> None:
        for path, before in zip(self._files.paths, self._files.stats, strict=True):
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise InputError(f"{str(path)!r} was changed while it was read", fix="try again when it is complete")

    def _nothing(self) -> InputError:
        path = self._source.path
        if self._read:
            return InputError(
                f"none of the {self._read:,} records of {path!r} matches `where: {self._source.where}`",
                fix="check the names and values in `where`: they are the file's own",
            )
        return InputError(f"{path!r} has no records", fix="give a file with at least one")


def _holds(where: Expression, record: FileRecord, path: Path) -> bool:
    try:
        return where.holds({name: _value_of(record.values, name) for name in where.names})
    except ExpressionFailed as error:
        raise InputError(
            f"line {record.line:,} of {path.name!r}: `where` can't be decided: {error.message}", fix=error.fix
        ) from None


def _value_of(values: Mapping[str, Any], name: str) -> Any:
    """What a record has under a name; a dotted one may be of an object in it."""
    if name in values:
        return values[name]
    head, _, rest = name.partition(".")
    inner = values.get(head)
    return _value_of(inner, rest) if rest and isinstance(inner, Mapping) else None
