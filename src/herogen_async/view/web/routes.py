"""What the page can ask: a few addresses, each an answer in JSON, and the page's own files.

| address | answers |
|---|---|
| `GET /` | the page |
| `GET /static/FILE` | a file of the page |
| `GET /api/runs`, `GET /api/runs/RUN` | the runs; the figures of one, for the list |
| `GET /api/run/RUN/about` | what a run asks, and what its rows can be filtered by |
| `GET /api/run/RUN/live` | its figures each second, as server-sent events: `report`, `gone`, `trouble` |
| `GET /api/run/RUN/pace` | answers over time |
| `GET /api/run/RUN/rows` | a page of rows: `start, count, order`, and what `RowFilter` has; `cell=NAME=VALUE` |
| `GET /api/run/RUN/row/N`, `.../versions` | a row whole; its answers that don't count |
| `POST /api/run/RUN/marks` | set a mark |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from herogen_async.core import codec
from herogen_async.core.errors import DiskError, HerogenError, InputError, RunFolderError
from herogen_async.data.row_pages import RowFilter, bound_of
from herogen_async.view.web.control_routes import control_routes
from herogen_async.view.web.coverage_routes import coverage_routes
from herogen_async.view.web.json_requests import json_answer, json_body, told_refusal
from herogen_async.view.web.open_run import OpenRun
from herogen_async.view.web.playground_routes import playground_routes
from herogen_async.view.web.quality_routes import quality_routes
from herogen_async.view.web.run_list import RunList
from herogen_async.view.web.static_files import static_files
from herogen_async.view.web.tune_routes import tune_routes

LIVE_EVERY_S = 1.0  # a run's own figures are published once a second
_AFTER_TROUBLE_S = 5.0
_SOON_S = 0.3  # within which the rows of most runs are read; a page that waits longer shows the last ones meanwhile
_MOST_BODY = 4 << 20  # bytes of a mark: an edited answer
_NAMED = ("state", "finish", "kind", "mark", "accepted", "finding", "figure")  # of a filter, as a query names them
_STATUSES = ((RunFolderError, 404), (InputError, 400), (DiskError, 507))  # of refusals; the first that fits
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_routes(runs: RunList, is_ending: Callable[[], bool]) -> Starlette:
    """The application. `is_ending` says whether the server stops: then no answer goes on."""
    page = _Page(runs, is_ending)
    return Starlette(
        routes=[
            Route("/", page.index),
            Route("/static/{file:path}", page.static),
            Route("/api/runs", page.listed),
            Route("/api/runs/{run}", page.counted),
            Route("/api/run/{run}/about", page.about),
            Route("/api/run/{run}/live", page.live),
            Route("/api/run/{run}/pace", page.pace),
            Route("/api/run/{run}/rows", page.rows),
            Route("/api/run/{run}/row/{number:int}", page.row),
            Route("/api/run/{run}/row/{number:int}/versions", page.versions),
            Route("/api/run/{run}/marks", page.mark, methods=["POST"]),
            *control_routes(runs),
            *coverage_routes(page.told),
            *quality_routes(runs),
            *tune_routes(runs),
            *playground_routes(runs, is_ending),
        ],
        exception_handlers={HerogenError: _refused, HTTPException: _not_found},
    )


class _Page:
    def __init__(self, runs: RunList, is_ending: Callable[[], bool]) -> None:
        self._runs = runs
        self._is_ending = is_ending
        self._static = static_files()
        self._reading: dict[OpenRun, asyncio.Future[Any]] = {}

    async def index(self, _: Request) -> Response:
        return self._file("index.html")

    async def static(self, request: Request) -> Response:
        return self._file(request.path_params["file"])

    async def listed(self, _: Request) -> Response:
        return json_answer(await asyncio.to_thread(self._runs.listed))

    async def counted(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(self._runs.counted, request.path_params["run"]))

    async def about(self, request: Request) -> Response:
        return await self.told(request, OpenRun.about)

    async def pace(self, request: Request) -> Response:
        return await self.told(request, OpenRun.pace)

    async def rows(self, request: Request) -> Response:
        query = request.query_params
        wanted, order = row_filter(query.multi_items()), query.get("order", "grid")
        start, count = _whole(query.get("start", "0")), _whole(query.get("count", "50"))
        run = await self._read(request, wait=False)
        if not run.pages.is_ready:
            return json_answer(await asyncio.to_thread(run.first_rows))
        return json_answer(await asyncio.to_thread(run.rows, wanted, order=order, start=start, count=count))

    async def row(self, request: Request) -> Response:
        return await self.told(request, OpenRun.row, request.path_params["number"])

    async def versions(self, request: Request) -> Response:
        return await self.told(request, OpenRun.versions, request.path_params["number"])

    async def mark(self, request: Request) -> Response:
        return await self.told(request, OpenRun.mark, await json_body(request, _MOST_BODY))

    async def live(self, request: Request) -> Response:
        run = await asyncio.to_thread(self._runs.open, request.path_params["run"])
        return StreamingResponse(self._events(run), media_type="text/event-stream")

    async def _events(self, run: OpenRun) -> AsyncIterator[bytes]:
        while not self._is_ending():
            try:
                told = codec.dumps(await asyncio.to_thread(run.report))
                event = b"report"
            except HerogenError as error:
                event = b"gone" if isinstance(error, RunFolderError) else b"trouble"
                told = codec.dumps(told_refusal(error))
            # Said again although nothing changed, the page knows that it is not the connection that is dead.
            yield b"event: %b\ndata: %b\n\n" % (event, told)
            if event == b"gone":
                return
            # A journal with damage is read from its begin each time.
            await asyncio.sleep(LIVE_EVERY_S if event == b"report" else _AFTER_TROUBLE_S)

    async def told(self, request: Request, what: Callable[..., dict[str, Any]], *of: Any) -> Response:
        """What a function of an OpenRun tells of the run that is asked for, once its journal was read."""
        run = await self._read(request, wait=True)
        return json_answer(await asyncio.to_thread(what, run, *of))

    async def _read(self, request: Request, *, wait: bool) -> OpenRun:
        """The run that is asked for. Its journal is being read from then on; `wait`: it was, else perhaps not yet."""
        run = await asyncio.to_thread(self._runs.open, request.path_params["run"])
        if run.pages.is_ready:
            return run
        reading = self._reading.get(run)
        if reading is None:
            reading = asyncio.get_running_loop().run_in_executor(None, run.report)
            self._reading[run] = reading
        done, _ = await asyncio.wait({reading}, timeout=None if wait else _SOON_S)
        if done:
            self._reading.pop(run, None)
            reading.result()
        return run

    def _file(self, name: str) -> Response:
        data = self._static.get(name)
        kind = next((kind for end, kind in _KINDS.items() if name.endswith(end)), None)
        if data is None or kind is None:
            raise HTTPException(404)
        return Response(data, headers={"content-type": kind})


def row_filter(query: list[tuple[str, str]]) -> RowFilter:
    """What rows a query asks for. Raises InputError."""
    one = dict(query)
    cell = []
    for name, value in query:
        if name == "cell":
            attribute, equals, said = value.partition("=")
            if not equals:
                raise InputError(f"cell={value!r} is not NAME=VALUE", fix="give an attribute and its value")
            cell.append((attribute, said))
    named = {name: one.get(name) or None for name in _NAMED}
    least, most = bound_of(one.get("least", "")), bound_of(one.get("most", ""))
    return RowFilter(tuple(sorted(cell)), text=one.get("text", ""), least=least, most=most, **named)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InputError(f"{text!r} is not a whole number", fix="give one from 0 on")
    return int(text)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HerogenError)
    return json_answer(
        told_refusal(error), next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    )


def _not_found(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return json_answer({"error": "there is nothing here", "fix": "go back to the list of runs"}, status)
