"""The two phases: necessary fixes are applied at once, recommended ones after all checks, if wanted.

A recommended fix is computed on the table as it was at its validator's turn, before any recommended fix, and applied in
the same order: the added separator occurs in no prompt, even if the prompts lose their beginning later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.data.prepare.common_affixes import (
    ENDINGS,
    SEPARATORS,
    ending_in,
    separator_in,
    shared_tail,
    strictly,
)
from herogen_async.data.prepare.records import MENDED, NECESSARY, Action, FileReading, Note, Remediation, Table
from herogen_async.data.prepare.separators import ENDING_ADDED, SEPARATOR_ADDED
from herogen_async.data.prepare.task_type import CLASSIFICATION, task_of
from herogen_async.data.prepare.validators import VALIDATORS
from herogen_async.specs.records import quoted

Ask = Callable[[str], bool]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the validators found: the table with the necessary fixes applied, and all fixes in order."""

    table: Table
    notes: tuple[Note, ...]
    remediations: tuple[Remediation, ...]

    @property
    def actions(self) -> tuple[Action, ...]:
        """The fixes that were applied or are offered."""
        return tuple(each.action for each in self.remediations if each.action)


@dataclass(frozen=True, slots=True)
class Remedied:
    """The table as it will be written; `done` are the applied actions, `declined` the rejected ones."""

    table: Table
    done: tuple[Action, ...]
    declined: tuple[str, ...]

    def added(self, action: str) -> str:
        """What `action` added to every row; "" if it was not applied."""
        return next((str(each.value) for each in self.done if each.action == action), "")


def analyse(reading: FileReading) -> Analysis:
    """Run the validators in order. Raises InputError if one of them finds the data unusable."""
    table = reading.table
    notes = list(reading.notes)
    remediations = []
    if reading.converted:
        action = Action(NECESSARY, "convert_format", reading.converted)
        remediations.append(Remediation(action=action, does="Convert it to JSON Lines"))
    for validate in VALIDATORS:
        found = validate(table)
        notes += found.notes
        if found.action is None:
            continue
        remediations.append(found)
        if found.action.kind == NECESSARY and found.fix:
            table = found.fix(table)
    return Analysis(table, tuple(notes), tuple(remediations))


def remedy(analysis: Analysis, ask: Ask, tell: Tell) -> Remedied:
    """Apply the recommended fixes that `ask` accepts; `tell` receives the necessary ones."""
    table = analysis.table
    done, declined = [], []
    for each in analysis.remediations:
        assert each.action is not None
        if each.action.kind == NECESSARY:
            tell(f"necessary: {each.does}.")
            done.append(each.action)
        elif ask(f"recommended: {each.does}."):
            assert each.fix is not None
            table = each.fix(table)
            done.append(each.action)
        else:
            declined.append(each.action.action)
    return Remedied(table, tuple(done), tuple(declined))


@dataclass(frozen=True, slots=True)
class Marks:
    """How to ask a model tuned on a table; "" where nothing is added."""

    indicator: str
    stop: str
    notes: tuple[Note, ...]


def marks_of(remedied: Remedied) -> Marks:
    """The separator and the ending added to all rows, or else those that the rows already share."""
    labels = task_of(remedied.table) == CLASSIFICATION
    prompts, completions = remedied.table.prompts, remedied.table.completions
    indicator = remedied.added(SEPARATOR_ADDED) or separator_in(prompts, labels=labels)
    stop = remedied.added(ENDING_ADDED) or ending_in(completions, labels=labels)
    found = (_shared_more(prompts, indicator, "separator"), _shared_more(completions, stop, "ending"))
    return Marks(indicator, stop, tuple(note for note in found if note))


_A = {"separator": "a separator", "ending": "an ending"}


def _shared_more(texts: Sequence[str], mark: str, what: str) -> Note | None:
    """A note if the texts share more than their mark by coincidence."""
    tail = shared_tail(texts)
    if tail == mark:
        return None
    if len(texts) == 1:
        text = f"A single row shares nothing with others: only what is well known as {_A[what]} counts as one."
        return Note(MENDED, text, "one_row")
    told = f"The {what} is {quoted(mark)}" if mark else f"There is no {what}"
    return Note(MENDED, f"{told}: the common end {quoted(tail)} is a coincidence.", f"{what}_core")


def recipe_of(table: Table) -> Recipe:
    """The recipe of the rows of `table`, if nothing else is known about them."""
    prompts, completions = table.prompts, table.completions
    separator = strictly(separator_in(prompts), SEPARATORS, prompts) if any(prompts) else ""
    ending = strictly(ending_in(completions, labels=True), ENDINGS, completions)
    lead = " " if completions and all(text.startswith(" ") for text in completions) else ""
    return Recipe(separator=separator, lead=lead, ending=ending)
