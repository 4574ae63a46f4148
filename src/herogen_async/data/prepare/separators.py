"""Validators 11 and 14: the separator after every prompt and the ending after every completion."""

from __future__ import annotations

from herogen_async.data.prepare.common_affixes import (
    ENDINGS,
    ending_in,
    first_absent,
    is_cut_word,
    occurs_inside,
    separator_for,
    separator_in,
    shared_tail,
)
from herogen_async.data.prepare.phrasing import refuse_identical
from herogen_async.data.prepare.records import (
    ADVICE,
    COMPLETION,
    FOUND,
    MENDED,
    PROMPT,
    RECOMMENDED,
    WARNING,
    Action,
    Note,
    Remediation,
    Table,
)
from herogen_async.data.prepare.task_type import CLASSIFICATION, CONDITIONAL, OPEN_ENDED, task_of
from herogen_async.specs.records import quoted

SEPARATOR_ADDED = "prompt_separator"
ENDING_ADDED = "completion_ending"
_ALONE = "There is only one row. It is accepted as is: there is no other row to compare it with."
_LONG_MARK = 10  # characters; a longer one costs tokens in every question


def separator(table: Table) -> Remediation:
    """11. All prompts end with a separator. Raises InputError if all prompts are equal and not empty."""
    task = task_of(table)
    if task == OPEN_ENDED:
        return Remediation()
    prompts = table.prompts
    fix = "leave the prompts empty for open-ended generation, or make them different"
    refuse_identical(prompts, "prompts", fix)
    tail = shared_tail(prompts)
    mark = separator_in(prompts, labels=task == CLASSIFICATION)
    alone = [Note(MENDED, _ALONE, "one_row")] if len(prompts) == 1 else []
    if mark:
        return Remediation((*alone, *_prompt_notes(prompts, tail, mark)))
    added = separator_for(prompts)
    notes = [
        *alone,
        Note(FOUND, "The prompts don't end with a separator to tell the model where the answer begins."),
    ]
    if tail and len(prompts) > 1:
        notes.append(_accident("prompts", tail, "separator", "accidental_separator"))
    return Remediation(
        tuple(notes),
        Action(RECOMMENDED, SEPARATOR_ADDED, added),
        f"Add the separator {quoted(added)} to every prompt",
        lambda rest: rest.with_column(PROMPT, [text + added for text in rest.prompts]),
    )


def _prompt_notes(prompts: list[str], tail: str, mark: str) -> tuple[Note, ...]:
    notes = [Note(FOUND, f"All prompts end with {quoted(mark)}.")]
    if mark != tail and len(prompts) > 1:
        text = f"The separator is {quoted(mark)}, not {quoted(tail)}, which the prompts share by coincidence."
        notes.append(Note(MENDED, text, "separator_core"))
    elif is_cut_word(mark, prompts):
        notes.append(Note(WARNING, f"{quoted(mark)} is part of a word; a separate mark would be clearer."))
    if len(mark) > _LONG_MARK:
        notes.append(Note(ADVICE, f"That is long; {quoted(separator_for(prompts))} would be enough."))
    if any(mark in text[: -len(mark)] for text in prompts):
        notes.append(
            Note(WARNING, f"{quoted(mark)} also occurs inside prompts, so it does not clearly mark their end.")
        )
    return tuple(notes)


def ending(table: Table) -> Remediation:
    """14. All completions have an ending, in conditional generation. Raises InputError if all are equal."""
    if task_of(table) != CONDITIONAL:
        return Remediation()
    completions = table.completions
    refuse_identical(completions, "completions", "make them different: the model would only learn to repeat this one")
    tail = shared_tail(completions)
    mark = ending_in(completions)
    if mark:
        return Remediation(_completion_notes(completions, tail, mark))
    added = first_absent(ENDINGS, completions)
    notes = [Note(FOUND, "The completions have no ending to tell the model where to stop.")]
    if tail and len(completions) > 1:
        notes.append(_accident("completions", tail, "ending", "accidental_ending"))
    return Remediation(
        tuple(notes),
        Action(RECOMMENDED, ENDING_ADDED, added),
        f"Add the ending {quoted(added)} to every completion",
        lambda rest: rest.with_column(COMPLETION, [text + added for text in rest.completions]),
    )


def _completion_notes(completions: list[str], tail: str, mark: str) -> tuple[Note, ...]:
    notes = [Note(FOUND, f"All completions end with {quoted(mark)}.")]
    if mark != tail and len(completions) > 1:
        text = f"The ending is {quoted(mark)}, not {quoted(tail)}, which the completions share by coincidence."
        notes.append(Note(MENDED, text, "ending_core"))
    if len(mark) > _LONG_MARK:
        notes.append(Note(ADVICE, f"That is long; {quoted(first_absent(ENDINGS, completions))} would be enough."))
    if occurs_inside(mark, completions):
        notes.append(Note(WARNING, f"{quoted(mark)} also occurs inside completions: generation will stop there."))
    return tuple(notes)


def _accident(what: str, tail: str, mark: str, code: str) -> Note:
    end = quoted(tail)
    text = (
        f"The {what} share the end {end}, which is not a usable {mark}: it is coincidental, or also occurs inside them."
    )
    return Note(MENDED, text, code)
