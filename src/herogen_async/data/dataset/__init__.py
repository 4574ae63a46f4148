"""From a journal to files: rows in grid order, one table of them, the fine-tuning files, and the failures."""

from herogen_async.data.dataset.acceptance import acceptance
from herogen_async.data.dataset.assemble.assemble import assemble
from herogen_async.data.dataset.assemble.assembly_report import DROPPABLE, Assembled, DataFile
from herogen_async.data.dataset.export.export import EXPORT_FORMATS as EXPORT_FORMATS
from herogen_async.data.dataset.export.export import Exported, export
from herogen_async.data.dataset.failures import FailureGroup, failures, rows_at
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.data.dataset.newest import Newest
from herogen_async.data.dataset.recipe import TRUNCATED
from herogen_async.data.dataset.rows import RunRows, rows
from herogen_async.data.dataset.sentences import trim_to_sentence
from herogen_async.data.quality import Acceptance

__all__ = [
    "DROPPABLE",
    "EXPORT_FORMATS",
    "FORMATS",
    "TRUNCATED",
    "Acceptance",
    "Assembled",
    "DataFile",
    "Exported",
    "FailureGroup",
    "Newest",
    "RunRows",
    "acceptance",
    "assemble",
    "export",
    "failures",
    "rows",
    "rows_at",
    "trim_to_sentence",
]
