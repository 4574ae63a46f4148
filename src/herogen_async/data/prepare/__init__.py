"""Any file of prompts and completions, made fit for a fine-tune: the legacy data-preparation tool, living on."""

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

# What was said of the rows as they were read need not be said of them as they were written.
_SAME_MATTER: dict[str | None, set[str]] = {
    "separator_core": {"separator_core", "accidental_separator"},
    "ending_core": {"ending_core", "accidental_ending"},
    "one_row": {"one_row"},
}
_SPLIT = Action(RECOMMENDED, "split_train_valid")


def prepare(
    file: str | os.PathLike[str], *, ask: Ask = lambda _question: True, tell: Tell = lambda _line: None
) -> Prepared:
    """Make `file` (CSV, TSV, XLSX, JSON, JSON lines or text) fit for a fine-tune, and write the result beside it.

    `ask` answers each question, by default with yes; `tell` hears what was found and what is done anyway. The file
    itself is never changed; where nothing has to be fixed, nothing is written.
    Raises InputError (no such file, not of its format, data that teach nothing, no place to write), DiskError.
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
        parted = ask("recommended: Part the rows into training and validation, so that labels can be checked.")
    outputs: tuple[Path, ...] = ()
    if (remedied.done or parted) and ask("Write the rows to a new file?"):
        outputs = write(table, path, parted=parted)
    prepared = _prepared(path, reading, analysis, remedied, parted=(asked_to_part, parted), outputs=outputs)
    for note in prepared.notes[len(analysis.notes) :]:
        tell(f"{note.kind}: {note.text}")
    return prepared


def inferred_recipe(rows: Iterable[tuple[str, str]]) -> Recipe:
    """How a model that is tuned on these (prompt, completion) rows is asked: what all of them share, accidents aside.

    "" stands for what they don't share: a separator, a lead, an ending. Of an only row, what is known as such counts.
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
    in_force = nothing_to_fix or bool(outputs)  # a file that was not written is asked in no way
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
