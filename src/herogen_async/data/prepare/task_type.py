"""Guesses the task of a data set."""

from __future__ import annotations

from herogen_async.data.prepare.records import Table

OPEN_ENDED = "open-ended generation"
CLASSIFICATION = "classification"
CONDITIONAL = "conditional generation"

_ROWS_A_CLASS = 3  # with more rows than that per distinct completion, completions are labels


def task_of(table: Table) -> str:
    """OPEN_ENDED if all prompts are empty, CLASSIFICATION if completions repeat, else CONDITIONAL."""
    if not any(table.prompts):
        return OPEN_ENDED
    return CLASSIFICATION if len(set(table.completions)) * _ROWS_A_CLASS < len(table) else CONDITIONAL
