"""The rows that a fine-tune learns from: which files a target means, and whether they can be learned from."""

from __future__ import annotations

from herogen_async.tune.finetune.rows.row_checks import (
    JSON_LINES,
    CheckedRows,
    checked_files,
    fingerprint_of,
    is_gone,
)
from herogen_async.tune.finetune.rows.training_files import (
    TrainingFiles,
    find_files,
    fingerprints_of,
    format_for,
    format_of,
    known_files,
)

__all__ = [
    "JSON_LINES",
    "CheckedRows",
    "TrainingFiles",
    "checked_files",
    "find_files",
    "fingerprint_of",
    "fingerprints_of",
    "format_for",
    "format_of",
    "is_gone",
    "known_files",
]
