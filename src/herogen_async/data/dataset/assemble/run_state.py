"""How far the run is that a data set was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from herogen_async.data.dataset.examples import ExampleCount, wanted_pending
from herogen_async.data.dataset.failures import latest_failures
from herogen_async.data.dataset.marked_rows import CuratedRows, MarksUsed
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.run_folder import is_held


@dataclass(frozen=True, slots=True)
class RunState:
    """Progress of the run: `rows` answers, `failed` calls, `pending` calls without an answer yet.

    `argument` is the run as given on the command line, `dataset` its folder for data sets. `running`: another process
    works on it now. `grid` calls there are in all, of a shard its own: a limit may keep some from being asked. `wanted`
    accepted rows are what the spec asks for, if it does: `pending` are then the rows that may change which ones are
    taken, or that are missing. `marks`: what people's marks did, where they were asked for; rows that these leave out
    are none of `rows`.
    """

    argument: str
    dataset: Path
    rows: int
    failed: int
    pending: int
    running: bool
    grid: int
    wanted: int | None = None
    marks: MarksUsed | None = None

    @classmethod
    def of(cls, rows: RunRows, count: ExampleCount) -> Self:
        """That of the run whose `rows` were read, all of which are counted."""
        plan, want = rows.plan, rows.spec.want
        failed = rows.found.rows_failed if rows.has_columns else len(latest_failures(rows))
        marks = rows.used if isinstance(rows, CuratedRows) else None
        done = len(rows) + (0 if marks is None else marks.left_out)
        settings = rows.manifest.settings
        asked = plan.rows_asked(settings.limit, settings.part)
        pending = max(rows.found.rows_in_all(asked) - done - failed, 0)
        return cls(
            argument=rows.folder.argument,
            dataset=rows.folder.dataset,
            rows=len(rows),
            failed=failed,
            pending=pending if want is None else wanted_pending(rows, count, failed),
            running=is_held(rows.folder),
            grid=plan.rows if settings.shard is None else len(asked),
            wanted=None if want is None else want.accepted,
            marks=marks,
        )

    @property
    def asked(self) -> int:
        """The calls that the run is to make, within its limit."""
        return self.rows + self.failed + self.pending + (0 if self.marks is None else self.marks.left_out)

    @property
    def go_on(self) -> str:
        """The command for what is pending."""
        return f"herogen-async {'status' if self.running else 'resume'} {self.argument}"
