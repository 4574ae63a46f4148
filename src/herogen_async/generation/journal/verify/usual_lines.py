"""Lines of a segment that need nothing but to be taken in: whichever process looks at them finds the same.

All that can be said of a line without knowing others is looked at here. What `verify` has to say about any other line
it finds out itself, from the line.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.journal.read.scan import next_line, record_of
from herogen_async.generation.journal.record import ROW
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import Lineage, Plan
from herogen_async.specs.sources.cells import is_told

BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a segment: where they are, how many, and by which fingerprint lines skip their call.

    `indices` are in their order, as the lines have them; None where a line is unusual, or nobody has looked.
    """

    start: int
    stop: int
    lines: int = 0
    indices: array[int] | None = None
    skipped: dict[int, str] | None = None


def block_at(path: Path, lineage: Lineage, era: int, start: int, stop: int) -> Block:
    """The lines that begin in that range of a segment of that era. Raises OSError, RunFolderError, DamageError."""
    indices, skipped, is_usual, lines = array("Q"), dict[int, str](), True, 0
    with own_file(path) as file:
        file.seek(max(start - 1, 0))
        offset = first = start - 1 + len(next_line(file, path)) if start else 0
        while offset < stop and (raw := next_line(file, path)):
            record = record_of(raw) if is_usual else None
            if record is None or not raw.endswith(b"\n") or not _is_usual(record, lineage, era):
                is_usual = False
            else:
                if "skipped" in record:
                    skipped[lines] = record["skipped"]
                indices.append(record["index"])
            lines += 1
            offset += len(raw)
    return Block(first, offset, lines, indices if is_usual else None, skipped)


def _is_usual(row: dict[str, Any], lineage: Lineage, era: int) -> bool:
    plan = lineage.eras[era].plan
    if ROW.fault_of(row) is not None or not plan.owns(row) or row["index"] >> 64 or misplaced(row, plan) is not None:
        return False
    return not lineage.checks(era) or not (lineage.was_misfit(era, row) or lineage.is_misfit(era, row, is_cut))


def misplaced(row: dict[str, Any], plan: Plan) -> str | None:
    """What does not fit between a row's place and its words; its key was compared already."""
    cell, repeat = divmod(row["index"] // plan.calls_a_row, plan.repeats)
    if not is_told(plan.cells, cell, row["cell"]):
        return f"its cell is {row['cell']}, but task {row['index']} is {plan.cells.identity(cell)}"
    if row["repeat"] != repeat + 1:
        return f"its repeat is {row['repeat']}, but task {row['index']} is repeat {repeat + 1}"
    return None
