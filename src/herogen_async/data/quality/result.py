"""The result of an inspection, as figures and as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from herogen_async.core.units import counted
from herogen_async.data.quality.diversity import Diversity
from herogen_async.data.quality.records import (
    KINDS,
    LANGUAGE,
    NEAR_DUPLICATE,
    Coverage,
    Finding,
    Group,
    Quantiles,
    ReportFigures,
    TokenCounts,
)

FEWEST_EXAMPLES = 10  # fine-tuning services reject fewer
ADVISED_EXAMPLES = 100  # the services themselves recommend 50 to 100 for a visible effect
_GROUPS_TOLD = 100  # the largest ones go into quality.json
_NOT_LOOKED_FOR = {NEAR_DUPLICATE: "near-duplicates", LANGUAGE: "answers in a different language"}


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of `rows` rows, `kept` of which have no kind that is left out.

    `flagged`: row number -> its kinds (`KINDS`), only for rows that have any. `findings`: one per kind that was found,
    in the order of `KINDS`. `lengths` has `characters`, `words` and `tokens` of the kept completions, and is empty if
    there are none. `groups` are rows that repeat each other, largest first. `languages`: rows by confidently identified
    language. `undone`: kinds that were not checked because the package for them is not installed.
    `samples`: a row may give so many examples (`row_name`). `diversity` is of the answers that are neither empty nor
    refused, nor left out.
    """

    rows: int
    kept: int
    flagged: Mapping[int, frozenset[str]]
    findings: tuple[Finding, ...]
    lengths: Mapping[str, Quantiles]
    tokens: TokenCounts
    coverage: Coverage
    groups: tuple[Group, ...]
    languages: Mapping[str, int]
    undone: tuple[str, ...]
    shape: ReportFigures
    diversity: Diversity
    samples: int = 1

    def count(self, kind: str) -> int:
        """The number of rows flagged with `kind`."""
        return next((finding.rows for finding in self.findings if finding.kind == kind), 0)

    @property
    def warnings(self) -> list[str]:
        """What to know before paying for a fine-tune, without full stops and without text from a model."""
        warnings = []
        if self.kept < FEWEST_EXAMPLES:
            warnings.append(
                f"{counted(self.kept, 'example')}: too few, fine-tuning services need at least {FEWEST_EXAMPLES}"
            )
        elif self.kept < ADVISED_EXAMPLES:
            warnings.append(f"only {self.kept} examples: at least {ADVISED_EXAMPLES} are recommended")
        if self.coverage.empty and self.kept:
            warnings.append(f"{self.coverage.empty:,} of {self.coverage.cells:,} cells have no examples")
        warnings += [f"{finding.rows:,} of {self.rows:,} rows: {finding.meaning}" for finding in self.findings]
        if self.undone:
            warnings.append(self.undone_sentence)
        return warnings

    @property
    def undone_sentence(self) -> str:
        """What was not checked and what to install, without a full stop; "" if everything was checked."""
        if not self.undone:
            return ""
        what = " and ".join(_NOT_LOOKED_FOR[kind] for kind in self.undone)
        return f"{what} were not checked: to check them, pip install 'herogen-async[quality]'"

    def lines(self) -> list[str]:
        """The findings as short sentences, without text from a model."""
        lines = [self._coverage_line()] if self.kept else []
        if "words" in self.lengths:
            words = self.lengths["words"]
            lines.append(f"Words: median {words.p50:,}; 90 % between {words.p05:,} and {words.p95:,}.")
            about = "about " if self.tokens.estimated or self.tokens.estimated_prompts else ""
            total = self.tokens.prompt + self.tokens.completion
            lines.append(f"Tokens per epoch: {about}{total:,} ({self.tokens.completion:,} in completions).")
        return lines + [f"{finding.kind}: {finding.rows:,} ({finding.meaning})." for finding in self.findings]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `quality.json`; `flagged` is by the number as text, kinds in order."""
        order = list(KINDS)
        return {
            "schema_version": 1,
            "rows": self.rows,
            "kept": self.kept,
            **({} if self.samples == 1 else {"samples": self.samples}),
            "warnings": self.warnings,
            "undone": list(self.undone),
            "findings": [asdict(finding) | {"meaning": finding.meaning} for finding in self.findings],
            "lengths": {name: asdict(spread) for name, spread in self.lengths.items()},
            "tokens": asdict(self.tokens),
            "coverage": {
                "repeats": self.coverage.repeats,
                "cells": self.coverage.cells,
                "empty": self.coverage.empty,
                "fewest": self.coverage.fewest,
                "most": self.coverage.most,
                "outside": self.coverage.outside,
                "by_value": self.coverage.by_value,
                "pairs": self.coverage.pairs,
                "pairs_of": self.coverage.pairs_of,
            },
            "languages": dict(self.languages),
            "diversity": self.diversity.as_dict(),
            "duplicates": {
                "groups": len(self.groups),
                "largest": [asdict(group) for group in self.groups[:_GROUPS_TOLD]],
            },
            "flagged": {str(number): sorted(kinds, key=order.index) for number, kinds in sorted(self.flagged.items())},
        }

    def _coverage_line(self) -> str:
        cover = self.coverage
        if cover.empty:
            covered = f"{cover.cells - cover.empty:,} of {cover.cells:,} cells have examples"
            return f"Coverage: {covered}, at most {cover.most:,} each."
        return (
            f"Coverage: {cover.rows_per_cell} of {cover.repeats:,} examples in each of {counted(cover.cells, 'cell')}."
        )
