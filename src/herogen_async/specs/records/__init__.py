"""Reads a file of records, whatever it is: JSON, JSON lines, CSV and its kin, a workbook, plain text.

What a file is, its content says, and its name only where that leaves it open. Records come one at a time, with their
places, in memory that does not grow with the file; numbers and text are as they were written, in whatever encoding.
"""

from __future__ import annotations

from herogen_async.specs.records.excerpt import quoted
from herogen_async.specs.records.json_values import ROWS_FIX, JsonReader, JsonShape
from herogen_async.specs.records.open_records import RecordFile, open_records
from herogen_async.specs.records.records import Content, FileRecord, Remark

__all__ = [
    "ROWS_FIX",
    "Content",
    "FileRecord",
    "JsonReader",
    "JsonShape",
    "RecordFile",
    "Remark",
    "open_records",
    "quoted",
]
