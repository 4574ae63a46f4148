"""The control view: what `ctl` can, through the run's own socket.

| address | answers |
|---|---|
| `GET /api/run/RUN/control` | the run's state and settings, or why it can't be controlled |
| `GET /api/run/RUN/control/changes` | what was changed, latest first |
| `POST /api/run/RUN/control` | carry out a command, as its line is over the socket; the state that it led to |

`at_work` is what the run itself replies; where nobody can be asked it is null, and `why` and `fix` say so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herogen_async.core.errors import HerogenError
from herogen_async.generation.control import SETTABLE, Command, ask
from herogen_async.generation.control.protocol import MOST_COMMAND, command_from
from herogen_async.generation.run_folder import RunFolder, read_events, read_manifest
from herogen_async.view.web.json_requests import json_answer, request_body
from herogen_async.view.web.run_list import RunList

_MOST_CHANGES = 20
_CHANGES = "controlled"  # the event of what `ctl` has changed
_ASKED_WITHIN_S = 3.0  # a run that is busy for longer is asked again by the page


def control_routes(runs: RunList) -> list[Route]:
    """The addresses of the control view."""

    def folder(request: Request) -> RunFolder:
        return runs.open(request.path_params["run"]).folder

    async def told(request: Request) -> Response:
        return json_answer(await asyncio.to_thread(lambda: _state(folder(request))))

    async def changes(request: Request) -> Response:
        return json_answer(await asyncio.to_thread(lambda: {"changes": _changes(folder(request))}))

    async def carry_out(request: Request) -> Response:
        # The very line that the run would read, by the same rules: a number that JSON can't hold is refused, not null.
        command = command_from(await request_body(request, MOST_COMMAND))
        return json_answer({"at_work": await asyncio.to_thread(lambda: ask(folder(request), command))})

    return [
        Route("/api/run/{run}/control", told),
        Route("/api/run/{run}/control", carry_out, methods=["POST"]),
        Route("/api/run/{run}/control/changes", changes),
    ]


def _state(folder: RunFolder) -> dict[str, Any]:
    manifest = read_manifest(folder)
    told: dict[str, Any] = {
        "settings": [
            {
                "name": each.name,
                "word": each.word,
                "help": each.help,
                "unit": each.unit,
                "may_be_none": each.default is None,
            }
            for each in SETTABLE.values()
        ],
        "columns": list(manifest.spec.get("columns", {})),
        "argument": folder.argument,
    }
    try:
        return {**told, "at_work": ask(folder, Command("status"), timeout_s=_ASKED_WITHIN_S)}
    except HerogenError as error:
        return {**told, "at_work": None, "why": error.message, "fix": error.fix}


def _changes(folder: RunFolder) -> list[dict[str, Any]]:
    latest = deque((each for each in read_events(folder) if each.get("event") == _CHANGES), _MOST_CHANGES)
    names = ("at", "what", "old", "new", "column")
    return [{name: each[name] for name in names if name in each} for each in reversed(latest)]
