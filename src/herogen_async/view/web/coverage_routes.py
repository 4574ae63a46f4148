"""The coverage view: rows by the values of two attributes.

| address | answers |
|---|---|
| `GET /api/run/RUN/facets` | what rows can be counted by, and what not |
| `GET /api/run/RUN/coverage` | the table of the attributes `y` and `x`; `of=accepted`: also of accepted rows |

A table's `searched` says which share of it is counted: what is not yet, the next request counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.data.row_pages import ACCEPTED, RowCoverage
from herogen_async.data.row_pages.row_arrays import Numbers, RowFigure
from herogen_async.data.row_pages.row_coverage import MOST_LINES, MOST_SEEN_CELLS
from herogen_async.specs.sources.cells import records_of
from herogen_async.view.web.open_run import OpenRun

AnswerOf = Callable[..., Awaitable[Response]]
_COUNTS_S = 0.4  # of a request: what is counted until then is shown, and the next request goes on


def coverage_routes(told: AnswerOf) -> list[Route]:
    """The addresses of the coverage view; `told` answers with what a function tells of the run that is asked for."""
    held: WeakKeyDictionary[OpenRun, RowCoverage] = WeakKeyDictionary()

    async def facets(request: Request) -> Response:
        return await told(request, _facets)

    async def coverage(request: Request) -> Response:
        query = request.query_params
        y, x, of = query.get("y", ""), query.get("x") or None, query.get("of", "")
        return await told(request, _coverage, held, y, x, of == ACCEPTED)

    return [Route("/api/run/{run}/facets", facets), Route("/api/run/{run}/coverage", coverage)]


def _facets(run: OpenRun) -> dict[str, Any]:
    with run.reading() as pages:
        plan = pages.index.plan
        records = records_of(plan.cells)
        fields = () if records is None else records.records.fields
        return {
            "facets": {name: len(values) for name, values in plan.cells.facets.items()},
            "fields": [name for name in fields if name not in plan.cells.facets],
            "accepts": plan.keeping is not None and plan.keeping.accepts,
            "most_lines": MOST_LINES,
            "most_cells": MOST_SEEN_CELLS,
        }


def _are_accepted(figure: RowFigure, rows: Numbers) -> Numbers:
    return figure.of(rows) == 1


def _coverage(
    run: OpenRun, held: WeakKeyDictionary[OpenRun, RowCoverage], y: str, x: str | None, counts_accepted: bool
) -> dict[str, Any]:
    if x == y:
        raise InputError("the two attributes are the same", fix="choose another one")
    clock = MonotonicClock()
    with run.reading() as pages:
        known = pages.known
        coverage = held.get(run)
        if coverage is None or coverage.index is not pages.index or coverage.names != (y, x):
            coverage = held[run] = RowCoverage(pages.index, y, x)
        until = clock.now() + _COUNTS_S
        searched = coverage.read(lambda: clock.now() > until)
        accepted = None
        if counts_accepted and searched == 1.0:
            searched = min(known.read({ACCEPTED}, lambda: clock.now() > until))
            accepted = partial(_are_accepted, known.figure(ACCEPTED))
        return {**asdict(coverage.table(accepted)), "searched": searched}
