"""Runs that show their progress in the notebook's cell that starts them; elsewhere only who asks for it is told."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from herogen_async.generation.report import RunReport
from herogen_async.generation.session import aresume, arun, resume, run
from herogen_async.view.notebook.cell_display import CellDisplay, in_kernel

Given = ParamSpec("Given")


def _shown(function: Callable[Given, RunReport]) -> Callable[Given, RunReport]:
    @functools.wraps(function)
    def shown(*args: Given.args, **options: Given.kwargs) -> RunReport:
        display = _added_display(options)
        report = function(*args, **options)
        return _ended(report, display)

    return shown


def _shown_async(
    function: Callable[Given, Coroutine[Any, Any, RunReport]],
) -> Callable[Given, Coroutine[Any, Any, RunReport]]:
    @functools.wraps(function)
    async def shown(*args: Given.args, **options: Given.kwargs) -> RunReport:
        display = _added_display(options)
        report = await function(*args, **options)
        return _ended(report, display)

    return shown


def _added_display(options: dict[str, object]) -> CellDisplay | None:
    """The cell's display, now in `options`; None where the caller watches, and outside of a notebook."""
    if options.get("watch") is not None or not in_kernel():
        return None
    display = CellDisplay()
    options["watch"] = display
    return display


def _ended(report: RunReport, display: CellDisplay | None) -> RunReport:
    if display is not None:
        display.state(report)
    return report


shown_run = _shown(run)
shown_resume = _shown(resume)
shown_arun = _shown_async(arun)
shown_aresume = _shown_async(aresume)
