"""The index of a source: every format's records, found again by number, in memory that does not grow with them."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.cache_folder import sources_folder
from herogen_async.core.errors import InputError
from herogen_async.specs.records.as_text import value_text
from herogen_async.specs.source_index.digest_table import DIGEST, ITEM_SIZE, DigestTable
from herogen_async.specs.source_index.indexed_records import IndexedRecords, indexed_records
from herogen_async.specs.spec.source import source_of
from support.workbooks import rows, sheet, workbook

ROWS = [{"q": "007", "n": "a, b"}, {"q": 'two\nlines "and" quotes', "n": ""}, {"q": "äöü 漢字 😀", "n": "1.50"}]


def opened(path: Path | str, key: str = "q", **rules: Any) -> IndexedRecords:
    return indexed_records(source_of({"path": str(path), **rules}, None), [key])


def values_of(records: IndexedRecords) -> list[dict[str, str]]:
    return [records.values(number) for number in range(records.size)]


def table(delimiter: str = ",", rows: list[dict[str, str]] = ROWS) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["q", "n"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def lines(rows: list[dict[str, str]] = ROWS) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


FILES: dict[str, Callable[[Path], object]] = {
    "a.csv": lambda path: path.write_bytes(table().encode()),
    "b.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + table().encode()),
    "c.csv": lambda path: path.write_bytes(table(";").encode("utf-16")),
    "d.tsv": lambda path: path.write_bytes(table("\t").encode()),
    "e.csv": lambda path: path.write_bytes(b"sep=;\r\n" + table(";").encode()),
    "f.csv": lambda path: path.write_bytes(table().replace("\r\n", "\n").replace("two\n", "two\n\n").encode()),
    "g.jsonl": lambda path: path.write_bytes(lines().encode()),
    "h.jsonl": lambda path: path.write_bytes(b"\xef\xbb\xbf" + lines().replace("\n", "\r\n\r\n").encode()),
    "i.json": lambda path: path.write_text(json.dumps(ROWS)),
    "j.json": lambda path: path.write_text("  " + json.dumps(ROWS, indent=2, ensure_ascii=False) + "\n"),
    "k.json": lambda path: path.write_text("\n".join(json.dumps(row, indent=1) for row in ROWS)),
    "l.ndjson": lambda path: path.write_text(lines().rstrip("\n")),
    "m.parquet": parquet,
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_records(name: str, tmp_path: Path) -> None:
    """Text as written, by number, in any order, whatever stands between the records."""
    path = tmp_path / name
    FILES[name](path)
    records = opened(path)
    expected = [dict(row) for row in ROWS]
    if name == "f.csv":
        expected[1]["q"] = 'two\n\nlines "and" quotes'
    assert expected == values_of(records)
    assert expected[1] == records.values(1)


def test_a_workbook_is_copied_beside_its_index(tmp_path: Path) -> None:
    """Its cells can't be read from the middle."""
    path = workbook(tmp_path / "a.xlsx", {"s": sheet(rows(["q", "n"], ["007", "x"], ["b", "y"]))})
    assert [{"q": "007", "n": "x"}, {"q": "b", "n": "y"}] == values_of(opened(path))


def test_lines_of_a_text_are_records(tmp_path: Path) -> None:
    """But for blank ones, as after the last line break."""
    (tmp_path / "personas.txt").write_text("a nurse\n\na poet\n")
    assert [{"text": "a nurse"}, {"text": "a poet"}] == values_of(opened(tmp_path / "personas.txt", key="text"))


def test_numbers_keep_their_spelling(tmp_path: Path) -> None:
    """Nested values are compact JSON, null is empty, true is true."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"q": 1.50, "n": {"a": [1e3, "x"], "b": null}}\n{"q": true, "n": null}\n{"q": 12345678901234567890123}\n'
    )
    assert [
        {"q": "1.50", "n": '{"a":[1e3,"x"],"b":null}'},
        {"q": "true", "n": ""},
        {"q": "12345678901234567890123", "n": ""},
    ] == values_of(opened(path))


def test_the_text_of_a_field_does_not_depend_on_the_others(tmp_path: Path) -> None:
    """A record is told apart by what is sent of it, whatever numbers stand beside that."""
    odd = r'"q": NaN', r'"q": "a\ud800b"', r'"q": -0', r'"q": ["a\ud800b", 1.50]'
    for number, each in enumerate(odd):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(f'{{{each}, "n": 1}}\n{{{each}, "n": 1.5}}\n')
        records = opened(path)
        assert records.values(0)["q"] == records.values(1)["q"]
        assert records.identity(0)[0] == records.identity(1)[0]
        records.values(0)["q"].encode()


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\r\t,;"'), max_size=8)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_any_table_is_read_by_place_as_in_one_pass(rows: list[tuple[str, str]], end: str) -> None:
    """Quotes, line breaks in cells and blank lines between rows move nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
            writer.writerow(["q", "n"])
            for row in rows:
                writer.writerow(row)
                file.write(end)
        assert [{"q": q, "n": n} for q, n in rows] == values_of(opened(path))


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | CELLS, lambda each: st.lists(each, max_size=2))
OBJECTS = st.lists(st.dictionaries(st.sampled_from(["q", "n"]), VALUES), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None)
@given(objects=OBJECTS, indent=st.sampled_from([None, 1]), is_array=st.booleans())
def test_any_json_is_read_by_place_as_in_one_pass(
    objects: list[dict[str, Any]], indent: int | None, is_array: bool
) -> None:
    """Lines, objects over several lines, and an array."""
    objects[0] = {"q": "", "n": "", **objects[0]}
    each = [json.dumps(held, indent=indent) for held in objects]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(objects, indent=indent) if is_array else "\n".join(each))
        assert [{name: value_text(held.get(name)) for name in ("q", "n")} for held in objects] == [
            {name: held[name] for name in ("q", "n")} for held in values_of(opened(path))
        ]


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.integers(0, 6), max_size=300), step=st.integers(1, 50))
def test_equal_digests_are_numbered_in_order(numbers: list[int], step: int) -> None:
    """However they came in; the table is sorted."""
    digests = [bytes((number * 40, *range(15))) for number in numbers]
    table, file = DigestTable(Path()), io.BytesIO()
    for start in range(0, len(digests), step):
        table.add(digests[start : start + step])
    told = dict(table.write(file))
    seen: Counter[bytes] = Counter()
    expected = {}
    for number, digest in enumerate(digests):
        seen[digest] += 1
        if seen[digest] > 1:
            expected[number] = seen[digest]
    assert expected == told
    raw = file.getvalue()
    items = [raw[start : start + ITEM_SIZE] for start in range(0, len(raw), ITEM_SIZE)]
    assert items == sorted(items)
    assert digests == [item[:DIGEST] for item in sorted(items, key=lambda item: item[DIGEST:])]


def test_a_table_that_is_spilled_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than may be held or sorted at once, and one digest in most of it; in its own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "memory"))
    digests = [bytes((number % 3, *range(14), number % 7)) for number in range(5000)]
    held, file = DigestTable(tmp_path), io.BytesIO()
    held.add(digests)
    expected = sorted(held.write(file)), file.getvalue()
    monkeypatch.setattr("herogen_async.specs.source_index.digest_table._HELD", 1000)
    monkeypatch.setattr("herogen_async.specs.source_index.digest_table._CHUNK", 100)
    spilled, file = DigestTable(tmp_path), io.BytesIO()
    for start in range(0, len(digests), 64):
        spilled.add(digests[start : start + 64])
    assert expected == (sorted(spilled.write(file)), file.getvalue())


def test_an_index_is_built_once(tmp_path: Path) -> None:
    """It is used again while size and time of the file agree, or its content does."""
    path = tmp_path / "a.jsonl"
    path.write_text(lines())
    first = opened(path)
    built = first.path.stat().st_mtime_ns
    assert built == opened(path).path.stat().st_mtime_ns
    os.utime(path, (1, 1))
    assert built == opened(path).path.stat().st_mtime_ns
    path.write_text(lines() + lines())
    again = opened(path)
    assert (6, 3) == (again.size, first.size)
    assert again.path.stat().st_mtime_ns != built


def test_what_a_killed_command_has_begun_is_removed(tmp_path: Path) -> None:
    """After a day: a shorter time may be that of another command at work."""
    (tmp_path / "a.csv").write_text("q\na\n")
    opened(tmp_path / "a.csv")
    begun = [sources_folder() / f".building-{name}" for name in ("old.idx", "old.jsonl", "new.idx")]
    for each in begun:
        each.write_bytes(b"0")
    now = begun[2].stat().st_mtime
    for each in begun[:2]:
        os.utime(each, (now - 90_000, now - 90_000))
    (tmp_path / "a.csv").write_text("q\nb\n")
    opened(tmp_path / "a.csv")
    assert [False, False, True] == [each.exists() for each in begun]


def test_a_copy_that_is_gone_is_made_again(tmp_path: Path) -> None:
    """An index without it is of no use."""
    parquet(tmp_path / "a.parquet")
    first = opened(tmp_path / "a.parquet")
    assert first.copy is not None
    first.copy.unlink()
    assert ROWS == values_of(opened(tmp_path / "a.parquet"))
    assert sources_folder() == first.path.parent


def test_a_file_that_changes_while_it_is_used_is_never_sent(tmp_path: Path) -> None:
    """What is read has to have the digest that it had."""
    path = tmp_path / "a.jsonl"
    path.write_text(lines())
    records = opened(path)
    records.values(0)
    with path.open("r+") as file:
        file.write('{"q": "008"')
    with pytest.raises(InputError, match="no longer what the run was begun with"):
        records.values(0)


def test_a_file_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    """By its content, where the size is the same."""
    path = tmp_path / "a.jsonl"
    path.write_text(lines())
    records = opened(path)
    path.write_text(lines().replace("007", "008"))
    with pytest.raises(InputError, match="gone, or no longer"):
        records.values(1)
    with pytest.raises(InputError, match="has changed: its SHA-256 is not") as refused:
        opened(path, sha256=records.sha256)
    assert "remove `sha256` from the spec" in (refused.value.fix or "")
    with pytest.raises(InputError, match="has changed") as refused:
        opened(path, sha256=records.sha256, home=str(tmp_path))
    assert "`run SPEC --extend`" in (refused.value.fix or "")


def test_where_and_limit_choose_records(tmp_path: Path) -> None:
    """By the file's own names, of fields that no prompt gets, too; text that is written as a number is one."""
    path = tmp_path / "a.csv"
    path.write_text("q,score\n" + "".join(f"q{number},{number}\n" for number in range(10)))
    fields: dict[str, Any] = {"fields": {"question": "q"}}
    assert ["q7", "q8", "q9"] == [each["question"] for each in values_of(opened(path, where="score >= 7", **fields))]
    found = opened(path, where="score >= 7", limit=2, **fields)
    assert ["q7", "q8"] == [each["question"] for each in values_of(found)]
    assert 3 == opened(path, limit=3).size


def test_where_is_told_for_what_it_leaves_out_alone(tmp_path: Path) -> None:
    """Not for what `limit` does."""
    path = tmp_path / "a.csv"
    path.write_text("q\n" + "".join(f"{number}\n" for number in range(10)))
    assert [] == opened(path, limit=3).notices()
    assert [] == opened(path, where="q > 1", limit=3).notices()
    assert ["Source: 8 of 10 records match `where`."] == opened(path, where="q > 1", limit=9).notices()


@pytest.mark.parametrize("rules", [{"where": "q == 'a'"}, {"limit": 1}])
def test_a_field_may_be_of_records_that_are_left_out(rules: dict[str, Any], tmp_path: Path) -> None:
    """In the records that are taken it is empty."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "a"}\n{"q": "b", "n": "1"}\n')
    assert [{"q": "a", "n": ""}] == values_of(opened(path, **rules))
    (tmp_path / "b.jsonl").write_text('{"m": "1"}\n')
    assert [{"q": "a", "n": "", "m": ""}] == values_of(opened(tmp_path / "*.jsonl", **rules))


def test_where_reads_inside_objects(tmp_path: Path) -> None:
    """By dotted names."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "a", "meta": {"lang": "en"}}\n{"q": "b", "meta": {"lang": "de"}}\n{"q": "c"}\n')
    assert ["b"] == [each["q"] for each in values_of(opened(path, where="meta.lang == 'de'"))]


def test_a_pattern_means_all_files_in_their_order(tmp_path: Path) -> None:
    """Each read as what it is; the digest of all is one."""
    (tmp_path / "b.csv").write_text("q,n\nb,1\n")
    (tmp_path / "a.jsonl").write_text('{"q": "a", "n": "0"}\n')
    assert ["a", "b"] == [each["q"] for each in values_of(opened(tmp_path / "*.*"))]


MISTAKES = [
    ("a.jsonl", '{"q": 1}\n{"q": \n', {}, "line 2 of 'a.jsonl' is not valid JSON", "one line per row"),
    (
        "a.jsonl",
        '{"q": 1}\n[1]\n',
        {"fields": {"q": "q"}},
        "line 2 of 'a.jsonl' is not a JSON object",
        "one object per line",
    ),
    ("a.csv", "q,n\na,b\nc,d,e\n", {}, "row that ends on line 3 of 'a.csv' has 3 cells", "quote cells"),
    ("a.csv", "q,n\n", {}, "has no records", "at least one"),
    ("a.csv", "q,n\na,1\n", {"where": "n > 3"}, "none of the 1 records", "the file's own"),
    ("a.csv", "q,n\na,x\n", {"where": "n > 3"}, "line 2 of 'a.csv': `where` can't be decided", ""),
    ("a.csv", "q,n\na,\n", {"where": "n > 3"}, "line 2 of 'a.csv': `where` can't be decided", "n != '' and"),
    ("a.jsonl", '{"q": 1}\n', {"fields": {"q": "q", "n": "m"}}, "no record of .* has the field 'm'", "our_name"),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_told_by_its_line(
    mistake: tuple[str, str, dict[str, Any], str, str], tmp_path: Path
) -> None:
    """With what helps; nothing is passed over in silence."""
    name, content, rules, message, fix = mistake
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        opened(tmp_path / name, **rules)
    assert fix in (refused.value.fix or "")
    assert not list(tmp_path.glob(".*")), "nothing is left behind"
