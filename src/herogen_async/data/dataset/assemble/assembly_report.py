"""What assembling came to, in figures, in words, and what to do next."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from herogen_async.data.dataset.assemble.trainer_configs import command, takes_trl
from herogen_async.data.dataset.examples import ExampleCount
from herogen_async.data.dataset.ranking import Compared
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION, Recipe
from herogen_async.data.dataset.split import VALID, Balance
from herogen_async.data.quality import KINDS, Quality

FEWEST_ROWS = 10  # fine-tuning services refuse less
DROPPABLE = tuple(kind for kind in KINDS if kind not in ("empty", "cut", "separator-inside", "ending-inside"))
# What `quality` warns of too, and is told here with what it comes to.
_SAID = ("too few", *(KINDS[kind] for kind in ("cut", "separator-inside", "ending-inside")))
PAIRS = "pairs"  # the role of prepared_data.csv: for people and spreadsheets, no trainer reads it


@dataclass(frozen=True, slots=True)
class DataFile:
    """`role` is `all`, `train` or `valid`; PAIRS for the table of prompts and completions without their marks."""

    path: Path
    role: str
    rows: int
    sha256: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as `recipe.json` has it."""
        return {"sha256": self.sha256, "rows": self.rows, "role": self.role}


@dataclass(frozen=True, slots=True)
class RunState:
    """How far the run is: `rows` answers are there, `failed` tasks were given up, `pending` have no answer yet.

    `argument` is the run as the command line takes it, `dataset` its own folder for data sets. `running` says whether
    another process is asking now.
    """

    argument: str
    dataset: Path
    rows: int
    failed: int
    pending: int
    running: bool

    @property
    def go_on(self) -> str:
        """The command that looks after what is pending."""
        return f"herogen-async {'status' if self.running else 'resume'} {self.argument}"


@dataclass(frozen=True, slots=True)
class Assembled:
    """A data set that stands in `folder`. `files` are its data files, the ones to train on first.

    `quality` is what was found in the rows before any was dropped by request. `balance` is there when it was split,
    `compared` when answers were ranked. `changed` are trainers' files that a person changed, and that were left so.
    """

    how: Recipe
    folder: Path
    files: tuple[DataFile, ...]
    truncated: str
    drop: tuple[str, ...]
    state: RunState
    count: ExampleCount
    quality: Quality
    balance: Balance | None = None
    compared: Compared | None = None
    changed: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Answers of the run."""
        return self.state.rows

    @property
    def written(self) -> int:
        """Rows of the data set, on both sides where it was split."""
        return self.count.written

    @property
    def data(self) -> Path:
        """The file to train on."""
        return self.files[0].path

    @property
    def jsonl(self) -> Path:
        """The same, by the name that it has had in prompt-completion."""
        return self.data

    @property
    def valid(self) -> Path | None:
        """The file to validate on, when the rows were split."""
        return next((file.path for file in self.files if file.role == VALID), None)

    @property
    def csv(self) -> Path:
        """The pairs as a table; only with prompt-completion."""
        return next(file.path for file in self.files if file.role == PAIRS)

    @property
    def recipe(self) -> Path:
        """How the rows were made, for whoever asks the tuned model."""
        return self.folder / "recipe.json"

    @property
    def card(self) -> Path:
        """What the data set is, for people and for `datasets`."""
        return self.folder / "README.md"

    def counts(self) -> dict[str, Any]:
        """The figures alone."""
        count = self.count
        return {
            "rows": self.state.rows,
            "written": count.written,
            "trimmed": count.trimmed,
            "not_stopped": count.not_stopped,
            "left_out": {
                "cut_off": dict(count.cut_off.most_common()),
                "empty": count.empty,
                "no_full_sentence": count.no_full_sentence,
                "dropped": dict(count.dropped.most_common()),
            },
            "separator_inside": count.separator_inside,
            "ending_inside": count.ending_inside,
            "failed": self.state.failed,
            "pending": self.state.pending,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `assemble --json`."""
        files: dict[str, Any] = {"recipe": str(self.recipe), "card": str(self.card), "data": str(self.data)}
        if self.how.format == PROMPT_COMPLETION:
            files |= {"csv": str(self.csv), "jsonl": str(self.data)}
        return {
            "run": self.state.argument,
            "format": self.how.format,
            "folder": str(self.folder),
            **files,
            "valid": None if self.valid is None else str(self.valid),
            "files": {file.path.name: file.as_dict() for file in self.files},
            "truncated": self.truncated,
            **self.counts(),
            "split": None if self.balance is None else self.balance.as_dict(),
            "compared": None if self.compared is None else self.compared.as_dict(),
            "changed": list(self.changed),
            "quality": _figures(self.quality),
            "warnings": self.warnings,
            "next": self.next,
        }

    def lines(self) -> list[str]:
        """The same for people. The servers' words in it are foreign text."""
        files = ", ".join(file.path.name for file in self.files[1:])
        of = "pairs from" if self.compared else "of"
        lines = [
            f"{self.count.written:,} {of} {self.state.rows:,} answers -> {self.data}"
            + (f" (and {files})" if files else "")
        ]
        lines += self.left_out()
        lines += [part.line() for part in (self.compared, self.balance) if part is not None]
        lines += self.quality.lines()
        open_kinds = [each.kind for each in self.quality.findings if each.kind in DROPPABLE]
        open_kinds = [kind for kind in open_kinds if kind not in self.drop]
        if open_kinds:
            lines.append(f"Answers with findings are left in; to leave them out: --drop {','.join(open_kinds)}")
        said = [each.meaning for each in self.quality.findings]  # in the lines above
        told = [warning for warning in self.warnings if not any(meaning in warning for meaning in said)]
        if self.changed:
            lines.append(f"Left as changed by hand; delete to get anew: {', '.join(self.changed)}")
        return lines + [f"Warning: {warning}." for warning in told]

    def left_out(self) -> list[str]:
        """What is not in the data set, or not as it was answered, and why."""
        count, lines = self.count, []
        if count.cut_off:
            words = ", ".join(f"{word} {number:,}" for word, number in count.cut_off.most_common())
            lines.append(f"Left out, did not stop by themselves: {count.cut_off.total():,} ({words}).")
        if count.empty:
            lines.append(f"Left out, empty: {count.empty:,}.")
        if count.no_full_sentence:
            lines.append(f"Left out, cut off before their first full sentence ended: {count.no_full_sentence:,}.")
        if count.dropped:
            words = ", ".join(f"{kind} {number:,}" for kind, number in count.dropped.most_common())
            lines.append(f"Left out, dropped as you asked: {count.dropped.total():,} ({words}).")
        if count.trimmed:
            lines.append(f"Cut back to their last full sentence: {count.trimmed:,}.")
        return lines

    @property
    def warnings(self) -> list[str]:
        """What a person should know before paying for a fine-tune."""
        count, state, how = self.count, self.state, self.how
        trained = self.files[0].rows
        found = {
            "nothing is left: the files are empty": not count.written,
            f"{trained} rows{' to train on' if self.balance else ''} are fewer than {FEWEST_ROWS}, the least that "
            "fine-tuning services take": (0 < trained < FEWEST_ROWS),
            f"{count.separator_inside:,} prompts hold the separator {how.separator!r} inside": (
                count.separator_inside and how.separator
            ),
            f"{count.ending_inside:,} completions hold the ending {how.ending!r} inside and would teach the model "
            "to stop early; they are left in": count.ending_inside and how.ending,
            f"{count.not_stopped:,} completions did not stop by themselves and end where they were cut off": (
                count.not_stopped if self.truncated == "keep" else 0
            ),
            f"{count.cut_off.total():,} of {state.rows:,} answers are left out as they did not stop by themselves: "
            "--truncated trim takes their full sentences": 5 * count.cut_off.total() > state.rows and count.written,
            f"the run is not finished, {state.pending:,} answers are pending: {state.go_on}": state.pending,
            f"{state.failed:,} rows were given up and are missing: herogen-async errors {state.argument}": state.failed,
        }
        own = [text for text, applies in found.items() if applies]
        said = (*_SAID, *(KINDS[kind] for kind in self.drop))
        return own + [each for each in self.quality.warnings if not any(words in each for words in said)]

    @property
    def next(self) -> str:
        """A command, or a sentence."""
        argument = self.state.argument
        if not self.count.written and self.count.cut_off:
            return f"herogen-async assemble {argument} --truncated trim"
        if not self.count.written:
            return f"herogen-async export {argument} to see the answers"
        if self.state.pending:
            return f"{self.state.go_on}, and assemble again when it is done"
        if self.how.format == PROMPT_COMPLETION and self.folder == self.state.dataset:
            return f"herogen-async finetune {argument}"
        if self.how.format in (PROMPT_COMPLETION, MESSAGES):
            return f"herogen-async finetune {shlex.quote(str(self.data))}"
        if takes_trl(self.how.format):
            return f"cd {shlex.quote(str(self.folder))} && {command(self.how.format)}"
        return f"train on it with what {shlex.quote(str(self.card))} names"


def _figures(quality: Quality) -> dict[str, Any]:
    """What a script wants to know of the rows; all of it, row by row, stands in quality.json."""
    coverage = quality.coverage
    return {
        "found": {finding.kind: finding.rows for finding in quality.findings},
        "lengths": {name: asdict(each) for name, each in quality.lengths.items()},
        "tokens": asdict(quality.tokens),
        "cells": {
            "all": coverage.cells,
            "empty": coverage.empty,
            "fewest_rows": coverage.fewest,
            "most_rows": coverage.most,
        },
        "languages": dict(quality.languages),
        "undone": list(quality.undone),
    }
