"""The report as files: one page for people, the same as figures, and the charts."""

from __future__ import annotations

from collections.abc import Iterator

from herogen_async.core import codec
from herogen_async.data.charts import quality_charts as charts
from herogen_async.data.quality.report_page import FIGURES, report_page
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.similar import THRESHOLD
from herogen_async.data.quality.subject import Subject

PAGE = "report.html"


def report_files(quality: Quality, subject: Subject) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file of the report: charts as PNG, `quality.json`, and `report.html` last.

    `subject` is what the rows are and how they were made. Without matplotlib there are no charts, and the page says so.
    """
    try:
        pictures = dict(_pictures(quality))
    except ImportError:
        pictures = {}
    yield from pictures.items()
    accepted = {} if subject.acceptance is None else {"acceptance": subject.acceptance.as_dict()}
    yield FIGURES, codec.dumps_pretty(quality.as_dict() | accepted)
    yield PAGE, report_page(quality, subject, pictures).encode("utf-8", "replace")


def _pictures(quality: Quality) -> Iterator[tuple[str, bytes]]:
    """The charts that have something to show. Raises ImportError without matplotlib."""
    cover, shape = quality.coverage, quality.shape
    if cover.by_cell and cover.source.facets and charts.can_be_drawn(cover.source):
        yield "coverage.png", charts.coverage(cover.source, cover.by_cell, repeats=cover.repeats)
    if any(shape.words.get(fate) for fate in charts.FATES):
        yield "lengths.png", charts.lengths(shape.words, shape.bounds)
    groups = [1 + len(group.others) for group in quality.groups]
    if len(shape.nearest) > 1 or groups:
        yield "duplication.png", charts.duplication(shape.nearest, groups, threshold=THRESHOLD)
