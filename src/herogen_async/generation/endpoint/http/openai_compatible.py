"""`completions` and `chat` at any OpenAI-compatible base URL.

The `openai` client builds the call once: URL, authorization, organization, headers, Azure's ways. What it built is
taken down at its own transport and used for every row of the run; a row's body goes through one of the transports
and comes back as raw bytes. The SDK's machinery costs 2.3 ms of CPU a call; the event loop's own transports (no proxy)
0.02 to 0.04, the Rust one (proxies) 0.05 to 0.09. On a 401 the call is built anew, once: keys that expire
are the SDK's business.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import quote

from herogen_async.core import codec
from herogen_async.core.errors import FILTER_CODES, BadAnswer, ConnectionFailed, EndpointError, EndpointRefused
from herogen_async.generation.endpoint import Completion, Request, Unanswered
from herogen_async.generation.endpoint.event_stream import TextPieces
from herogen_async.generation.endpoint.http.plain_connection import PlainConnection, as_response
from herogen_async.generation.endpoint.http.plain_transport import PlainTransport
from herogen_async.generation.endpoint.http.rate_headers import readings_from
from herogen_async.generation.endpoint.http.transport import HttpResponse, Transport, TransportFor
from herogen_async.generation.endpoint.http.turn_answers import RawAnswer, TurnAnswers
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_body import RequestBody
from herogen_async.generation.endpoint.request_template import BuiltCall, build_call
from herogen_async.generation.endpoint.sound_answer import HeaderShape, sound_answer
from herogen_async.generation.endpoint.target import KEY_ENV, Server, is_proxied
from herogen_async.generation.endpoint.translate import completion_from, error_from

_PATHS = {"completions": "/completions", "chat": "/chat/completions"}

MOST_SHAPES = 64  # of headers
# Answers that may mean: this server does not know what asks for a form.
_REFUSALS = frozenset((400, 415, 422, 501))
_FORM_WORDS = re.compile(r"response_format|json_schema|structured|guided|grammar|schema|choice|regex", re.IGNORECASE)


@dataclass(slots=True)
class _Route:
    """How questions of a column are sent, and how their answers are read.

    `free` is the body without what asks for a form, where `body` does.
    """

    is_chat: bool
    path: str
    body: RequestBody
    free: RequestBody | None = None


@dataclass(slots=True)
class _Begun:
    """A call without a task that waits: its tag, what was asked, where and by which built call, and whether for a
    form.
    """

    tag: object
    request: Request
    transport: PlainTransport
    call: BuiltCall
    in_form: bool


class OpenAICompatible:
    """A `TurnEndpoint`. Use as an async context manager; connections are reused, one a call in flight."""

    def __init__(
        self,
        server: Server,
        *,
        kind: str,
        model: str,
        sampling: Mapping[str, Any],
        concurrency: int,
        timeout_s: float,
        transport_for: TransportFor | None = None,
        columns: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType({}),
        forms: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`kind` and `sampling` are those of every question, but for the ones of `columns`, which have their own.

        `forms` is by column what asks the server to keep to a form; where it refuses that, which `on_notice` is told,
        questions are sent without it.
        """
        self._server = server
        asked: dict[str | None, tuple[str, Mapping[str, Any]]] = {None: (kind, sampling)}
        asked.update(columns)
        self._routes = {
            name: _Route(own == "chat", _PATHS[own], RequestBody(own, model, its_sampling))
            for name, (own, its_sampling) in asked.items()
        }
        for name, form in forms.items():
            route, (own, its_sampling) = self._routes[name], asked[name]
            route.free, route.body = route.body, RequestBody(own, model, {**form, **its_sampling})
        self._on_notice = on_notice
        self._takes_forms = False  # as an answer has shown, or a refusal that was about something else
        self._trying = asyncio.Lock()  # all that are in flight are refused together: one of them finds out
        self._path = _PATHS[kind]  # of the call that is built
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._transport_for = transport_for or choose_transport
        self._redact = Redactor()
        self._rebuilding = asyncio.Lock()
        self._call = BuiltCall("", {})
        self._urls: dict[str, str] = {}  # of the built call, by path
        self._heads: dict[str, bytes] = {}  # of its requests, likewise
        self._by_turns: PlainTransport | None = None  # the transport that is used, where it can
        self.on_turn: Callable[[], None] = lambda: None
        self._answers: TurnAnswers[PlainConnection] | None = None
        self._shapes: dict[tuple[bytes, ...], HeaderShape] = {}  # a server has a handful
        self._transports: list[Transport] = []  # the last one is used; those before it may still have calls in flight

    async def __aenter__(self) -> Self:
        self._answers = TurnAnswers(self._turn_came)
        await self._build_call(starting=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._transports:
            await self._transports.pop().close()

    async def complete(self, request: Request) -> Completion:
        """Ask once. Raises an EndpointError; after a 401 once more, if the SDK now builds another authorization."""
        asking = self._complete(request)
        return await (asking if self._routes[request.column].free is None else self._in_form(request, asking))

    async def _in_form(self, request: Request, asking: Coroutine[Any, Any, Completion]) -> Completion:
        """What `asking` for a form comes to; where the server seems to refuse that, once more without it."""
        try:
            completion = await asking
        except EndpointError as refused:
            if refused.code in FILTER_CODES or not self._may_be_about_forms(refused):
                raise
            async with self._trying:
                return await self._complete_freely(request, refused)
        self._takes_forms = True
        return completion

    def _may_be_about_forms(self, refused: EndpointError) -> bool:
        if _FORM_WORDS.search(refused.message) is not None:
            return refused.status is not None and 400 <= refused.status < 600
        return refused.status in _REFUSALS and not self._takes_forms

    async def _complete_freely(self, request: Request, refused: EndpointError) -> Completion:
        route = self._routes[request.column]
        if route.free is None:  # another call has found it out meanwhile
            return await self._complete(request)
        if not self._may_be_about_forms(refused):
            raise refused
        answer = await self._transport.exchange(
            "POST", self._urls[route.path], route.free.as_sent(request), timeout_s=request.timeout_s
        )
        try:
            completion = self.read(answer, request.column)
        except EndpointError:
            self._takes_forms = True  # what was refused was not about the form
            raise
        names = ", ".join(repr(name) for name, each in self._routes.items() if each.free is not None)
        for each in self._routes.values():
            if each.free is not None:
                each.body, each.free = each.free, None
        self._on_notice(
            f"The server refuses to constrain the answers of {names} ({refused.message}); "
            "they are checked all the same."
        )
        return completion

    async def _complete(self, request: Request, failed: Unanswered | None = None) -> Completion:
        used: BuiltCall = self._call if failed is None else failed.context[0].call
        try:
            answer = await (self.ask_raw(request) if failed is None else self._ask_again(request, failed))
            return self.read(answer, request.column)
        except EndpointRefused as refused:
            if refused.status != 401:
                raise
            async with self._rebuilding:  # all calls in flight fail together: one of them asks for a new key
                if self._call is used:
                    await self._build_call()
            if self._call == used:
                raise
        return self.read(await self.ask_raw(request), request.column)

    # -- by turns of the loop ----------------------------------------------------------------------------------

    def begin(self, calls: Sequence[tuple[Request, object]]) -> Sequence[object]:
        """Send on warm connections, and wait for nothing: see `TurnEndpoint`."""
        transport = self._by_turns
        if transport is None or self._answers is None:
            return ()
        messages = []
        for request, tag in calls:
            if request.timeout_s is not None:
                break
            route = self._routes[request.column]
            begun = _Begun(tag, request, transport, self._call, route.free is not None)
            try:
                messages.append((self._heads[route.path], route.body.as_sent(request), begun))
            except Exception:
                break  # of this one call: `complete` raises it again, where no other call is
        return transport.begin(messages, self._answers)

    def take(self) -> list[tuple[Any, Completion | Unanswered]]:
        """What came of all that was begun, read."""
        came = [] if self._answers is None else self._answers.take()
        connections = [connection for connection, _ in came]
        for transport in {connection.question.transport for connection in connections}:
            transport.end([each for each in connections if each.question.transport is transport])
        tells_limits = len(came) - 1  # of those that came together the last one: all say nearly the same
        return [
            (connection.question.tag, self._read_or_not(connection, said, tells_limits=place == tells_limits))
            for place, (connection, said) in enumerate(came)
        ]

    def _read_or_not(
        self, connection: PlainConnection, said: RawAnswer | EndpointError, *, tells_limits: bool
    ) -> Completion | Unanswered:
        begun: _Begun = connection.question
        if not isinstance(said, EndpointError):
            try:
                return self._read_raw(said, begun, tells_limits=tells_limits)
            except EndpointError as error:
                # By their traceback it would hold all that came in this turn.
                error.__context__ = None
                said = error.with_traceback(None)
            except Exception as bug:
                return Unanswered(bug, (begun, None))
        again = isinstance(said, ConnectionFailed) and begun.transport.may_send_again(connection)
        return Unanswered(said, (begun, connection if again else None))  # else it is another call's by then

    def _turn_came(self) -> None:
        self.on_turn()

    def drop(self, begun: object) -> None:
        """Close the connection that the answer would come on."""
        if isinstance(begun, PlainConnection):
            begun.question.transport.drop(begun)

    async def recover(self, request: Request, unanswered: Unanswered) -> Completion:
        """As `complete` goes on: once more on a fresh connection, with a new key, or without a form."""
        asking = self._complete(request, unanswered)
        return await (self._in_form(request, asking) if unanswered.context[0].in_form else asking)

    async def _ask_again(self, request: Request, failed: Unanswered) -> HttpResponse:
        begun, broken = failed.context
        if broken is None:
            failed.raise_error()
        transport: PlainTransport = begun.transport
        route = self._routes[request.column]
        return await transport.exchange_again(broken, self._urls[route.path], route.body.as_sent(request))

    def _read_raw(self, said: RawAnswer, begun: _Begun, *, tells_limits: bool) -> Completion:
        """As `read`, by the short path where that is enough."""
        status, names, values, body = said
        shape = self._shapes.get(names) or self._new_shape(names)
        column, completion = begun.request.column, None
        if status == 200 and shape.is_plain and not (shape.says_limits and tells_limits):
            place = shape.request_id
            request_id = None if place < 0 else values[place].decode("latin-1").strip()
            if request_id is not None and self._redact.has_keys:
                request_id = self._redact.of_word(request_id)
            if request_id != "":  # else another header may have one
                completion = sound_answer(
                    body, chat=self._routes[column].is_chat, redact=self._redact, request_id=request_id
                )
        if completion is None:
            completion = self.read(as_response(said), column)
        if begun.in_form:
            self._takes_forms = True
        return completion

    def _new_shape(self, names: tuple[bytes, ...]) -> HeaderShape:
        if len(self._shapes) >= MOST_SHAPES:  # a server that makes them up
            self._shapes.clear()
        shape = self._shapes[names] = HeaderShape(names)
        return shape

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        """As `complete`, for a key that never expires; `on_text` gets the answer piece by piece as it is written.

        Through a proxy, and from a server that refuses to stream, it comes whole, as from `complete`.
        """
        transport = self._transport
        if not isinstance(transport, PlainTransport):
            return await self.complete(request)
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        route = self._routes[request.column]
        url = self._urls[route.path]
        body = route.body.as_sent(replace(request, body={**(request.body or {}), **streamed}))
        pieces = TextPieces(on_text, self._redact)
        answer = await transport.streamed(url, body, pieces.feed, timeout_s=request.timeout_s)
        if answer.status in _REFUSALS and b"stream" in answer.body:
            return await self.complete(request)
        return self.read(answer, request.column)

    def resize(self, concurrency: int) -> None:
        """From now on up to `concurrency` calls are in flight."""
        self._concurrency = concurrency
        self._transport.resize(concurrency)

    async def models(self) -> list[str]:
        """The names of the models that the server says it serves. Raises an EndpointError."""
        answer = await self.models_raw()
        self.require_success(answer)
        try:
            return [self._redact.of_word(str(model["id"])) for model in codec.loads(answer.body)["data"]]
        except (ValueError, KeyError, TypeError):
            raise BadAnswer(f"{self._models_url} answered with something other than a list of models") from None

    async def models_raw(self, name: str | None = None, *, timeout_s: float | None = None) -> HttpResponse:
        """The answer to GET /models, or to that of one model, whatever its status. Raises as the transport does."""
        url = self._models_url + ("" if name is None else f"/{quote(name)}")
        return await self._transport.exchange("GET", url, b"", timeout_s=timeout_s)

    async def ask_raw(self, request: Request) -> HttpResponse:
        """The answer to one question, whatever its status; `read` tells what it means. Raises as the transport does."""
        transport, route = self._transport, self._routes[request.column]
        body = route.body.as_sent(request)
        return await transport.exchange("POST", self._urls[route.path], body, timeout_s=request.timeout_s)

    def read(self, answer: HttpResponse, column: str | None = None) -> Completion:
        """What the answer to a question means, one of `column` where there are several. Raises an EndpointError for a
        non-answer.
        """
        is_chat = self._routes[column].is_chat
        self.require_success(answer)  # whether it is an answer, its body says
        readings = readings_from(answer.header, names=answer.names())
        try:
            return completion_from(answer.body, answer.header, chat=is_chat, redact=self._redact, readings=readings)
        except EndpointError as error:
            error.readings = readings
            raise

    def require_success(self, answer: HttpResponse) -> None:
        """Raises the EndpointError that an answer of another status than 2xx means."""
        if not 200 <= answer.status < 300:
            error = error_from(answer.status, answer.header, answer.body, redact=self._redact)
            error.readings = readings_from(answer.header, names=answer.names())
            if self._server.key_env is not None and error.fix is not None:
                error.fix = error.fix.replace(KEY_ENV, self._server.key_env)
            raise error

    @property
    def _transport(self) -> Transport:
        if not self._transports:
            raise RuntimeError("the endpoint is not open: use `async with`")
        return self._transports[-1]

    @property
    def _models_url(self) -> str:
        return f"{self._base}/models"

    @property
    def _base(self) -> str:
        return self._call.url.removesuffix(self._path)

    async def _build_call(self, *, starting: bool = False) -> None:
        call = await build_call(self._server, self._path, self._timeout_s, starting=starting)
        if call == self._call:
            return
        # A key that was used before stays a secret.
        self._redact = Redactor(*self._redact.secrets, call.headers.get("authorization", "").removeprefix("Bearer "))
        for before in self._transports:
            before.resize(0)  # what comes home there stays open for nobody
        self._transports.append(
            self._transport_for(call, concurrency=self._concurrency, timeout_s=self._timeout_s, redact=self._redact)
        )
        transport = self._transport
        self._by_turns = transport if isinstance(transport, PlainTransport) else None
        self._call = call
        self._urls = {path: self._base + path for path in _PATHS.values()}
        if self._by_turns is not None:
            self._heads = {path: self._by_turns.head("POST", url) for path, url in self._urls.items()}


def choose_transport(
    call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
) -> Transport:
    """The event loop's own transports where there is no proxy, for plain HTTP and for TLS; else the Rust one.

    `resends`: what may have been sent may be sent once more, see `PlainTransport`; the Rust one never does.
    """
    if is_proxied(call.url):
        # A run at a server of one's own starts without it: its library takes a while to load.
        from herogen_async.generation.endpoint.http.rust_transport import RustTransport  # noqa: PLC0415

        return RustTransport(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact)
    if call.url.startswith("http:"):
        return PlainTransport(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact, resends=resends)
    from herogen_async.generation.endpoint.http.tls_transport import TlsTransport  # noqa: PLC0415 - as above

    return TlsTransport(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact, resends=resends)
