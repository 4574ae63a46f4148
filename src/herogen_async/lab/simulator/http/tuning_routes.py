"""Files and fine-tuning jobs over HTTP: routes, faults after the fact, and answers that are given twice alike."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from multipart import parse_options_header

from herogen_async.core import codec
from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request
from herogen_async.lab.simulator.completions.responses import error_body
from herogen_async.lab.simulator.faults import AT_WORK, JOB_REFUSALS, SLOW_ANSWER_S
from herogen_async.lab.simulator.finetuning.service import ApiResponse, TuningService
from herogen_async.lab.simulator.finetuning.uploads import PART_LIMIT
from herogen_async.lab.simulator.http.connection import Abandon, Connection
from herogen_async.lab.simulator.http_request import REQUEST_BODY_LIMIT, HttpRequest

RouteHandler = Callable[[HttpRequest, float], ApiResponse]

_PLACES = {"files": 1, "uploads": 1, "fine_tuning": 2}  # where a path that begins so has its name
_JSON, _BYTES = "application/json", "application/octet-stream"
_FORM_ROOM = 64 << 10  # bytes of a form around its file
_MOST_KEYS = 1000
_BEFORE = {
    "create_file": ("upload_unavailable",),
    "complete_upload": ("upload_unavailable",),
    "create_job": ("not_available", "create_unavailable", "file_not_ready"),
}
_UPLOADED = ("upload_500", "upload_reset", "upload_slow")
_AFTER = {
    "create_file": _UPLOADED,
    "complete_upload": _UPLOADED,
    "create_job": ("create_500", "create_reset", "create_slow"),
}


class TuningRoutes:
    """Answers what begins with /v1/files, /v1/uploads and /v1/fine_tuning. `now` is in seconds since 1970."""

    def __init__(self, service: TuningService, now: Callable[[], float], next_name: Callable[[], str]) -> None:
        self.service = service
        self._now = now
        self._next_name = next_name
        self._given: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()  # key -> (the request's digest, answer)
        self._routes: dict[tuple[str, str], RouteHandler] = {
            ("POST", "files"): service.create_file,
            ("GET", "files"): service.list_files,
            ("GET", "files/*"): service.get_file,
            ("DELETE", "files/*"): service.delete_file,
            ("GET", "files/*/content"): service.file_content,
            ("POST", "uploads"): service.create_upload,
            ("POST", "uploads/*/parts"): service.add_part,
            ("POST", "uploads/*/complete"): service.complete_upload,
            ("POST", "uploads/*/cancel"): service.cancel_upload,
            ("POST", "fine_tuning/jobs"): service.create_job,
            ("GET", "fine_tuning/jobs"): service.list_jobs,
            ("GET", "fine_tuning/jobs/*"): service.get_job,
            ("POST", "fine_tuning/jobs/*/cancel"): service.cancel_job,
            ("POST", "fine_tuning/jobs/*/pause"): service.pause_job,
            ("POST", "fine_tuning/jobs/*/resume"): service.resume_job,
            ("GET", "fine_tuning/jobs/*/events"): service.job_events,
            ("GET", "fine_tuning/jobs/*/checkpoints"): service.job_checkpoints,
        }

    def is_tuned(self, model: str) -> bool:
        """Whether a job here made that model."""
        return model in self.models()

    def models(self) -> list[str]:
        """The models that jobs here made, oldest first."""
        self.service.advance(self._now())
        return list(self.service.jobs.models())

    def methods(self, path: str) -> list[str]:
        """What may be done at that path."""
        shape = _shape(path)
        return sorted(method for method, other in self._routes if other == shape)

    def room(self, url: bytes) -> int:
        """How many bytes a request to that URL may have."""
        path = url.split(b"?", 1)[0]
        if path == b"/v1/files":
            return self.service.files.limit + _FORM_ROOM
        if path.startswith(b"/v1/uploads/") and path.endswith(b"/parts"):
            return PART_LIMIT + _FORM_ROOM
        return REQUEST_BODY_LIMIT

    def find(self, request: HttpRequest) -> Callable[[HttpRequest, Connection], Abandon | None] | None:
        """The handler of the request; None: no tuning route."""
        route = self._routes.get((request.method, _shape(request.path)))
        if route is None:
            return None
        return lambda request, connection: self._answer(route, request, connection)

    def _answer(self, route: RouteHandler, request: HttpRequest, connection: Connection) -> Abandon | None:
        now, name = self._now(), route.__name__
        self.service.advance(now)
        key = request.header("idempotency-key") if request.method == "POST" else ""
        digest = _digest(request) if key else b""
        if key in self._given:
            self._repeat(connection, *self._given[key], digest)
            return None
        refused = self.service.meets(*_BEFORE.get(name, ()))
        if refused is not None:
            raise Unreadable(JOB_REFUSALS[refused])
        answer = route(request, now)
        body = answer if isinstance(answer, bytes) else codec.dumps(answer)
        if key:
            self._given[key] = digest, body
            if len(self._given) > _MOST_KEYS:
                self._given.popitem(last=False)
        fault = self.service.meets(*_AFTER.get(name, ()))
        return self._tell(connection, body, _BYTES if isinstance(answer, bytes) else _JSON, fault)

    def _tell(self, connection: Connection, body: bytes, kind: str, fault: str | None) -> Abandon | None:
        headers = f"x-request-id: {self._next_name()}\r\ncontent-type: {kind}\r\n"
        if fault in ("upload_reset", "create_reset"):
            connection.reset()
        elif fault in ("upload_500", "create_500"):
            connection.respond(500, headers, error_body(AT_WORK["500"]))
        elif fault in ("upload_slow", "create_slow"):
            loop = asyncio.get_running_loop()
            return loop.call_later(SLOW_ANSWER_S, connection.respond, 200, headers, body).cancel
        else:
            connection.respond(200, headers, body)
        return None

    def _repeat(self, connection: Connection, known: bytes, body: bytes, digest: bytes) -> None:
        """The same key: the same answer. A job is told as it was, not as it is now."""
        if digest != known:
            message = "This idempotency key was already used with a different request."
            raise Unreadable(bad_request(message, code="idempotency_key_reused"))
        self.service.counted["repeated_keys"] += 1
        self._tell(connection, body, _JSON, None)


def _shape(path: str) -> str:
    """The path with a star for the name in it."""
    parts = path.removeprefix("/v1/").split("/") if path.startswith("/v1/") else [""]
    place = _PLACES.get(parts[0], 0)
    if place and len(parts) > place and parts[place]:
        parts[place] = "*"
    return "/".join(parts)


def _digest(request: HttpRequest) -> bytes:
    """What a request asks for; a form's boundary is drawn anew each time that it is sent."""
    _, options = parse_options_header(request.header("content-type"))
    boundary = options.get("boundary", "").encode()
    body = request.body.replace(boundary, b"") if boundary else request.body
    return blake2b(request.path.encode() + b"\n" + body).digest()
