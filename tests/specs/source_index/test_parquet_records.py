"""Sources in Parquet: every value as text, and no record lost."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from herogen_async.core.errors import InputError
from herogen_async.specs.source_index.indexed_records import IndexedRecords, indexed_records
from herogen_async.specs.spec.source import source_of


def opened(path: Path | str, **rules: Any) -> IndexedRecords:
    return indexed_records(source_of({"path": str(path), **rules}, None), ["q"])


def values_of(records: IndexedRecords) -> list[dict[str, str]]:
    return [records.values(number) for number in range(records.size)]


def test_parquet_values_are_text_as_json_has_them(tmp_path: Path) -> None:
    """Dates and decimals, too, and lists as compact JSON."""
    path = tmp_path / "a.parquet"
    columns = {"q": [7], "n": [1.5], "d": [datetime.date(2026, 1, 2)], "m": [Decimal("1.50")], "l": [["a", "b"]]}
    pq.write_table(pa.table(columns), path)
    assert {"q": "7", "n": "1.5", "d": "2026-01-02", "m": "1.50", "l": '["a","b"]'} == opened(path).values(0)


def test_values_in_parquet_structs_are_text_too(tmp_path: Path) -> None:
    """At any depth, with a condition and without."""
    path = tmp_path / "a.parquet"
    when, day = datetime.datetime(2026, 1, 2), datetime.date(2026, 1, 2)
    structs = [{"t": when, "m": Decimal("1.50"), "b": b"ab", "l": [day]}, None]
    pq.write_table(pa.table({"q": structs, "d": pa.array([[day], []], pa.large_list(pa.date32()))}), path)
    expected = '{"t":"2026-01-02 00:00:00.000000","m":"1.50","b":"ab","l":["2026-01-02"]}'
    rules: dict[str, Any]
    for rules in ({}, {"where": "q != 'x'"}):
        found = values_of(opened(path, **rules))
        assert [{"q": expected, "d": '["2026-01-02"]'}, {"q": "", "d": "[]"}] == found


def test_a_parquet_column_that_is_no_text_can_be_left_out(tmp_path: Path) -> None:
    """It is named, and a condition on other columns does not read it."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["a", "b"], "picture": [{"bytes": b"\xff"}] * 2, "n": [1, 2]}), path)
    with pytest.raises(InputError, match=r"column 'picture' of .* can't be read as text") as refused:
        opened(path)
    assert "`fields`" in (refused.value.fix or "")
    assert 2 == opened(path, fields={"q": "q"}).size
    assert [{"q": "b"}] == values_of(opened(path, fields={"q": "q"}, where="n > 1"))


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Rather than to lose one."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array(["1"]), pa.array(["2"])], names=["q", "q"]), path)
    with pytest.raises(InputError, match="2 columns called 'q'"):
        opened(path)


@pytest.mark.parametrize("where", [None, "q != 'x'"])
def test_no_record_of_a_file_without_the_fields_is_lost(where: str | None, tmp_path: Path) -> None:
    """It is empty in what is sent, and told."""
    pq.write_table(pa.table({"q": ["a", "b"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"other": [1, 2, 3]}), tmp_path / "2.parquet")
    found = opened(tmp_path / "*.parquet", fields={"q": "q"}, where=where)
    assert ["a", "b", "", "", ""] == [each["q"] for each in values_of(found)]
    assert any("3 records without 'q'" in each for each in found.notices())
