"""What the page shows of a run's quality: figures, findings with some of their rows, the counts behind two plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice, pairwise
from typing import Any

from herogen_async.data.charts.quality_charts import FATES, length_edges
from herogen_async.data.dataset.run_quality import CheckedRun
from herogen_async.data.quality import Quality
from herogen_async.data.quality.similar import THRESHOLD

_GROUPS = 10
_LANGUAGES = 12
_LIKENESS_BINS = 50  # of the report's own chart


def quality_summary(checked: CheckedRun, at: datetime) -> dict[str, Any]:
    """As JSON. Rows are numbered as the run numbers them."""
    quality, count = checked.quality, checked.count
    left_out = {
        "rejected by the spec": count.rejected,
        "near copies": count.near_copies,
        "undecided": count.undecided,
        "empty": count.empty,
        "skipped": count.skipped,
        "tool calls that can't be taught": sum(count.tool_calls_left_out.values()),
    }
    return {
        "at": at.isoformat(),
        "sizes": checked.sizes,
        "rows": quality.rows,
        "left_out": {name: many for name, many in left_out.items() if many},
        "warnings": _warnings(quality),
        "findings": [
            {
                "kind": finding.kind,
                "meaning": finding.meaning,
                "rows": finding.rows,
                "seen": [
                    {"row": seen.number // quality.samples, "excerpt": seen.excerpt, "note": seen.note}
                    for seen in finding.seen
                ],
            }
            for finding in quality.findings
        ],
        "lengths": {name: asdict(spread) for name, spread in quality.lengths.items()},
        "tokens": asdict(quality.tokens),
        "diversity": quality.diversity.sentences(),
        "languages": dict(islice(sorted(quality.languages.items(), key=lambda each: -each[1]), _LANGUAGES)),
        "groups": {
            "count": len(quality.groups),
            "largest": [
                {
                    "row": group.stays // quality.samples,
                    "rows": 1 + len(group.others),
                    "likeness": group.similarity,
                    "excerpt": group.excerpt,
                }
                for group in quality.groups[:_GROUPS]
            ],
        },
        "words": _words(quality),
        "likeness": _likeness(quality.shape.nearest),
    }


def _warnings(quality: Quality) -> list[str]:
    """What no finding says."""
    of_findings = [finding.meaning for finding in quality.findings]
    return [each for each in quality.warnings if not each.endswith(tuple(of_findings) or ("\0",))]


def _words(quality: Quality) -> dict[str, Any] | None:
    """Answers by words, in the bins of the report's chart; `edges` are one more than the bins."""
    words = {fate: quality.shape.words[fate] for fate in FATES if quality.shape.words.get(fate)}
    if not words:
        return None
    edges = length_edges(words)
    return {
        "edges": edges,
        "bounds": quality.shape.bounds,
        "fates": {fate: _binned(counts, edges) for fate, counts in words.items()},
    }


def _binned(counts: Mapping[int, int], edges: list[float]) -> list[int]:
    bins = list(pairwise(edges))
    found = [0] * len(bins)
    place = 0
    for words, rows in sorted(counts.items()):
        while place < len(bins) - 1 and max(words, 1 if edges[0] > 0 else 0) >= bins[place][1]:
            place += 1
        found[place] += rows
    return found


def _likeness(nearest: tuple[float, ...]) -> dict[str, Any] | None:
    """Answers by their likeness to the most similar other one."""
    if len(nearest) < 2:
        return None
    found = [0] * _LIKENESS_BINS
    for each in nearest:
        found[min(int(each * _LIKENESS_BINS), _LIKENESS_BINS - 1)] += 1
    return {"bins": found, "threshold": THRESHOLD, "answers": len(nearest)}
