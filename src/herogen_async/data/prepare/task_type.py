"""What a data set seems to be for."""

from __future__ import annotations

from herogen_async.data.prepare.records import Table

OPEN_ENDED = "open-ended generation"
CLASSIFICATION = "classification"
CONDITIONAL = "conditional generation"

_ROWS_A_CLASS = 3  # with more rows than that for each different completion they are labels


def task_of(table: Table) -> str:
    """OPEN_ENDED where all prompts are empty, CLASSIFICATION where completions repeat, else CONDITIONAL."""
    if not any(table.prompts):
        return OPEN_ENDED
    return CLASSIFICATION if len(set(table.completions)) * _ROWS_A_CLASS < len(table) else CONDITIONAL
