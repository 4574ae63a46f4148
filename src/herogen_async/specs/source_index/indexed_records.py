"""The records of a source by number, read where they lie.

A record is compared with its digest when it is read: a file that is changed while a run uses it is never sent wrong.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.cache_folder import sources_folder
from herogen_async.core.errors import InputError
from herogen_async.core.units import counted
from herogen_async.specs.records.as_text import field_texts
from herogen_async.specs.records.grammar import Grammar
from herogen_async.specs.records.hub import hub_commit
from herogen_async.specs.records.spool import sha256_of
from herogen_async.specs.source_index.digest_table import DIGEST, ITEM_SIZE
from herogen_async.specs.source_index.record_index import (
    FILE_BITS,
    INDEX_MAGIC,
    PACKED,
    TAIL,
    build_index,
    content_sha256,
    digest_of,
)
from herogen_async.specs.sources.record_cells import Records
from herogen_async.specs.spec.source import RecordSource

_ANEW = "remove it: it is made anew"
_PLACE = (1 << FILE_BITS) - 1
_CHANGED = "put the file back as it was; or `run SPEC --extend` goes on with what it is now"


class IndexedRecords:
    """The records of `source`, by the index at `path`. Raises InputError where that is none; OSError."""

    def __init__(self, source: RecordSource, key: Sequence[str], path: Path) -> None:
        self.source = source
        self.key = tuple(sorted(key))
        self.path = path
        self._file = _opened(path)
        self._data: dict[int, int] = {}
        self._gone: set[int] = set()  # of the files that can't be read, which is found out once
        weakref.finalize(self, _close, self._file, self._data)
        try:
            self.header = _header_of(self._file)
            self.size: int = self.header["count"]
            self.sha256: str = self.header["sha256"]
            self.facets: Mapping[str, Sequence[str]] = self.header["facets"]
            self.longest: Mapping[str, str] = self.header["longest"]
            self.grammars = [Grammar(**{**each, "names": tuple(each["names"])}) for each in self.header["grammars"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{str(path)!r} is not an index of records: {error}", fix=_ANEW) from None
        self.fields: Mapping[str, str] = source.fields
        self._its_names = list(source.fields.values())
        self._key_places = [self._its_names.index(name) for name in self.key]
        self._sorted = _Sorted(self._file, self.size)

    @property
    def rules(self) -> str:
        """Which records of the content are taken, as a text that is equal where that is."""
        return f"{self.source.where}\n{self.source.limit}"

    @property
    def copy(self) -> Path | None:
        """The copy of the records beside the index, where they can't be read from their own files."""
        return self.path.with_suffix(".jsonl") if self.header["is_copied"] else None

    def identity(self, number: int) -> tuple[bytes, int]:
        """(digest, occurrence) of record `number`. IndexError outside `range(size)`."""
        _, _, digest, occurrence = self._entry(number)
        return digest, occurrence

    def keyed_as(self, other: Records) -> IndexedRecords | None:
        """The same records, with digests of the fields that those of `other` are of; None where they lack one."""
        key = other.key if isinstance(other, IndexedRecords) else self.key
        if not set(key) <= set(self._its_names):
            return None
        return self if key == self.key else indexed_records(self.source.model_copy(update={"sha256": self.sha256}), key)

    def find(self, digest: bytes, occurrence: int) -> int | None:
        """The number of the record that is this one; None where there is none."""
        return self._sorted.find(digest, occurrence)

    def values(self, number: int) -> dict[str, str]:
        """The fields of record `number`, by our names. Raises InputError where its file is gone or has changed."""
        place, size, digest, _ = self._entry(number)
        file = place >> FILE_BITS
        if file >= len(self.grammars):
            raise InputError(f"{str(self.path)!r} is damaged", fix=_ANEW)
        raw = os.pread(self._descriptor(file), size, place & _PLACE)
        grammar = self.grammars[file]
        try:
            texts = field_texts(grammar.values(raw), self._its_names, grammar.spelled, raw)
        except (ValueError, AttributeError):
            raise self._changed(file) from None
        if digest_of([texts[each] for each in self._key_places]) != digest:
            raise self._changed(file)
        return dict(zip(self.fields, texts, strict=True))

    def notices(self) -> list[str]:
        """What a person should know of the source: what was passed over, what is empty, what is there twice."""
        head, found = self.header, list(self.header["remarks"])
        is_cut = self.size == self.source.limit  # how many of the others fit was not looked at
        if self.source.where is not None and head["read"] > self.size and not is_cut:
            found.append(f"Source: {self.size:,} of {head['read']:,} records match `where`.")
        for name, its_name in self.source.fields.items():
            if its_name in self.key and (count := head["blank"].get(name)):
                found.append(f"Source: {counted(count, 'record')} without {name!r}: it is empty in what is sent.")
        if head["repeated"]:
            count = counted(head["repeated"], "record")
            found.append(f"Source: {count} equal to earlier ones in what is sent; each is requested.")
        return found

    def to_keep(self) -> dict[str, Path]:
        """What a run has to keep, by the names that it has there."""
        found = self.index_to_keep()
        if (copy := self.copy) is not None:
            found[str(Path(next(iter(found))).with_suffix(".jsonl"))] = copy
        if not self.source.can_be_read_again:
            own = self.source.files()[0]
            found[f"{self.sha256}{own.suffix}"] = own
        return found

    def index_to_keep(self) -> dict[str, Path]:
        """The same of the index alone, by which records are found and not read."""
        return {kept_name(self.source, self.key, self.sha256): self.path}

    def pin(self) -> dict[str, str]:
        """What says in a spec that this content is meant."""
        commit = hub_commit(Path(self.header["files"][0]["path"])) if self.source.is_on_hub else None
        return {"sha256": self.sha256} if commit is None else {"sha256": self.sha256, "revision": commit}

    def _entry(self, number: int) -> tuple[int, int, bytes, int]:
        if not 0 <= number < self.size:
            raise IndexError(f"record {number!r} is not there: valid: 0 to {self.size - 1}")
        return PACKED.unpack(os.pread(self._file, PACKED.size, number * PACKED.size))

    def _descriptor(self, file: int) -> int:
        if file in self._gone:
            raise self._changed(file)
        if file not in self._data:
            copy = self.copy
            path = self._own_file(file) if copy is None else copy
            try:
                self._data[file] = _opened(path)
            except OSError as error:
                raise InputError(f"the source {str(path)!r} can't be read: {error.strerror}", fix=_CHANGED) from None
        return self._data[file]

    def _own_file(self, number: int) -> Path:
        """A file of the source that has the content that the index was made of."""
        was = self.header["files"][number]
        for path in self._candidates(number):
            try:
                stat = path.stat()
                if stat.st_size == was["size"] and (
                    stat.st_mtime_ns == was["mtime_ns"] or sha256_of(path) == was["sha256"]
                ):
                    return path
            except OSError:
                continue
        raise self._changed(number)

    def _candidates(self, number: int) -> list[Path]:
        try:
            now = self.source.files()
        except InputError:
            now = []
        # It may have moved, with its spec.
        return [*now[number : number + 1], Path(self.header["files"][number]["path"])]

    def _changed(self, number: int) -> InputError:
        self._gone.add(number)
        path = self.header["files"][number]["path"]
        return InputError(f"the source {path!r} is gone, or no longer what the run was begun with", fix=_CHANGED)


class _Sorted:
    """The sorted digests of an index, as a sequence that is never held."""

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> bytes:
        return os.pread(self._file, ITEM_SIZE, self._size * PACKED.size + place * ITEM_SIZE)

    def find(self, digest: bytes, occurrence: int) -> int | None:
        place = bisect_left(self, digest) + occurrence - 1
        if occurrence < 1 or place >= self._size:
            return None
        entry = self[place]
        return int.from_bytes(entry[DIGEST:]) if entry[:DIGEST] == digest else None


def indexed_records(source: RecordSource, key: Sequence[str]) -> IndexedRecords:
    """The records of `source`, whose index is built where none is at hand: that of its run, or of an earlier command.

    `key` are the names in the file of the fields that are sent. Raises InputError where the source can't be read, or
    is not what `sha256` pins.
    """
    if source.home is not None and source.sha256 is not None:
        own = Path(source.home) / kept_name(source, key, source.sha256)
        if own.exists():
            kept = IndexedRecords(source, key, own)
            if kept.sha256 != source.sha256:
                raise InputError(f"{str(own)!r} is the index of another content", fix=_ANEW)
            return kept
    target = sources_folder() / f"{_name_of(source, key)}.idx"
    found = _if_current(source, key, target)
    if found is None:
        try:
            build_index(source, key, target)
        except OSError as error:
            raise InputError(
                f"the index of {source.path!r} can't be written to {str(target.parent)!r}: {error.strerror}",
                fix="set HEROGEN_SOURCES_DIR to a folder with room",
            ) from None
        found = IndexedRecords(source, key, target)
    if source.sha256 is not None and found.sha256 != source.sha256:
        # A run has a folder; without one it is the spec that says so.
        fix = "put the file back as it was, or remove `sha256` from the spec" if source.home is None else _CHANGED
        raise InputError(f"{source.path!r} has changed: its SHA-256 is not {source.sha256[:12]}…", fix=fix)
    return found


def kept_name(source: RecordSource, key: Sequence[str], sha256: str) -> str:
    """What a run calls the index: by content, wherever the source lies."""
    rules = source.model_dump(include={"fields", "where", "limit"})
    return f"{codec.fingerprint([sha256, rules, sorted(key)])}.idx"


def _name_of(source: RecordSource, key: Sequence[str]) -> str:
    rules = source.model_dump(exclude={"sha256", "home"})
    pin = None if source.can_be_read_again else source.sha256
    return codec.fingerprint([rules, pin, sorted(key), 1])


def _if_current(source: RecordSource, key: Sequence[str], path: Path) -> IndexedRecords | None:
    """The index at `path`, where the files are as they were when it was built."""
    try:
        found = IndexedRecords(source, key, path)
        held = found.header["files"]
        now = source.files()
        if [each["path"] for each in held] != [str(each) for each in now]:
            return None
        shas = []
        for was, file in zip(held, now, strict=True):
            stat = file.stat()
            if stat.st_size != was["size"]:
                return None
            shas.append(was["sha256"] if stat.st_mtime_ns == was["mtime_ns"] else sha256_of(file))
        is_there = found.copy is None or found.copy.exists()
    except (OSError, KeyError, TypeError, InputError):
        return None
    return found if is_there and content_sha256(shas) == found.sha256 else None


def _header_of(file: int) -> dict[str, Any]:
    """What stands at the end of an index. ValueError where that can't be, by its size: it was cut, or is none."""
    size = os.fstat(file).st_size
    head_size, magic = TAIL.unpack(os.pread(file, TAIL.size, max(0, size - TAIL.size)).rjust(TAIL.size))
    start = size - TAIL.size - head_size
    if magic != INDEX_MAGIC or start < 0:
        raise ValueError("it has no end")
    header: dict[str, Any] = codec.loads(os.pread(file, head_size, start))
    if start != header["count"] * (PACKED.size + ITEM_SIZE):
        raise ValueError("it has another size")
    return header


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _close(file: int, others: dict[int, int]) -> None:
    for each in (file, *others.values()):
        os.close(each)
