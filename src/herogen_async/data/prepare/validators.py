"""The fifteen validators, in the legacy tool's order: each checks a table and returns its findings and a fix.

Their rules, limits and order are those of `openai tools fine_tunes.prepare_data` in openai 0.28.1, as observed, so
results match what users know. Its harmful rules are mended, each time with a note and a code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from herogen_async.data.prepare.columns import extra_columns, named_column
from herogen_async.data.prepare.common_affixes import before_number, shared_head
from herogen_async.data.prepare.letter_case import holds_hex, is_mostly_upper, lowered
from herogen_async.data.prepare.phrasing import places
from herogen_async.data.prepare.records import (
    ADVICE,
    COMPLETION,
    FOUND,
    MENDED,
    NECESSARY,
    PROMPT,
    RECOMMENDED,
    WARNING,
    Action,
    Note,
    Remediation,
    Table,
)
from herogen_async.data.prepare.separators import ending, separator
from herogen_async.data.prepare.task_type import CLASSIFICATION, OPEN_ENDED, task_of
from herogen_async.specs.records import quoted

Validator = Callable[[Table], Remediation]

FEW_ROWS = 100  # with fewer, a fine-tune rarely learns more than the format
LONGEST_ROW = 10_000  # characters; about 2,048 tokens, the context of the models at the tool's time
LONGEST_PROMPT_HEAD = 12  # characters; a longer one is an instruction, which a tuned model doesn't need
SHORTEST_COMPLETION_HEAD = 5  # characters; a shorter one may be a coincidence

NOTHING = Remediation()


def count_rows(table: Table) -> Remediation:
    """1. The number of rows."""
    notes = [Note(FOUND, f"{len(table):,} {'row' if len(table) == 1 else 'rows'}.")]
    if len(table) < FEW_ROWS:
        notes.append(Note(ADVICE, "That is few: a fine-tune needs a few hundred, and improves with every doubling."))
    return Remediation(tuple(notes))


def empty_completions(table: Table) -> Remediation:
    """5. Rows without a completion teach nothing."""
    empty = [place for place, text in enumerate(table.completions) if not text]
    if not empty:
        return NOTHING
    return Remediation(
        (Note(FOUND, f"{_rows(table, empty)} no completion."),),
        Action(NECESSARY, "drop_empty_completions", len(empty)),
        f"Drop rows without a completion: {len(empty):,}",
        lambda rest: rest.without(place for place, text in enumerate(rest.completions) if not text),
    )


def task_guess(table: Table) -> Remediation:
    """6. The task that the data suggest."""
    task = task_of(table)
    notes = [Note(FOUND, f"The data look like {task}.")]
    if task == CLASSIFICATION:
        notes.append(Note(ADVICE, "For labels, a small model is enough; held-out rows show how well it does."))
        if len(set(table.completions)) == 1:
            notes.append(Note(WARNING, f"All rows have the same label, {quoted(table.completions[0])}."))
    return Remediation(tuple(notes))


def duplicates(table: Table) -> Remediation:
    """7. The same prompt with the same completion."""
    again = _repeated(table)
    if not again:
        return NOTHING
    return Remediation(
        (Note(FOUND, f"{_rows(table, again)} the same prompt and completion as an earlier row."),),
        Action(RECOMMENDED, "drop_duplicates", len(again)),
        f"Drop duplicates: {len(again):,}",
        lambda rest: rest.without(_repeated(rest)),
    )


def _repeated(table: Table) -> list[int]:
    seen: set[tuple[str, str]] = set()
    again = []
    for place, pair in enumerate(zip(table.prompts, table.completions, strict=True)):
        if pair in seen:
            again.append(place)
        seen.add(pair)
    return again


def long_rows(table: Table) -> Remediation:
    """8. Rows that are too long for a model's context."""
    long = [] if task_of(table) == OPEN_ENDED else _long(table)
    if not long:
        return NOTHING
    notes = [Note(FOUND, f"{_rows(table, long)} more than {LONGEST_ROW:,} characters.")]
    moved = list(table.numbers) != list(range(1, len(table) + 1))
    if moved or _repeated(table):
        text = "The long rows themselves are dropped, even after other rows were removed."
        notes.append(Note(MENDED, text, "long_rows"))
    return Remediation(
        tuple(notes),
        Action(RECOMMENDED, "drop_long", len(long)),
        f"Drop long rows: {len(long):,}",
        lambda rest: rest.without(_long(rest)),
    )


def _long(table: Table) -> list[int]:
    pairs = enumerate(zip(table.prompts, table.completions, strict=True))
    return [place for place, (prompt, completion) in pairs if len(prompt) + len(completion) > LONGEST_ROW]


def letter_case(table: Table, column: str) -> Remediation:
    """9 and 10. Text in capitals, which models handle less well."""
    texts = table.column(column)
    hexadecimal = sum(map(holds_hex, texts))
    notes = []
    if hexadecimal:
        text = f"Hexadecimal numbers keep their case and don't count as capitals ({column}s: {hexadecimal:,})."
        notes.append(Note(MENDED, text, "hexadecimal"))
    alone = len(texts) == 1 and any(table.prompts)  # a single row says nothing about the style of the data
    if alone or not is_mostly_upper(texts):
        return Remediation(tuple(notes))
    return Remediation(
        (Note(FOUND, f"More than a third of the letters in the {column}s are capitals."), *notes),
        Action(RECOMMENDED, "lowercase", column),
        f"Convert the {column}s to lower case",
        lambda rest: rest.with_column(column, list(map(lowered, rest.column(column)))),
    )


def prompt_head(table: Table) -> Remediation:
    """12. The common beginning of all prompts."""
    head = shared_head(table.prompts)
    if not head or _all_are(table.prompts, head):
        return NOTHING
    notes: tuple[Note, ...] = (Note(FOUND, f"All prompts begin with {quoted(head)}."),)
    if len(head) <= LONGEST_PROMPT_HEAD:
        return Remediation(notes)
    head, kept_number = _before_number(head, table.prompts)
    notes += kept_number
    if len(head) <= LONGEST_PROMPT_HEAD:
        return Remediation(notes)
    return Remediation(
        (*notes, Note(ADVICE, "A fixed instruction is not needed: the fine-tune itself teaches it.")),
        Action(RECOMMENDED, "prompt_drop_prefix", head),
        f"Remove {quoted(head)} from the start of the prompts",
        lambda rest: rest.with_column(PROMPT, [text[len(head) :] for text in rest.prompts]),
    )


def completion_head(table: Table) -> Remediation:
    """13. The common beginning of all completions."""
    head = shared_head(table.completions)
    if len(head) < SHORTEST_COMPLETION_HEAD or _all_are(table.completions, head):
        return NOTHING
    found: tuple[Note, ...] = (Note(FOUND, f"All completions begin with {quoted(head)}."),)
    head, kept_number = _before_number(head, table.completions)
    found += kept_number
    if len(head) < SHORTEST_COMPLETION_HEAD:
        return Remediation(found)
    if any(not text[len(head) :].strip() for text in table.completions):
        text = f"{quoted(head)} stays: removing it would leave an empty completion."
        return Remediation((*found, Note(MENDED, text, "empty_after_cut")))
    kept = " " if head.startswith(" ") else ""
    return Remediation(
        (*found, Note(ADVICE, "The calling program can add the beginning that all answers share.")),
        Action(RECOMMENDED, "completion_drop_prefix", head),
        f"Remove {quoted(head)} from the start of the completions",
        lambda rest: rest.with_column(COMPLETION, [kept + text[len(head) :] for text in rest.completions]),
    )


def _before_number(head: str, texts: Sequence[str]) -> tuple[str, tuple[Note, ...]]:
    kept = before_number(head, texts)
    if kept == head:
        return head, ()
    return kept, (Note(MENDED, f"{quoted(head)} ends inside of numbers, which stay whole.", "number_cut"),)


def leading_space(table: Table) -> Remediation:
    """15. A space before every completion: tokenizers merge it with the next word."""
    if len(table) and all(text.startswith(" ") for text in table.completions):
        return NOTHING
    return Remediation(
        (Note(FOUND, "Not every completion begins with a space, which tokenizers expect before a word."),),
        Action(RECOMMENDED, "completion_leading_space"),
        "Add a space before every completion that lacks one",
        lambda rest: rest.with_column(COMPLETION, [_spaced(text) for text in rest.completions]),
    )


def _spaced(text: str) -> str:
    return text if text.startswith(" ") else " " + text


def _all_are(texts: Sequence[str], text: str) -> bool:
    return all(each == text for each in texts)


def _rows(table: Table, which: Sequence[int]) -> str:
    return f"{places([table.numbers[place] for place in which])} {'has' if len(which) == 1 else 'have'}"


VALIDATORS: tuple[Validator, ...] = (
    count_rows,
    partial(named_column, column=PROMPT),
    partial(named_column, column=COMPLETION),
    extra_columns,
    empty_completions,
    task_guess,
    duplicates,
    long_rows,
    partial(letter_case, column=PROMPT),
    partial(letter_case, column=COMPLETION),
    separator,
    prompt_head,
    completion_head,
    ending,
    leading_space,
)
