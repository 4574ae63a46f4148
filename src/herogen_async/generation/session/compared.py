"""What the answers of a session are compared with, where a column has an `unlike`: read from the journal at first."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.generation.engine.near_copies import MOST_COMPARED, NearCopies
from herogen_async.generation.journal import LinePlaces, Recovered
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.specs.plan import Plan


def compared_answers(
    plan: Plan, found: Recovered, places: LinePlaces, reader: LineReader, *, notice: Callable[[str], None]
) -> dict[str, NearCopies]:
    """By column, the answers of earlier sessions that count and are no near copies, in the order written.

    `places` are those of their lines, which `reader` reads. Raises DamageError where one can't be read any more.
    """
    compared = {}
    for column in plan.columns:
        if column.unlike is not None:
            compared[column.name] = near = NearCopies(column.name, column.unlike, notice)
            lines = sorted(
                (segment, offset, index)
                for index, segment, offset in places
                if index % plan.calls_a_row in column.calls and index not in found.skipped
            )
            for segment, offset, index in lines[-MOST_COMPARED:]:
                row = reader.row_at(segment, offset)
                if not column.is_near_copy(row):
                    text = row["response_txt"]
                    near.add(index, text if column.form is None else column.form.read(text).text)
    return compared
