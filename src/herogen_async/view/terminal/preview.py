"""A preview: each answer of a few rows, written when it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from herogen_async.core.units import count, counted
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.report import RunReport
from herogen_async.specs.plan import Plan
from herogen_async.view.terminal.failure_lines import cell_text
from herogen_async.view.terminal.plain import live_line
from herogen_async.view.terminal.plain_lines import unseen
from herogen_async.view.terminal.row_lines import answer_lines

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

QUIET_S = 2.0  # without an answer: from then on a person wonders whether anything happens
QUIET_LINES_S = 15.0  # between the lines that follow


class PreviewView(Observer[CallEnded, RunReport]):
    """Writes to `tell` the answers to the calls of `plan`, and to `write` what else there is to say: where it stands,
    too, if no answer comes for a while. `rows` are those of which answers came.

    Of several rows at work each answer comes as it is there: where it is of another row than the one before, its row
    is named again.
    """

    def __init__(
        self,
        plan: Plan,
        tell: Callable[[str], None],
        write: Callable[[str], None],
        on_weights: OnProgress = unseen,
    ) -> None:
        self._write = write
        self._on_weights = on_weights
        self._plan = plan
        self._tell = tell
        self._row: int | None = None  # the one that was named last
        self._next_s: float | None = None  # when it is said where it stands
        self.rows: set[int] = set()

    def notice(self, line: str, /) -> None:
        """A line."""
        self._write(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """Drawn by whoever draws them."""
        self._on_weights(progress)

    def state(self, report: RunReport, /) -> None:
        """A line where no answer came for a while."""
        if report.state != "running":
            return
        if self._next_s is None:
            self._next_s = report.elapsed_s + QUIET_S
        elif report.elapsed_s >= self._next_s:
            self._next_s = report.elapsed_s + QUIET_LINES_S
            self._write(live_line(report))

    def call_ended(self, record: CallEnded, /) -> None:
        """What it was answered, or why it failed."""
        plan = self._plan
        self._next_s = None
        row, place = divmod(record.index, plan.calls_a_row)
        self.rows.add(row)
        if row != self._row:
            self._row = row
            cell_index, repeat = divmod(row, plan.repeats)
            which = f", repeat {repeat + 1}" if repeat else ""
            self._tell("")
            self._tell(f"Row {count(row)} ({cell_text(plan.cells.told(cell_index))}{which})")
        shape = plan.shape.calls[place]
        name, said = shape.name if plan.has_columns else "", record.completion
        more = (None, None) if said is None else (said.reasoning, said.extra)
        for line in answer_lines(name, _said(record), _text(record, plan), reasoning=more[0], extra=more[1]):
            self._tell(line)


def _said(record: CallEnded) -> str:
    if record.completion is None:
        kind = "failed" if record.error is None else f"failed ({record.error.kind})"
        return f"{kind} after {counted(record.attempts, 'attempt')}"
    tokens = (record.completion.usage or {}).get("completion_tokens")
    return "" if not isinstance(tokens, int) else counted(tokens, "token")


def _text(record: CallEnded, plan: Plan) -> str:
    if record.completion is None:
        return "" if record.error is None else record.error.message
    form = plan.column_at(record.index).form
    return record.completion.text if form is None else form.read(record.completion.text).text
