"""From a journal to files: the rows in the grid's order, one table of them, the fine-tune files, what failed."""

from herogen_async.dataset.assemble import assemble
from herogen_async.dataset.assembled import DROPPABLE, Assembled, DataFile
from herogen_async.dataset.export import FORMATS as EXPORT_FORMATS
from herogen_async.dataset.export import Exported, export
from herogen_async.dataset.failures import FailureGroup, failures
from herogen_async.dataset.formats import FORMATS
from herogen_async.dataset.recipe import TRUNCATED
from herogen_async.dataset.rows import RunRows
from herogen_async.dataset.sentences import trim_to_sentence

__all__ = [
    "DROPPABLE",
    "EXPORT_FORMATS",
    "FORMATS",
    "TRUNCATED",
    "Assembled",
    "DataFile",
    "Exported",
    "FailureGroup",
    "RunRows",
    "assemble",
    "export",
    "failures",
    "trim_to_sentence",
]
