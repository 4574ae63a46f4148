"""The quality view: what the checks of a data set find in a run's rows, before anything is trained.

| address | answers |
|---|---|
| `GET /api/run/RUN/quality` | what was found, how far a check is, whether rows have come since |
| `POST /api/run/RUN/quality` | `{"do": "check"}`, or `"stop"`; the same |
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herogen_async.core.errors import InputError
from herogen_async.view.web.json_requests import json_answer, json_body
from herogen_async.view.web.quality_check import QualityCheck
from herogen_async.view.web.run_list import RunList

_MOST = 1 << 10  # bytes


def quality_routes(runs: RunList) -> list[Route]:
    """The addresses of the quality view."""
    held: dict[str, QualityCheck] = {}

    def check(request: Request) -> QualityCheck:
        run = runs.open(request.path_params["run"])
        fresh = QualityCheck(run.folder)
        kept = held.setdefault(run.name, fresh)
        if kept is fresh:
            runs.ending.callback(kept.stop)
        return kept

    def carried_out(request: Request, do: object) -> dict[str, Any]:
        of = check(request)
        if do == "check":
            of.start()
        elif do == "stop":
            of.stop()
        elif do is not None:
            raise InputError(f"unknown action {do!r}", fix="valid: check, stop")
        return of.state()

    async def told(request: Request) -> Response:
        return json_answer(await asyncio.to_thread(carried_out, request, None))

    async def act(request: Request) -> Response:
        said = await json_body(request, _MOST)
        return json_answer(await asyncio.to_thread(carried_out, request, said.get("do", "")))

    return [
        Route("/api/run/{run}/quality", told),
        Route("/api/run/{run}/quality", act, methods=["POST"]),
    ]
