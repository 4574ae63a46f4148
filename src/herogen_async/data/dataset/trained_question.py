"""What an example asks and answers where the spec's `train` says it, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.blank import is_blank
from herogen_async.core.errors import InputError
from herogen_async.core.units import counted
from herogen_async.data.dataset.recipe import (
    BY_TRAIN,
    LOST_THOUGHTS,
    NOT_AT_END,
    STALE_TURN,
    USE_TURNS,
    WITH_TOOL_CALLS,
    WITH_TURNS,
    AskedWith,
    answer_of,
    has_ended,
)
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.taught_question import offered_tools
from herogen_async.data.dataset.tool_calls import has_tool_calls
from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.specs.forms import FormReading
from herogen_async.specs.plan.training import Train, Training, TrainingExample
from herogen_async.specs.spec.conversation import TalkingColumns
from herogen_async.specs.spec.train_checks import SYSTEM, USER


class TrainedQuestion:
    """As `TaughtQuestion`, by the texts of `train`: a spec's own, or its conversation.

    Raises InputError where the format has no place for what it says.
    """

    ask = BY_TRAIN
    is_short = False

    def __init__(self, rows: RunRows, train: Train, *, file_format: str) -> None:
        self._training = training = Training(rows.plan, train)
        self.is_conversation = not rows.spec.train
        self._plan = rows.plan
        stale = rows.found.stale if self.is_conversation else ()
        self._sides = () if rows.spec.conversation is None else rows.spec.conversation.columns
        self._stale = {index for index in stale if index in rows.found.done}  # that count all the same
        self.file_format = file_format
        self.has_system = SYSTEM in training.roles
        _check_format(file_format, training, rows.spec.conversation if self.is_conversation else None)
        self.taught = None if not rows.has_columns else Taught(training.answered(), is_chosen=False)
        texts = training.templates
        self.system_text = texts[SYSTEM].render({}) if self.has_system and not texts[SYSTEM].names else None
        asks_cells = training.questions == 1 and set(texts[USER].names) <= rows.plan.cells.facets.keys()
        self.template = texts[USER].plain_text if asks_cells else None

    @property
    def samples(self) -> int:
        """How many examples a row may give."""
        return self._training.samples

    @property
    def named(self) -> str:
        """What a row without an example lacks."""
        return "the conversation" if self.is_conversation else "a column that `train` names"

    @property
    def line(self) -> str:
        """What an example is, as a sentence."""
        if self.is_conversation:
            system = "system text and " if self.has_system else ""
            return f"Each example: {system}a conversation of {counted(self._training.questions, 'turn')}."
        each = f" (each of {self.samples} samples)" if self.samples > 1 else ""
        return f"Each example: {', '.join(self._training.roles)}, as the spec's `train` says{each}."

    def examples(self, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The examples of a row, each as a row of one answer: the last one of its conversation."""
        answers = self._answers(row)
        thoughts, said = [""] * len(answers), list[FormReading | None]()
        for place, each in enumerate(answers):
            if each is not None:
                thoughts[place], text = answer_of(each)
            said.append(None if each is None else FormReading(text, each.get("value")))
        number = row["index"]
        shared = {name: row[name] for name in ("index", "cell", "repeat", "sub_prompt")}
        for example in self._training.examples(number, said):
            named = [answers[place] or {} for place in example.answers]
            ended = next((each for each in named if not has_ended(each)), named[-1])
            is_whole = example.is_whole and ended is named[-1]
            answer = dict(ended) if is_whole else {**ended, **_composed(example)}
            calls_tools = is_whole and has_tool_calls(ended)
            needed = [text for _, text in (example.turns[:-1] if calls_tools else example.turns)]
            if not calls_tools:
                last = said[example.answers[-1]]
                needed.append("" if last is None else last.text)
            if lost := [each for each in (named[:-1] if is_whole else named) if has_tool_calls(each)]:
                answer |= {"extra": lost[0]["extra"], NOT_AT_END: True}
            elif any(map(is_blank, needed)):  # an empty example, whatever stands around it
                answer |= {"response_txt": "", "reasoning": None}
                answer["extra"] = None if calls_tools else answer.get("extra")
            is_lost = any(thoughts[place] for place in (example.answers[:-1] if is_whole else example.answers))
            turns, tools = example.turns, tuple[Any, ...]()
            if self.file_format in WITH_TOOL_CALLS:
                tools = offered_tools(self._plan.shape.calls[example.answers[-1]].column)
            asked = AskedWith(turns[-2][1], example.system, turns[:-2], tools)
            own = {"number": number * self.samples + example.sample, "asked": asked, LOST_THOUGHTS: is_lost}
            yield {**answer, **shared, **own, STALE_TURN: bool(self._stale) and self._has_stale(number)}

    def _has_stale(self, number: int) -> bool:
        first = number * self._plan.calls_a_row
        spoken = (call for call in self._plan.shape.calls if call.column.stem in self._sides)
        return any(first + call.place in self._stale for call in spoken)

    def of(self, row: Mapping[str, Any]) -> AskedWith:
        """The question of one of `examples`."""
        asked: AskedWith = row["asked"]
        return asked

    def _answers(self, row: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
        """By the place of their calls."""
        return [row] if self.taught is None else list(answers_of(self._plan, row).values())


def _composed(example: TrainingExample) -> dict[str, Any]:
    """Of a text around answers: nobody has counted its tokens, and the thoughts behind it are not one answer's."""
    return {"response_txt": example.turns[-1][1], "usage": None, "reasoning": None, "extra": None}


def _check_format(file_format: str, training: Training, conversation: TalkingColumns | None) -> None:
    if file_format in WITH_TURNS:
        return
    what, fix = "`train`", USE_TURNS
    if conversation is not None:
        what = "the conversation"
        fix = f"{USE_TURNS}, or choose an answer: --column {conversation.spoken[-1][1]}"
    if training.questions > 1:
        turns = counted(training.questions, "question")
        raise InputError(f"format {file_format} takes one question and its answer; {what} has {turns}", fix=fix)
    if SYSTEM in training.roles:
        raise InputError(f"format {file_format} has no place for the system text of {what}", fix=fix)
