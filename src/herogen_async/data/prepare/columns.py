"""Validators 2 to 4: the two columns that a fine-tune file has."""

from __future__ import annotations

from herogen_async.core.errors import InputError
from herogen_async.data.prepare.phrasing import quoted
from herogen_async.data.prepare.records import (
    COMPLETION,
    FOUND,
    NECESSARY,
    PROMPT,
    WARNING,
    Action,
    Note,
    Remediation,
    Table,
)

_MOST_SHOWN = 8


def named_column(table: Table, column: str) -> Remediation:
    """2 and 3. The column is there, at least in another case. InputError when it isn't."""
    if column in table.names:
        return Remediation()
    if not table.names:
        raise InputError("there is no row in the file", fix="fill it, then prepare it again")
    place = next((place for place, name in enumerate(table.names) if name.lower() == column), None)
    if place is None:
        there = ", ".join(quoted(name) for name in table.names[:_MOST_SHOWN])
        raise InputError(
            f"there is no column {column!r}; its columns are: {there}",
            fix="name the two columns (in JSON, the keys) 'prompt' and 'completion' in the file, then prepare it again",
        )
    return Remediation(
        (Note(FOUND, f"The column {column!r} is called {quoted(table.names[place])}."),),
        Action(NECESSARY, "rename_column", column),
        f"Call it {column!r}",
        lambda rest: Table((*rest.names[:place], column, *rest.names[place + 1 :]), rest.columns, rest.numbers),
    )


def extra_columns(table: Table) -> Remediation:
    """4. What is neither prompt nor completion goes."""
    extra = [name for name in table.names if name not in (PROMPT, COMPLETION)]
    if not extra:
        return Remediation()
    notes = [Note(FOUND, f"There are other columns: {', '.join(map(quoted, extra))}.")]
    doubled = [name for name in extra if name.lower().rstrip(".0123456789") in (PROMPT, COMPLETION)]
    if doubled:
        notes.append(Note(WARNING, f"{', '.join(map(quoted, doubled))}: a column twice? Only the first is used."))
    return Remediation(
        tuple(notes),
        Action(NECESSARY, "drop_columns", extra),
        "Leave them out: " + ", ".join(map(quoted, extra)),
        lambda rest: rest.only((PROMPT, COMPLETION)),
    )
