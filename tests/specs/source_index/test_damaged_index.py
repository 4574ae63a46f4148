"""An index that is cut, rotten or of another content is made anew or named, and never believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from herogen_async.core.errors import InputError
from herogen_async.specs.source_index.indexed_records import IndexedRecords, indexed_records, kept_name
from herogen_async.specs.source_index.record_index import INDEX_MAGIC, PACKED, TAIL
from herogen_async.specs.spec.source import RecordSource, source_of

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda raw: raw[:-9],
    "empty": lambda _: b"",
    "zeros": lambda raw: bytes(len(raw)),
    "no entries": lambda raw: raw[PACKED.size :],
    "a header that is a list": lambda _: b"[]" + TAIL.pack(2, INDEX_MAGIC),
    "a header of nothing": lambda _: b"{}" + TAIL.pack(2, INDEX_MAGIC),
    "a header beyond memory": lambda raw: raw[: -TAIL.size] + TAIL.pack(1 << 63, INDEX_MAGIC),
    "a grammar of other keys": lambda raw: raw.replace(b'"delimiter"', b'"delimitep"'),
}


def source_in(folder: Path) -> RecordSource:
    path = folder / "a.csv"
    if not path.exists():
        path.write_text("q,n\na,1\nb,2\n")
    return source_of(str(path), None)


def damaged(path: Path, content: bytes) -> None:
    path.unlink()  # it may be linked
    path.write_bytes(content)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_index_is_made_anew(name: str, tmp_path: Path) -> None:
    """In the cache; that of a run is named, since a run has no other."""
    source = source_in(tmp_path)
    found = indexed_records(source, ["q"])
    raw = found.path.read_bytes()
    damaged(found.path, DAMAGES[name](raw))
    assert {"q": "b", "n": "2"} == indexed_records(source, ["q"]).values(1)

    pinned = source.model_copy(update={"sha256": found.sha256, "home": str(tmp_path)})
    own = tmp_path / kept_name(pinned, ["q"], found.sha256)
    own.write_bytes(DAMAGES[name](raw))
    with pytest.raises(InputError, match="is not an index of records") as refused:
        indexed_records(pinned, ["q"])
    assert "remove it: it is made anew" == refused.value.fix
    own.unlink()
    assert {"q": "b", "n": "2"} == indexed_records(pinned, ["q"]).values(1)


def test_a_run_does_not_believe_an_index_of_another_content(tmp_path: Path) -> None:
    """Another command may have replaced it in the cache just before it was linked."""
    source = source_in(tmp_path)
    was = indexed_records(source, ["q"]).sha256
    (tmp_path / "a.csv").write_text("q,n\nz,0\na,1\nb,2\n")
    now = indexed_records(source, ["q"])
    pinned = source.model_copy(update={"sha256": was, "home": str(tmp_path)})
    os.link(now.path, tmp_path / kept_name(pinned, ["q"], was))
    with pytest.raises(InputError, match="index of another content"):
        indexed_records(pinned, ["q"])


def test_an_entry_of_no_file_is_named(tmp_path: Path) -> None:
    """Instead of a crash."""
    found = indexed_records(source_in(tmp_path), ["q"])
    raw = bytearray(found.path.read_bytes())
    raw[7] = 0xFF  # of the first record's file number
    damaged(found.path, bytes(raw))
    with pytest.raises(InputError, match="is damaged"):
        IndexedRecords(found.source, ["q"], found.path).values(0)
