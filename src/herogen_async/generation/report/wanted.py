"""The figures of a run that wants so many accepted rows, and the sentences about them. Pure."""

from __future__ import annotations

from herogen_async.core.units import count, counted
from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows


def accepted_of(rows: WantedRows | None) -> int | None:
    """How many of the wanted rows there are."""
    return None if rows is None else rows.accepted


def wanted_of(rows: WantedRows | None) -> int | None:
    """How many are wanted."""
    return None if rows is None else rows.wanted


def most_of(rows: WantedRows | None) -> int | None:
    """How many rows may be asked."""
    return None if rows is None else rows.most


def outcomes_of(rows: WantedRows | None) -> dict[str, int]:
    """Rows that have ended, by what they came to."""
    return {} if rows is None else {outcome.value: rows.outcomes[outcome] for outcome in RowOutcome}


def too_few_text(rows: WantedRows) -> str:
    """Why a run that has nothing left to ask has too few."""
    are = "is" if rows.accepted == 1 else "are"
    shares = ", ".join(
        f"{many / rows.ended:.1%} {outcome.value}" for outcome in RowOutcome if (many := rows.outcomes[outcome])
    )
    return (
        f"{count(rows.accepted)} of the {counted(rows.wanted, 'wanted row')} {are} accepted, and no row is left to "
        f"request: of {counted(rows.ended, 'row')}, {shares}"
    )
