"""The rows of a preview: their calls, and what is there of them already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from herogen_async.specs.plan import Plan


class Previewed(NamedTuple):
    """The calls whose answers are shown as they come, and the rows of a preview that are there already, as lines."""

    plan: Plan
    known: list[str]


def previewed_rows(
    spec: Path | None, run: str | None, count: int, endpoint: str | None, model: str | None, limit: int | None
) -> Previewed:
    """The rows of `run --preview COUNT`. Raises InputError, RunFolderError, DamageError."""
    from herogen_async.data.dataset import RunRows
    from herogen_async.generation.run_folder import find_run, read_manifest
    from herogen_async.generation.run_request import read_spec
    from herogen_async.specs.plan import Plan
    from herogen_async.view.terminal import row_lines

    read = read_spec(spec)
    plan = Plan(read, endpoint=endpoint or read.endpoint, model=model or read.model or "")
    folder = find_run(run or read.name)
    known: list[str] = []
    if folder.is_run and folder.has_lines and read_manifest(folder).spec == read.as_dict():
        rows = RunRows(folder.path)
        there = set(rows.numbers())
        for number in plan.spread(count, limit):
            if number in there:
                known += ["", *row_lines(rows.row(number))]
    return Previewed(plan, known)
