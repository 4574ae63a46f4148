"""Checks a data set before money is spent on it: findings per row, figures over all rows, and a report.

It takes plain records in the order in which they will be written, and does not keep the texts: 2.4 kB of memory per
row, most of it for finding near-duplicates.
"""

from herogen_async.data.quality.acceptance import Acceptance, AcceptedShare
from herogen_async.data.quality.inspector import Inspector
from herogen_async.data.quality.records import (
    KINDS,
    Coverage,
    Example,
    Finding,
    Group,
    Quantiles,
    Sighting,
    TokenCounts,
)
from herogen_async.data.quality.report_files import report_files
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.subject import RowExcerpt, Subject, WholeExample, pointed_at

__all__ = [
    "KINDS",
    "Acceptance",
    "AcceptedShare",
    "Coverage",
    "Example",
    "Finding",
    "Group",
    "Inspector",
    "Quality",
    "Quantiles",
    "RowExcerpt",
    "Sighting",
    "Subject",
    "TokenCounts",
    "WholeExample",
    "pointed_at",
    "report_files",
]
