"""What the models are asked: questions that were held out of the training, or else cells of the grid."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError, InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.specs.sources.cells import Cells
from herogen_async.specs.spec.template import Template
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.query import Conversation, QuestionText, question_from, question_of_row

LONGEST_SAMPLE = 60  # characters of a question that stands in a command
HELD_OUT, GRID, TRAINING = "held-out questions", "cells of the grid", "questions of the training data"


@dataclass(frozen=True, slots=True)
class Asked:
    """`sent` is what the model is asked, without a separator, and `cell` what it is about; empty where that can't be
    told.
    """

    sent: QuestionText
    cell: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The question alone, without a system text or earlier turns."""
        return str(self.sent)


@dataclass(frozen=True, slots=True)
class Questions:
    """`asked` as often as answers are wanted: the same question again where there are fewer. `source` says whence."""

    asked: tuple[Asked, ...]
    source: str

    @property
    def different(self) -> int:
        return len({_whole(each.sent) for each in self.asked})


def choose(tuned: TunedModel, answers: int, seed: int) -> Questions:
    """`answers` questions, drawn by `seed`. Raises InputError where there is nothing to ask."""
    rng = random.Random(seed)  # noqa: S311 - to be repeatable, not to be secret
    recipe = tuned.recipe
    source, prompts = HELD_OUT, _prompts_in(tuned.held_out, recipe)
    if not prompts and recipe.sub_prompt is not None and recipe.knows_cells and not recipe.system_differs:
        return Questions(_repeated(list(_drawn(recipe.cells, recipe, answers, rng)), answers), GRID)
    if not prompts:
        source, prompts = TRAINING, _prompts_in(tuned.training, recipe)
    if not prompts:
        raise InputError(
            f"no questions for {tuned.name!r}: no held-out rows, and no question template on record",
            fix="assemble with --split 0.1 and tune on the result",
        )
    rng.shuffle(prompts)
    cells = _CellReader(recipe)
    return Questions(_repeated([Asked(prompt, cells.read(str(prompt))) for prompt in prompts], answers), source)


def sample_question(tuned: TunedModel) -> str | None:
    """A question as a person would type it: the first one held out, else taught; None where that is no short line."""
    with contextlib.suppress(HerogenError, OSError, ValueError):  # a file that changed since: that is told elsewhere
        for file in (tuned.held_out, tuned.training):
            for row in _rows_in(file):
                asked = str(question_of_row(row, tuned.recipe)).removesuffix(tuned.recipe.separator)
                return asked if asked.isprintable() and 0 < len(asked) <= LONGEST_SAMPLE else None
    return None


def completions_in(file: Path | None, recipe: Recipe) -> Iterator[str]:
    """The answers that a fine-tune file teaches."""
    for row in _rows_in(file):
        if (answer := _answer_in(row)) is not None:
            yield recipe.answer(answer)


def taught_answers(tuned: TunedModel) -> dict[str, str]:
    """The first answer that the held-out rows, else the training's, have to each question, by its last user message."""
    found: dict[str, str] = {}
    for file in (tuned.held_out, tuned.training):
        for row in _rows_in(file):
            asked = str(question_of_row(row, tuned.recipe)).removesuffix(tuned.recipe.separator)
            if (answer := _answer_in(row)) is not None:
                found.setdefault(asked, tuned.recipe.answer(answer))
    return found


def _answer_in(row: Mapping[str, Any]) -> str | None:
    answer = row.get("completion")
    if answer is None and isinstance(messages := row.get("messages"), list) and messages:
        answer = messages[-1].get("content")
    return answer if isinstance(answer, str) else None


def _prompts_in(file: Path | None, recipe: Recipe) -> list[QuestionText]:
    """The different questions of a fine-tune file, in its order, without their separator."""
    found: dict[str, QuestionText] = {}
    for row in _rows_in(file):
        asked = question_of_row(row, recipe)
        if isinstance(asked, str):
            asked = asked.removesuffix(recipe.separator)
        found.setdefault(_whole(asked), asked)
    return list(found.values())


def _whole(question: QuestionText) -> str:
    """What tells it from others: of a conversation all messages."""
    return question.sent if isinstance(question, Conversation) else question


def _rows_in(file: Path | None) -> Iterator[dict[str, Any]]:
    if file is None or not file.is_file():
        return
    with file.open("rb") as lines:
        for line in lines:
            if line.strip() and isinstance(row := codec.loads(line), dict):
                yield row


def _drawn(cells: Cells, recipe: Recipe, answers: int, rng: random.Random) -> Iterable[Asked]:
    for index in rng.sample(range(cells.size), min(answers, cells.size)):
        cell = cells.cell(index)
        names = Template(recipe.sub_prompt or "").names
        asked = {name: cell[name] for name in names if name in cell}
        yield Asked(question_from(asked, recipe), asked)


def _repeated(asked: list[Asked], answers: int) -> tuple[Asked, ...]:
    return tuple(asked[number % len(asked)] for number in range(answers))


class _CellReader:
    """Reads a question backwards: which values its template was filled with."""

    def __init__(self, recipe: Recipe) -> None:
        self._pattern: re.Pattern[str] | None = None
        if recipe.sub_prompt is None:
            return
        template = Template(recipe.sub_prompt)
        # A mark that no text has stands for each value, so that what is between them can be told from it.
        marks = {name: f"\0{number}\0" for number, name in enumerate(template.names)}
        parts = re.split("\0(\\d+)\0", template.render(marks))
        seen: set[str] = set()
        pattern = ""
        for place, part in enumerate(parts):
            if place % 2 == 0:
                pattern += re.escape(part)
                continue
            name = template.names[int(part)]
            known = _values(recipe.attributes.get(name, ())) + "|" * (name in recipe.rules.branches)
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{known})"
            seen.add(name)
        self._pattern = re.compile(pattern, re.DOTALL)

    def read(self, prompt: str) -> dict[str, str]:
        if self._pattern is None:
            return {}
        # What ends with an attribute that does not apply ends with the blank before it.
        found = self._pattern.fullmatch(prompt.strip()) or self._pattern.fullmatch(prompt)
        return {} if found is None else {name: value for name, value in found.groupdict().items() if value}


def _values(known: Iterable[str]) -> str:
    """Known values first, the longest of them before its own beginning; else anything."""
    return "|".join([*(re.escape(each) for each in sorted(known, key=len, reverse=True)), ".+?"])
