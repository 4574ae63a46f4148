"""The quality of a run's answers before a data set is made of them: nothing is written, and nothing is left out that
only a format or a choice of `assemble` leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.assemble.inspected import inspected
from herogen_async.data.dataset.example_question import question_of
from herogen_async.data.dataset.examples import ExampleCount, candidates
from herogen_async.data.dataset.recipe import NO_SYSTEM, SUB_PROMPT, Recipe
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.quality import Quality
from herogen_async.generation.run_folder import RunFolder, existing_run

_FORMAT = "messages"  # it adds nothing to a text: no finding is of a format that may never be chosen


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """The `quality` of the rows that give an example, and the `count` of those that give none, by reason.

    `sizes` are those of the journal's segments when it was read, by name: of other ones the quality may be another.
    """

    quality: Quality
    count: ExampleCount
    sizes: dict[str, int]


def run_quality(run: str | os.PathLike[str], on_row: Callable[[int, int], None] = lambda _, __: None) -> CheckedRun:
    """Check the rows of `run` as they are now. `on_row` is told how many rows were looked at, and of how many.

    Raises InputError where there are no answers yet, RunFolderError, DamageError.
    """
    sizes = segment_sizes(existing_run(run))  # first: what comes while it is read makes it a check of less
    rows = _ToldRows(run, on_row)
    if not len(rows):
        raise InputError("there are no complete rows yet", fix="check them once some are done")
    question = question_of(rows, column=None, file_format=_FORMAT, ask=SUB_PROMPT, system=NO_SYSTEM)
    count = ExampleCount()
    items = candidates(rows, "keep", question, count)
    how = replace(Recipe.of(_FORMAT), ask=question.ask)
    quality = inspected(rows, items, how, samples=question.samples, truncated="keep", drop=())
    return CheckedRun(quality, count, sizes)


def segment_sizes(folder: RunFolder) -> dict[str, int]:
    """The bytes of each segment of the journal."""
    return {path.name: path.stat().st_size for path in folder.segments()}


class _ToldRows(RunRows):
    """Rows, of which somebody is told as they go by."""

    def __init__(self, run: str | os.PathLike[str], on_row: Callable[[int, int], None]) -> None:
        super().__init__(run)
        self._on_row = on_row

    def __iter__(self) -> Generator[dict[str, Any]]:
        for number, row in enumerate(super().__iter__(), start=1):
            self._on_row(number, len(self))
            yield row
