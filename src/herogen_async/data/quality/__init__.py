"""What is in a data set before money is spent on it: checks row by row, figures over all, and a report to look at.

It sees plain records, in the order in which they will be written, and never keeps the texts: 2.4 kB a row, most of it
for finding near-duplicates.
"""

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

__all__ = [
    "KINDS",
    "Coverage",
    "Example",
    "Finding",
    "Group",
    "Inspector",
    "Quality",
    "Quantiles",
    "Sighting",
    "TokenCounts",
    "report_files",
]
