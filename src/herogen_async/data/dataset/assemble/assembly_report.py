"""The result of assembling: figures, sentences, and the next step."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from herogen_async.core.units import counted
from herogen_async.data.dataset.assemble.previous_folder import QUALITY
from herogen_async.data.dataset.assemble.run_state import RunState
from herogen_async.data.dataset.assemble.trainer_configs import command, takes_trl
from herogen_async.data.dataset.example_question import ExampleQuestion
from herogen_async.data.dataset.examples import ExampleCount
from herogen_async.data.dataset.formats.text_columns import Columns, merged
from herogen_async.data.dataset.ranking import Compared
from herogen_async.data.dataset.recipe import (
    CONVERSATIONAL,
    DPO,
    DROP_THOUGHTS,
    FIELD,
    MESSAGES,
    NO_OBJECT,
    NO_PLACE,
    NO_REASON_GIVEN,
    NOT_AT_END,
    PROMPT_COMPLETION,
    THINK,
    USE_MESSAGES,
    Recipe,
)
from herogen_async.data.dataset.split import VALID, Balance
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.quality import KINDS, Acceptance, Quality
from herogen_async.data.quality.report_files import PAGE

FEWEST_ROWS = 10  # fine-tuning services reject fewer
DROPPABLE = tuple(kind for kind in KINDS if kind not in ("empty", "cut", "separator-inside", "ending-inside"))
# Warnings of `quality` that are given here with their consequences.
_SAID = ("too few", *(KINDS[kind] for kind in ("cut", "separator-inside", "ending-inside")))
_FATE = {
    DROP_THOUGHTS: "left out (--reasoning think or field keeps them)",
    THINK: "kept in front of the answer, in <think> tags",
    FIELD: "kept in a field of their own",
}
_ARGUMENTS = {
    MESSAGES: "their arguments are text, as services and axolotl read them; for TRL: --format conversational",
    CONVERSATIONAL: "their arguments are objects, as TRL reads them; for services and axolotl: --format messages",
}
_NOT_TAUGHT = {
    NO_PLACE: "tool calls, for which format {} has no place",
    NO_OBJECT: "tool calls whose arguments are no JSON object",
    NOT_AT_END: "tool calls that `train` does not put at the end of an example, alone in their turn",
}
_INSTEAD = {NO_PLACE: f" ({USE_MESSAGES})", NO_OBJECT: "", NOT_AT_END: " (end `train` with a turn that is the column)"}
_TO_READ = " to see the answers"
PAIRS = "pairs"  # the role of prepared_data.csv: for people and spreadsheets, not for trainers


@dataclass(frozen=True, slots=True)
class DataFile:
    """`role` is `all`, `train` or `valid`, or PAIRS for the table of prompts and completions without their marks.

    `columns` are those of a JSON Lines file; None for any other.
    """

    path: Path
    role: str
    rows: int
    sha256: str
    size: int
    columns: Columns | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as in `recipe.json`."""
        return {"sha256": self.sha256, "rows": self.rows, "role": self.role}


@dataclass(frozen=True, slots=True)
class Assembled:
    """A data set in `folder`. `files` are its data files, the training files first.

    `quality` covers the rows before any was dropped by request. `balance` is set when it was split, `compared` when
    answers were ranked. `changed` names trainer configs that were edited, and so kept. `question`: what the examples
    ask, and which columns became examples if the spec has several.
    """

    how: Recipe
    folder: Path
    files: tuple[DataFile, ...]
    truncated: str
    drop: tuple[str, ...]
    state: RunState
    count: ExampleCount
    quality: Quality
    question: ExampleQuestion
    balance: Balance | None = None
    compared: Compared | None = None
    changed: tuple[str, ...] = ()

    @property
    def taught(self) -> Taught | None:
        """The columns that became examples, if the spec has several."""
        return self.question.taught

    @property
    def acceptance(self) -> Acceptance | None:
        """How many of all rows the spec accepts; None where it has neither a `keep` nor an `unlike`."""
        return None if self.count.acceptance is None else self.count.acceptance.found()

    @property
    def answers(self) -> int:
        """The number of answers that examples were chosen from."""
        return self.state.rows if self.taught is None else self.count.answers

    @property
    def rows(self) -> int:
        """The number of rows in the run that have all their answers."""
        return self.state.rows

    @property
    def written(self) -> int:
        """The number of rows in the data set, on both sides if it was split."""
        return self.count.written

    @property
    def data(self) -> Path:
        """The file to train on."""
        return self.files[0].path

    @property
    def jsonl(self) -> Path:
        """The same, under its prompt-completion name."""
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
    def columns(self) -> Columns | None:
        """Those of the files to train and validate on, where a card has to declare them."""
        return merged(file.columns for file in self.files if file.role != PAIRS and file.rows)

    @property
    def recipe(self) -> Path:
        """How the rows were made, for queries to the tuned model."""
        return self.folder / "recipe.json"

    @property
    def card(self) -> Path:
        """The data set's description, for people and for `datasets`."""
        return self.folder / "README.md"

    @property
    def report(self) -> Path:
        """The quality report, an HTML page."""
        return self.folder / QUALITY / PAGE

    def counts(self) -> dict[str, Any]:
        """The counts."""
        count = self.count
        return {
            "rows": self.state.rows,
            "written": count.written,
            "trimmed": count.trimmed,
            "not_stopped": count.not_stopped,
            **({"thoughts": count.thoughts} if count.thoughts else {}),
            **({"tool_calls": count.tool_calls} if count.tool_calls else {}),
            "left_out": {
                "cut_off": dict(count.cut_off.most_common()),
                "empty": count.empty,
                **({} if self.taught is None else {"skipped": count.skipped}),
                **({"rejected": count.rejected} if count.rejected else {}),
                **({"near_copies": count.near_copies} if count.near_copies else {}),
                **({"further": count.further} if count.further else {}),
                "no_full_sentence": count.no_full_sentence,
                **({"tool_calls": dict(count.tool_calls_left_out)} if count.tool_calls_left_out else {}),
                **({"repeated": count.repeated} if count.repeated else {}),
                "dropped": dict(count.dropped.most_common()),
            },
            "separator_inside": count.separator_inside,
            "ending_inside": count.ending_inside,
            "failed": self.state.failed,
            "pending": self.state.pending,
            **({} if self.state.marks is None else {"marks": self.state.marks._asdict()}),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `assemble --json`."""
        files: dict[str, Any] = {"recipe": str(self.recipe), "card": str(self.card), "data": str(self.data)}
        files["report"] = str(self.report)
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
            **({} if self.taught is None else {"column": self.taught.text, "answers": self.answers}),
            **self.counts(),
            "split": None if self.balance is None else self.balance.as_dict(),
            "compared": None if self.compared is None else self.compared.as_dict(),
            "changed": list(self.changed),
            "quality": _figures(self.quality),
            "warnings": self.warnings,
            "next": self.next,
        }

    def lines(self) -> list[str]:
        """The result as sentences. The servers' words in them are foreign text."""
        files = ", ".join(file.path.name for file in self.files[1:])
        of = "pairs from" if self.how.format == DPO else "of"
        lines = [
            f"{self.count.written:,} {of} {self.answers:,} answers -> {self.data}"
            + (f" (and {files})" if files else "")
        ]
        lines.append(self.question.line)
        if self.state.marks is not None:
            lines.append(self.state.marks.line())
        lines += self.left_out()
        if self.count.thoughts:
            found = counted(self.count.thoughts, "answer")
            lines.append(f"Thoughts of the model in {found}: {_FATE[self.how.reasoning]}.")
        if self.count.lost_thoughts:
            found = counted(self.count.lost_thoughts, "example")
            keeps = "only an answer that is the whole last turn can keep its own"
            lines.append(f"Thoughts of other answers in {found}: left out; {keeps}.")
        if self.count.tool_calls and self.how.format in _ARGUMENTS:
            lines.append(f"Tool calls in {counted(self.count.tool_calls, 'answer')}: {_ARGUMENTS[self.how.format]}.")
        lines += [part.line() for part in (self.compared, self.balance) if part is not None]
        lines += self.quality.lines()
        open_kinds = [each.kind for each in self.quality.findings if each.kind in DROPPABLE]
        open_kinds = [kind for kind in open_kinds if kind not in self.drop]
        if open_kinds:
            lines.append(f"Answers with findings are kept; to drop them: --drop {','.join(open_kinds)}")
        said = [each.meaning for each in self.quality.findings]  # in the lines above
        told = [warning for warning in self.warnings if not any(meaning in warning for meaning in said)]
        if self.changed:
            lines.append(f"Kept with your edits (delete to regenerate): {', '.join(self.changed)}")
        return [*lines, *(f"Warning: {warning}." for warning in told), f"Report: {self.report}"]

    def left_out(self) -> list[str]:
        """What is missing from the data set or was shortened, and why."""
        count, lines = self.count, []
        cut_off = [(word, number) for word, number in count.cut_off.most_common() if word != NO_REASON_GIVEN]
        if cut_off:
            words = ", ".join(f"{word} {number:,}" for word, number in cut_off)
            lines.append(f"Left out, truncated: {sum(number for _, number in cut_off):,} ({words}).")
        if unknown := count.cut_off[NO_REASON_GIVEN]:
            lines.append(f"Left out, no finish reason given: {unknown:,}; --truncated keep keeps such answers.")
        if count.empty:
            others = f" ({count.textless:,} with other content than text)" if count.textless else ""
            lines.append(f"Left out, empty: {count.empty:,}{others}.")
        for reason, number in count.tool_calls_left_out.items():
            lines.append(f"Left out, {_NOT_TAUGHT[reason].format(self.how.format)}: {number:,}{_INSTEAD[reason]}.")
        if count.skipped and self.taught is not None:
            rows = counted(count.skipped, "row")
            lines.append(f"Left out, {self.question.named} skipped by its condition: {rows}.")
        if count.rejected:
            unclear = f" ({count.undecided:,} that can't be compared)" if count.undecided else ""
            rejected = counted(count.rejected, "answer")
            lines.append(f"Left out, rejected by the spec's `keep` or `best_of`: {rejected}{unclear}.")
        if count.near_copies:
            near = counted(count.near_copies, "answer")
            lines.append(f"Left out, too like an earlier answer (`unlike`): {near}.")
        if count.further and self.state.wanted is not None:
            further, wanted = counted(count.further, "accepted row"), counted(self.state.wanted, "row")
            lines.append(f"Left out, beyond the {wanted} that `want` asks for: {further}.")
        if count.no_full_sentence:
            lines.append(f"Left out, cut off before the end of the first sentence: {count.no_full_sentence:,}.")
        if count.dropped:
            words = ", ".join(f"{kind} {number:,}" for kind, number in count.dropped.most_common())
            lines.append(f"Left out by --drop: {count.dropped.total():,} ({words}).")
        if count.repeated:
            lines.append(f"Left out, the same question as another answer: {count.repeated:,}.")
        if count.trimmed:
            lines.append(f"Trimmed to the last full sentence: {count.trimmed:,}.")
        return lines

    @property
    def warnings(self) -> list[str]:
        """What to know before paying for a fine-tune."""
        count, state, how = self.count, self.state, self.how
        trained = self.files[0].rows
        what = "answer" if self.taught is None else "row"
        what = f"accepted {what}" if state.wanted and count.last is None else what
        truncated = count.cut_off.total() - count.cut_off[NO_REASON_GIVEN]
        found = {
            "no rows are left: the files are empty": not count.written,
            f"only {counted(trained, 'training row' if self.balance else 'row')}: fine-tuning services need at least "
            f"{FEWEST_ROWS}": (0 < trained < FEWEST_ROWS),
            f"{counted(count.separator_inside, 'prompt')} with the separator {how.separator!r} inside": (
                count.separator_inside and how.separator
            ),
            f"{counted(count.ending_inside, 'completion')} with the ending {how.ending!r} inside, kept: they teach the "
            "model to stop early": count.ending_inside and how.ending,
            f"{counted(count.not_stopped - count.unknown, 'completion')} kept although truncated": (
                count.not_stopped - count.unknown if self.truncated == "keep" else 0
            ),
            f"{counted(count.unknown, 'completion')} kept without a finish reason: some may be truncated": (
                count.unknown if self.truncated == "keep" else 0
            ),
            f"{counted(count.stale_turns, 'conversation')} with turns that an earlier spec asked for: run "
            "--regenerate-stale asks for them again": count.stale_turns,
            f"{truncated:,} of {self.answers:,} answers are truncated and left out: --truncated trim keeps "
            "their full sentences": 5 * truncated > self.answers and count.written,
            f"only {count.accepted:,} of the {counted(state.wanted or 0, 'row')} that `want` asks for "
            f"{'is' if count.accepted == 1 else 'are'} accepted": state.wanted and count.last is None,
            f"the run is not finished, {counted(state.pending, what)} pending: {state.go_on}": state.pending,
            f"{counted(state.failed, 'failed row')} missing: herogen-async errors {state.argument}": state.failed,
        }
        own = [text for text, applies in found.items() if applies]
        said = [*_SAID, *(KINDS[kind] for kind in self.drop)]
        if state.wanted:
            said.append("no examples")  # of cells: a run that ends early has not asked all of them
        return own + [each for each in self.quality.warnings if not any(words in each for words in said)]

    @property
    def step(self) -> str:
        """The next step for a person: the most useful command, ready to type; for other trainers a sentence."""
        if self.count.written and self.state.pending:
            return self.state.go_on
        if 0 < self.files[0].rows < FEWEST_ROWS and self._is_limited:
            return f"herogen-async resume {self.state.argument} --limit {self.state.grid}"
        return self.next.removesuffix(_TO_READ)

    @property
    def _is_limited(self) -> bool:
        return self.state.wanted is None and self.state.asked < self.state.grid

    @property
    def next(self) -> str:
        """The next step for a script, worded as in 0.1.0: a command, or a sentence."""
        argument = self.state.argument
        if not self.count.written and self.count.cut_off:
            is_known = set(self.count.cut_off) != {NO_REASON_GIVEN}
            chosen = f" --column {shlex.quote(self.taught.text)}" if self.taught and self.taught.is_chosen else ""
            return f"herogen-async assemble {argument}{chosen} --truncated {'trim' if is_known else 'keep'}"
        if not self.count.written and self.count.tool_calls_left_out[NO_PLACE]:
            return f"herogen-async assemble {argument} --format {MESSAGES}"
        if not self.count.written:
            return f"herogen-async export {argument}{_TO_READ}"
        if self.state.pending:
            return f"{self.state.go_on}, and assemble again when it is done"
        if self.how.format == PROMPT_COMPLETION and self.folder == self.state.dataset:
            return f"herogen-async finetune {argument}"
        if self.how.format in (PROMPT_COMPLETION, MESSAGES):
            return f"herogen-async finetune {shlex.quote(str(self.data))}"
        if takes_trl(self.how.format, has_tool_calls=self.count.tool_calls > 0):
            return f"cd {shlex.quote(str(self.folder))} && {command(self.how.format)}"
        return f"train on it as described in {shlex.quote(str(self.card))}"


def _figures(quality: Quality) -> dict[str, Any]:
    """Summary figures for scripts; quality.json has every row."""
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
