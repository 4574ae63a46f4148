"""Preference pairs of what a judge of two columns has compared: the better answer of each row, and the worse one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import BY_TRAIN, RANKED, SENT_PROMPT, SUB_PROMPT, AskedWith
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.taught_question import TaughtQuestion
from herogen_async.data.dataset.trained_question import TrainedQuestion
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.forms.pairwise import TIE, WINNER
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.training import Train
from herogen_async.specs.spec import Template
from herogen_async.specs.spec.column_graph import sent_names

_ASKED = {SUB_PROMPT: "the sub-prompt", SENT_PROMPT: "the prompt as sent", BY_TRAIN: "as the spec's `train` says"}


def judge_of_pairs(plan: Plan, file_format: str, column: str | None) -> AskedColumn | None:
    """The column by which the answers of a format with better and worse ones are told apart; None: it is no judge.

    That is the one that `column` names, or the only judge of two columns, where no `best_of` says otherwise. Raises
    InputError where there are several.
    """
    if file_format not in RANKED or plan.spec.best_of:
        return None
    judges = [each for each in plan.columns if each.swapped is not None and column in (None, each.name)]
    if len(judges) > 1:
        names = " and ".join(each.name for each in judges)
        raise InputError(f"several columns compare two: {names}", fix=f"choose one: --column {judges[0].name}")
    return judges[0] if judges else None


class PairedQuestion:
    """As `TaughtQuestion`, of the two columns that `judge` compares: each comparison gives an example of both.

    Where its samples compare the same two texts, most of them decide.

    Raises InputError where both have no question in common.
    """

    is_conversation = False

    def __init__(
        self, rows: RunRows, judge: AskedColumn, train: Train, *, file_format: str, ask: str, system: str
    ) -> None:
        assert judge.pair is not None
        columns = {column.name: column for column in rows.plan.columns}
        compared = [columns[name] for name in judge.pair]
        self._judge = judge
        self._compared = compared
        self.file_format = file_format
        self.taught = Taught(tuple(compared), is_chosen=False)
        self._questions: list[TaughtQuestion | TrainedQuestion]
        if train:
            each_taught = _trains(train, judge.name, judge.pair)
            self._questions = [TrainedQuestion(rows, each, file_format=file_format) for each in each_taught]
        else:
            if ask == SENT_PROMPT and compared[0].prompt.text != compared[1].prompt.text:
                message = f"the prompts of {' and '.join(judge.pair)} differ, and a pair has one question"
                raise InputError(message, fix="remove --ask prompt, or write a `train` into the spec")
            self._questions = [
                TaughtQuestion(rows, Taught((column,), is_chosen=True), file_format=file_format, ask=ask, system=system)
                for column in compared
            ]
        self._is_voted = judge.samples > 1 and all(question.samples == 1 for question in self._questions)
        first = self._questions[0]
        self.ask, self.is_short, self.has_system = first.ask, first.is_short, first.has_system
        self.system_text, self.template = first.system_text, first.template

    @property
    def named(self) -> str:
        """The judge."""
        return self._judge.name

    @property
    def samples(self) -> int:
        """How many examples a row may give."""
        return self._judge.samples * len(self._compared)

    @property
    def line(self) -> str:
        """What a pair is, as a sentence."""
        better, worse = (column.name for column in self._compared)
        which = "most" if self._is_voted else "each"
        each = f" ({which} of {self._judge.samples} samples)" if self._judge.samples > 1 else ""
        return (
            f"Each pair: the better and the worse of {better} and {worse}, by {self._judge.name}{each}; "
            f"the question: {_ASKED[self.ask]}."
        )

    def examples(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The compared answers of a row, each as a row of one answer, the two of a comparison next to each other.

        `number` tells them apart; halved, the comparisons. `is_better` says what became of it: None of a tie.
        `decided_at` is the place of the judge's answer among the calls of the row.
        """
        every = [self._by_sample(question, row) for question in self._questions]
        for sample, winner in self._winners(row["columns"][self._judge.name]):
            for side, (column, examples) in enumerate(zip(self._compared, every, strict=True)):
                own = sample if self._questions[side].samples > 1 else 0
                if own in examples:
                    number = (row["index"] * self._judge.samples + sample) * len(self._compared) + side
                    place = column.first_call + (sample if column.samples > 1 else 0)
                    is_better = None if winner == TIE else winner == column.name
                    said = {"number": number, "place": place, "is_better": is_better}
                    yield {**examples[own], **said, "decided_at": self._judge.first_call + sample}

    def _winners(self, given: Any) -> Iterator[tuple[int, str]]:
        """The samples of the judge that give a pair, each with the winner.

        Where all of them compare the same two texts that is the first one which says what most say.
        """
        verdicts = enumerate(given if isinstance(given, list) else [given])
        winners = [(sample, verdict["value"][WINNER]) for sample, verdict in verdicts if verdict is not None]
        if not self._is_voted or not winners:
            yield from winners
            return
        votes = Counter(winner for _, winner in winners)
        first, second = (column.name for column in self._compared)
        most = TIE if votes[first] == votes[second] else max(first, second, key=votes.__getitem__)
        yield next((each for each in winners if each[1] == most), (winners[0][0], TIE))

    def of(self, row: Mapping[str, Any]) -> AskedWith:
        """The question of one of `examples`."""
        side = int(row["number"]) % len(self._compared)
        return self._questions[side].of(row)

    @staticmethod
    def _by_sample(question: TaughtQuestion | TrainedQuestion, row: dict[str, Any]) -> dict[int, dict[str, Any]]:
        return {each["number"] - row["index"] * question.samples: each for each in question.examples(row)}


def _trains(train: Train, judge: str, pair: tuple[str, str]) -> list[Train]:
    """A `train` that teaches either of a pair, once for each of them."""
    *before, (role, text) = train
    last = text if isinstance(text, Template) else Template(text, names_columns=True)
    is_both = {each.name for each in sent_names(last)} >= set(pair)
    if is_both or not any(name in pair for name in last.names):
        example = f"`assistant: '{{{pair[0]}}}'`"
        says = "holds both" if is_both else "is neither of them"
        raise InputError(
            f"{judge} compares {' and '.join(pair)}, and the assistant's text in `train` {says}",
            fix=f"write one of them there, for example {example}; the other takes its place in turn",
        )
    return [(*before, (role, last.renamed(dict.fromkeys(pair, name)).text)) for name in pair]
