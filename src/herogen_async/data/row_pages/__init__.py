"""The rows of a run to look at, however many: counted, filtered and paged through without being held."""

from herogen_async.data.row_pages.row_coverage import RowCoverage
from herogen_async.data.row_pages.row_filter import MARKED, ROW_ORDERS, ROW_STATES, RowFilter, bound_of
from herogen_async.data.row_pages.row_judgements import ACCEPTED
from herogen_async.data.row_pages.row_pace import RowPace
from herogen_async.data.row_pages.row_pages import FoundRows, RowPages

__all__ = [
    "ACCEPTED",
    "MARKED",
    "ROW_ORDERS",
    "ROW_STATES",
    "FoundRows",
    "RowCoverage",
    "RowFilter",
    "RowPace",
    "RowPages",
    "bound_of",
]
