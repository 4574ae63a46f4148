"""Prepares any file of prompts and completions for fine-tuning, as the legacy data-preparation tool did."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.data.prepare.apply import Analysis, Ask, Marks, Remedied, Tell, analyse, marks_of, recipe_of, remedy
from herogen_async.data.prepare.output import write
from herogen_async.data.prepare.reading import READABLE_FORMATS, read_table
from herogen_async.data.prepare.records import (
    ADVICE,
    COMPLETION,
    FOUND,
    MENDED,
    PROMPT,
    RECOMMENDED,
    WARNING,
    Action,
    FileReading,
    Note,
    Prepared,
    Table,
)
from herogen_async.data.prepare.task_type import CLASSIFICATION, task_of

__all__ = [
    "ADVICE",
    "FOUND",
    "MENDED",
    "READABLE_FORMATS",
    "WARNING",
    "Action",
    "Note",
    "Prepared",
    "inferred_recipe",
    "prepare",
]

# Notes on the rows as read are not repeated for the rows as written.
_SAME_MATTER: dict[str | None, set[str]] = {
    "separator_core": {"separator_core", "accidental_separator"},
    "ending_core": {"ending_core", "accidental_ending"},
    "one_row": {"one_row"},
}
_SPLIT = Action(RECOMMENDED, "split_train_valid")


def prepare(
    file: str | os.PathLike[str], *, ask: Ask = lambda _question: True, tell: Tell = lambda _line: None
) -> Prepared:
    """Prepare `file` (CSV, TSV, XLSX, JSON, JSON Lines or text) for fine-tuning, and write the result next to it.

    `ask` answers each question, by default with yes; `tell` receives what was found and what is always done. The file
    itself is never changed; if there is nothing to fix, nothing is written.
    Raises InputError (no such file, invalid format, data that teach nothing, an unwritable folder), DiskError.
    """
    path = Path(file)
    reading = read_table(path)
    analysis = analyse(reading)
    for note in analysis.notes:
        tell(f"{note.kind}: {note.text}")
    remedied = remedy(analysis, ask, tell)
    table = remedied.table
    parted = False
    asked_to_part = task_of(table) == CLASSIFICATION
    if asked_to_part:
        parted = ask("recommended: Split the rows into training and validation, so that labels can be checked.")
    outputs: tuple[Path, ...] = ()
    if (remedied.done or parted) and ask("Write the rows to a new file?"):
        outputs = write(table, path, parted=parted)
    prepared = _prepared(path, reading, analysis, remedied, parted=(asked_to_part, parted), outputs=outputs)
    for note in prepared.notes[len(analysis.notes) :]:
        tell(f"{note.kind}: {note.text}")
    return prepared


def inferred_recipe(rows: Iterable[tuple[str, str]]) -> Recipe:
    """How to ask a model tuned on these (prompt, completion) rows: what all of them share, except by coincidence.

    "" means that they share no separator, lead or ending. In a single row, only well-known ones count. Raises nothing.
    """
    pairs = list(rows)
    return recipe_of(Table.of((PROMPT, COMPLETION), ([pair[0] for pair in pairs], [pair[1] for pair in pairs])))


def _prepared(
    path: Path,
    reading: FileReading,
    analysis: Analysis,
    remedied: Remedied,
    *,
    parted: tuple[bool, bool],
    outputs: tuple[Path, ...],
) -> Prepared:
    asked_to_part, did_part = parted
    nothing_to_fix = not (remedied.done or did_part)
    in_force = nothing_to_fix or bool(outputs)  # without a file there is nothing to tune a model on
    marks = marks_of(remedied) if in_force else Marks("", "", ())
    told = {note.code for note in analysis.notes}
    return Prepared(
        file=path,
        format=reading.format,
        rows=len(reading.table),
        task=task_of(remedied.table),
        actions=(*analysis.actions, *([_SPLIT] if asked_to_part else [])),
        declined=(*remedied.declined, *([_SPLIT.action] if asked_to_part and not did_part else [])),
        prompt_indicator=marks.indicator or None,
        stop=marks.stop or None,
        outputs=outputs,
        rows_written=len(remedied.table) if outputs else 0,
        notes=(*analysis.notes, *(note for note in marks.notes if not told & _SAME_MATTER.get(note.code, set()))),
        recipe=recipe_of(remedied.table),
        nothing_to_fix=nothing_to_fix,
    )
