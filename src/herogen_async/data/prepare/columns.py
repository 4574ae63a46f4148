"""Validators 2 to 4: the two columns of a fine-tuning file."""

from __future__ import annotations

from herogen_async.core.errors import InputError
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
from herogen_async.specs.records import quoted

_MOST_SHOWN = 8


def named_column(table: Table, column: str) -> Remediation:
    """2 and 3. The column exists, in any letter case. Raises InputError if it does not."""
    if column in table.names:
        return Remediation()
    if not table.names:
        raise InputError("the file has no rows", fix="add rows, then run prepare again")
    place = next((place for place, name in enumerate(table.names) if name.lower() == column), None)
    if place is None:
        there = ", ".join(quoted(name) for name in table.names[:_MOST_SHOWN])
        raise InputError(
            f"no column {column!r}; the columns are: {there}",
            fix="name the two columns (in JSON, the keys) 'prompt' and 'completion', then run prepare again",
        )
    return Remediation(
        (Note(FOUND, f"The column {column!r} is named {quoted(table.names[place])}."),),
        Action(NECESSARY, "rename_column", column),
        f"Rename it to {column!r}",
        lambda rest: Table((*rest.names[:place], column, *rest.names[place + 1 :]), rest.columns, rest.numbers),
    )


def extra_columns(table: Table) -> Remediation:
    """4. Columns other than prompt and completion are dropped."""
    extra = [name for name in table.names if name not in (PROMPT, COMPLETION)]
    if not extra:
        return Remediation()
    notes = [Note(FOUND, f"Extra columns: {', '.join(map(quoted, extra))}.")]
    doubled = [name for name in extra if name.lower().rstrip(".0123456789") in (PROMPT, COMPLETION)]
    if doubled:
        notes.append(Note(WARNING, f"{', '.join(map(quoted, doubled))}: duplicate column? Only the first is used."))
    return Remediation(
        tuple(notes),
        Action(NECESSARY, "drop_columns", extra),
        "Drop them: " + ", ".join(map(quoted, extra)),
        lambda rest: rest.only((PROMPT, COMPLETION)),
    )
