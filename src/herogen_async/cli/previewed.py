"""The rows of a preview: their calls, and what is there of them already."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from herogen_async.specs.plan import Plan


class Previewed(NamedTuple):
    """The calls whose answers are shown as they come, and what is there of the preview's rows already, as lines.

    `open_rows` are those of which that is only known once the run has taken up its spec.
    """

    plan: Plan
    known: list[str]
    open_rows: list[int]


def previewed_rows(
    spec: Path | None, run: str | None, count: int, endpoint: str | None, model: str | None, settings: Mapping[str, Any]
) -> Previewed:
    """The rows of `run --preview COUNT`; `settings` are those given. Raises InputError, RunFolderError, DamageError."""
    from herogen_async.generation.run_folder import find_run, read_manifest
    from herogen_async.generation.run_request import read_spec
    from herogen_async.generation.settings import Settings, changed_settings, check_settings
    from herogen_async.specs.plan import Plan

    read = read_spec(spec)
    plan = Plan(read, endpoint=endpoint or read.endpoint, model=model or read.model or "")
    folder = find_run(run or read.name)
    if not folder.is_run or not folder.has_lines:
        return Previewed(plan, [], [])
    held = read_manifest(folder)
    asked = changed_settings(Settings(shard=held.settings.shard), settings)
    check_settings(asked)
    chosen = plan.spread(count, plan.rows_asked(asked.limit, asked.part))
    if held.spec != read.as_dict():
        return Previewed(plan, [], chosen)
    return Previewed(plan, [*kept_lines(folder.path, chosen)], [])


def kept_lines(run: Path, wanted: Collection[int]) -> Iterator[str]:
    """Those of the `wanted` rows that a run has, as a person reads them."""
    from herogen_async.data.dataset import RunRows
    from herogen_async.view.terminal import row_lines

    rows = RunRows(run)
    there = set(rows.numbers())
    for number in wanted:
        if number in there:
            yield from ("", *row_lines(rows.row(number)))
