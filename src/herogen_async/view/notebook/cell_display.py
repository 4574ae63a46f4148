"""An observer that shows a run in the notebook's cell that started it: one display, updated in its place.

1. It is made by the first thing there is to show, so a mistake in the call leaves no empty bar behind.
2. A display that fails is given up in silence: a run that is paid for does not fail for a page that was closed.
"""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from herogen_async.core.markup import html_table, html_text
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.report import RunReport
from herogen_async.view.terminal.column_lines import column_cells
from herogen_async.view.terminal.plain import live_line, summary_lines
from herogen_async.view.terminal.progress import bar_text, parts_of

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress

_NOTICES = 5  # the last ones: a run of days has many
_COLUMNS = 12
_ANSWER = 160  # characters of the answer that came last
_QUIET = 'style="opacity:.7;overflow-wrap:anywhere"'


class CellDisplay(Observer[CallEnded, RunReport]):
    """The display of one run. Needs IPython in a kernel: see `in_kernel`."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._is_broken = False
        self._notices: deque[str] = deque(maxlen=_NOTICES)
        self._head = ""  # what was drawn last, without the notices
        self._line = ""

    def state(self, report: RunReport, /) -> None:
        """The bar, the figures and the latest answer; at the end what the run came to."""
        lines = [live_line(report)] if report.state == "running" else summary_lines(report)
        self._head = _bar(report.run, bar_text(report), *parts_of(report)) + "".join(map(_quiet, lines))
        if report.columns:
            headings, rows = column_cells(report, _COLUMNS)
            self._head += html_table(headings, rows, numbers=range(1, len(headings)))
        if report.state == "running" and report.latest is not None:
            self._head += _quiet(_latest(*report.latest))
        self._line = f"{report.run}: {lines[0]}"
        self._draw()

    def notice(self, line: str, /) -> None:
        """A sentence below the bar."""
        self._notices.append(line)
        self._draw()

    def weights(self, progress: WeightsProgress, /) -> None:
        """A bar of their own, before the run's."""
        done, total = progress.done_bytes, progress.total_bytes
        told = f"{progress.phase}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        self._head = _bar("Weights of the embedded model", told, done, total)
        self._line = f"Weights of the embedded model: {told}"
        self._draw()

    def _draw(self) -> None:
        if self._is_broken:
            return
        html = f'<div style="max-width:60em">{self._head}{"".join(map(_quiet, self._notices))}</div>'
        plain = "\n".join(filter(None, (self._line, *self._notices)))
        try:
            self._show({"text/html": html, "text/plain": plain})
        except Exception:  # rule 2
            self._is_broken = True

    def _show(self, content: dict[str, str]) -> None:
        if self._handle is not None:
            self._handle.update(content, raw=True)
            return
        self._handle = sys.modules["IPython"].display.display(content, raw=True, display_id=True)


def in_kernel() -> bool:
    """Whether this is a notebook's kernel, which IPython tells; a terminal's IPython shows no HTML."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    with contextlib.suppress(Exception):  # half imported, or another module of that name
        return getattr(ipython.get_ipython(), "kernel", None) is not None
    return False


def _bar(name: str, told: str, done: int, total: int) -> str:
    return (
        f'<div style="display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1em"><b>{html_text(name)}</b>'
        f'<span style="font-variant-numeric:tabular-nums">{html_text(told)}</span></div>'
        f'<progress style="width:100%" value="{done}" max="{max(total, 1)}">{html_text(told)}</progress>'
    )


def _quiet(line: str) -> str:
    return f"<div {_QUIET}>{html_text(line)}</div>"


def _latest(cell: dict[str, str], text: str) -> str:
    said = " ".join(text[: 2 * _ANSWER].split())
    said = said if len(said) <= _ANSWER else said[: _ANSWER - 1] + "…"
    return f"{', '.join(cell.values())}: {said}"
