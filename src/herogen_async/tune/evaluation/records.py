"""How a tuned model answers beside its base: the figures, in a table, in JSON and as a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.tune.evaluation.statistics import Share


@dataclass(frozen=True, slots=True)
class Side:
    """One model's figures. `shares` by what is counted; `keeps` among them, an attribute each, where cells are known.

    `words` is the median length of an answer. `loss` is that of the held-out rows, None where not measured.
    """

    model: str
    shares: dict[str, Share]
    keeps: dict[str, Share]
    words: float
    distinct: dict[str, float | None]
    copied_overlap: float | None = None
    loss: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "model": self.model,
            "held_out_loss": self.loss,
            "shares": {name: share.as_dict() for name, share in self.shares.items()},
            "keeps": {name: share.as_dict() for name, share in self.keeps.items()},
            "median_words": self.words,
            "distinct": self.distinct,
            "overlap_with_training": self.copied_overlap,
        }

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Side:
        """What `as_dict` has told."""
        return cls(
            model=known["model"],
            shares=_shares(known["shares"]),
            keeps=_shares(known["keeps"]),
            words=known["median_words"],
            distinct=dict(known["distinct"]),
            copied_overlap=known["overlap_with_training"],
            loss=known["held_out_loss"],
        )


def _shares(known: Mapping[str, Any]) -> dict[str, Share]:
    return {name: Share(each["hits"], each["of"]) for name, each in known.items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`tuned` beside `base`; None where the base could not be asked, and `note` says why.

    `files` are those that were written to `folder`. `source` says what the questions were, `questions` how many
    different ones, `answers` how many answers were asked of each model.
    """

    tuned: Side
    base: Side | None
    source: str
    questions: int
    answers: int
    temperature: float
    max_tokens: int
    seed: int
    folder: Path
    files: tuple[str, ...] = ()
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "tuned": self.tuned.as_dict(),
            "base": None if self.base is None else self.base.as_dict(),
            "source": self.source,
            "questions": self.questions,
            "answers": self.answers,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "folder": str(self.folder),
            "files": list(self.files),
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, known: Mapping[str, Any], folder: Path) -> Evaluation:
        """What `as_dict` has told, of the files in `folder`. Raises LookupError, TypeError, AttributeError."""
        told = {name: known[name] for name in ("source", "questions", "answers", "temperature", "max_tokens", "seed")}
        base = known["base"]
        return cls(
            tuned=Side.from_dict(known["tuned"]),
            base=None if base is None else Side.from_dict(base),
            folder=folder,
            files=tuple(known["files"]),
            note=known["note"],
            **told,
        )

    def table(self) -> list[tuple[str, str, str]]:
        """(what, the base's figure, the tuned model's), as words."""
        sides = [each for each in (self.base, self.tuned) if each is not None]
        rows = [_row("held-out loss", self, lambda side: _number(side.loss, 3))]
        for name in self.tuned.shares:
            rows.append(_row(name, self, lambda side, name=name: _share(side.shares.get(name))))
            if name == KEEPS_CELL:
                rows += [
                    _row(f"  keeps to the {each}", self, lambda side, each=each: _share(side.keeps.get(each)))
                    for each in self.tuned.keeps
                ]
        rows.append(_row("words per answer (median)", self, lambda side: f"{side.words:g}"))
        for name in self.tuned.distinct:
            rows.append(_row(name, self, lambda side, name=name: _number(side.distinct.get(name), 2)))
        if any(side.copied_overlap is not None for side in sides):
            rows.append(_row("overlap with training", self, lambda side: _percent(side.copied_overlap)))
        return [row for row in rows if (row[1], row[2]) != ("-", "-")]

    def lines(self) -> list[str]:
        """The table for a terminal, what it is made of, and where the rest is."""
        rows = [("", "base", "tuned"), *self.table()]
        widths = [max(len(row[place]) for row in rows) for place in range(3)]
        shown = [
            f"{what:<{widths[0]}}  {base:>{widths[1]}}  {tuned:>{widths[2]}}".rstrip() for what, base, tuned in rows
        ]
        return [self.headline, "", *shown, "", INTERVALS, *([self.note] if self.note else []), self.place]

    @property
    def headline(self) -> str:
        """What was asked."""
        again = f", {self.questions} distinct" if self.questions < self.answers else ""
        return f"Evaluation: {self.answers} {self.source}{again}, temperature {self.temperature:g}, seed {self.seed}"

    @property
    def place(self) -> str:
        """Where the files are."""
        return f"{', '.join(self.files)} -> {self.folder}"


STOPS, KEEPS_CELL, DISTINCT, COPIED = (
    "stops by itself",
    "keeps to the whole cell",
    "answers that differ",
    "copied from training",
)
INTERVALS = "In brackets: the 95 % interval (Wilson). Intervals that do not overlap show a difference beyond chance."


def report(evaluation: Evaluation, picture: str | None, samples: Sequence[tuple[str, str, str]]) -> str:
    """The evaluation as Markdown; `samples` are (question, the base's answer, the tuned model's)."""
    names = evaluation.tuned.model, evaluation.base.model if evaluation.base else "-"
    lines = [
        "# Evaluation",
        "",
        f"{evaluation.headline}, at most {evaluation.max_tokens} tokens per answer.",
        "",
        f"- tuned: {_cell(names[0])}",
        f"- base: {_cell(names[1])}",
        "",
        "| | base | tuned |",
        "|---|---:|---:|",
        *(f"| {_cell(what.strip())} | {base} | {tuned} |" for what, base, tuned in evaluation.table()),
        "",
        INTERVALS,
        "",
        _HOW,
    ]
    if evaluation.note:
        lines += ["", evaluation.note]
    if picture:
        lines += ["", f"![Answer shares, base and tuned]({picture})"]
    lines += ["", "## The first answers", ""]
    for question, base, tuned in samples:
        lines += [f"### {_cell(question)}", "", "Base:", "", _quoted(base), "", "Tuned:", "", _quoted(tuned), ""]
    lines += ["All answers verbatim: `answers.jsonl`.", ""]
    return "\n".join(lines)


_HOW = (
    "Words are counted, not meaning: an age in digits or words, with no other age; a gender by the majority of its "
    "gendered words; any other value literally or as another form of its words. *Copied*: an answer with more than "
    "half of its 8-word sequences in the training answers; *overlap*: that share across all answers. distinct-1 and "
    "distinct-2: the shares of distinct words and of distinct word pairs."
)


def _row(what: str, evaluation: Evaluation, figure: Any) -> tuple[str, str, str]:
    return what, "-" if evaluation.base is None else figure(evaluation.base), figure(evaluation.tuned)


def _share(share: Share | None) -> str:
    if share is None:
        return "-"
    low, high = share.interval
    return f"{share.hits}/{share.of}  {share.value:4.0%} [{low:.0%}-{high:.0%}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _cell(text: str) -> str:
    """A model's or a user's text as a piece of one Markdown line: it makes no markup, and no cell of its own."""
    shown = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>()#!|&" else each for each in shown)


def _quoted(text: str) -> str:
    """A text as an indented block, in which nothing is markup."""
    printable = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)
    return "\n".join(f"    {line}" for line in printable.split("\n"))
