"""The outcome of an inspection, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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

FEWEST_EXAMPLES = 10  # fine-tuning services refuse less
ADVISED_EXAMPLES = 100  # the services' own advice is 50 to 100 to see an effect
_GROUPS_TOLD = 100  # the largest ones, in quality.json
_NOT_LOOKED_FOR = {NEAR_DUPLICATE: "near-duplicates", LANGUAGE: "answers in another language"}


@dataclass(frozen=True, slots=True)
class Quality:
    """What `rows` rows are like, `kept` of which have no kind that is left out.

    `flagged`: row number -> its kinds (`KINDS`), only rows that have one. `findings`: a kind each, in the order of
    `KINDS`, only kinds that were found. `lengths` has `characters`, `words` and `tokens` of the kept completions, and
    is empty when there are none. `groups` are rows that repeat each other, the largest first. `languages`: rows
    that are surely in a language. `undone`: kinds that were not looked for, since what finds them is not installed.
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

    def count(self, kind: str) -> int:
        """Rows flagged with `kind`."""
        return next((finding.rows for finding in self.findings if finding.kind == kind), 0)

    @property
    def warnings(self) -> list[str]:
        """What a person should know before paying for a fine-tune, without a full stop. No model's text is in it."""
        warnings = []
        if self.kept < FEWEST_EXAMPLES:
            warnings.append(
                f"{self.kept} examples are too few: fine-tuning services take no fewer than {FEWEST_EXAMPLES}"
            )
        elif self.kept < ADVISED_EXAMPLES:
            warnings.append(f"{self.kept} examples teach little: {ADVISED_EXAMPLES} and more are advised")
        if self.coverage.empty and self.kept:
            warnings.append(f"{self.coverage.empty:,} of {self.coverage.cells:,} cells have no example")
        warnings += [f"{finding.rows:,} of {self.rows:,} rows: {finding.meaning}" for finding in self.findings]
        if self.undone:
            warnings.append(self.undone_sentence)
        return warnings

    @property
    def undone_sentence(self) -> str:
        """What was not looked for and what to install, without a full stop; "" when all was done."""
        if not self.undone:
            return ""
        what = " and ".join(_NOT_LOOKED_FOR[kind] for kind in self.undone)
        return f"{what} were not looked for: to have them found, pip install 'herogen-async[quality]'"

    def lines(self) -> list[str]:
        """The findings for people, a short line each; no text of a model is in it."""
        lines = [self._coverage_line()] if self.kept else []
        if "words" in self.lengths:
            words = self.lengths["words"]
            lines.append(f"Words: {words.p50:,} in the middle, {words.p05:,} to {words.p95:,} in nine of ten examples.")
            about = "about " if self.tokens.estimated or self.tokens.estimated_prompts else ""
            total = self.tokens.prompt + self.tokens.completion
            lines.append(f"Tokens an epoch: {about}{total:,}, {self.tokens.completion:,} of them in completions.")
        return lines + [f"{finding.kind}: {finding.rows:,} ({finding.meaning})." for finding in self.findings]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `quality.json`; `flagged` is by the number as text, kinds in order."""
        order = list(KINDS)
        return {
            "schema_version": 1,
            "rows": self.rows,
            "kept": self.kept,
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
            },
            "languages": dict(self.languages),
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
        each = f"{cover.most:,}" if cover.fewest == cover.most else f"{cover.fewest:,} to {cover.most:,}"
        return f"Coverage: all {cover.cells:,} cells have examples, {each} of {cover.repeats:,} each."
