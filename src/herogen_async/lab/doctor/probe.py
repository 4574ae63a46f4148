"""Ask an endpoint what it is: its models, a word on each route, and what its headers say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from herogen_async.core import codec
from herogen_async.core.clock import Clock
from herogen_async.core.errors import (
    BadAnswer,
    EndpointError,
    EndpointRefused,
    InputError,
    NoAnswer,
    RateLimited,
    RequestTimeout,
)
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Request
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.rate_headers import readings_from
from herogen_async.generation.endpoint.http.transport import HttpResponse
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.target import Server, is_openai
from herogen_async.lab.doctor.diagnosis import Check, EndpointSeen, Route, ServedModel
from herogen_async.lab.doctor.machine import KEYS
from herogen_async.lab.doctor.model_list import model_in, models_in
from herogen_async.lab.doctor.software import software_from

LIST_TIMEOUT_S = 20.0  # a list of models is at hand everywhere
ASK_TIMEOUT_S = 120.0  # a local server may load the model first
_QUESTION = "Say hi."
_ONE_TOKEN = {"max_tokens": 1}
_FEW_TOKENS = {"max_completion_tokens": 16}  # hosted reasoning models refuse `max_tokens`, and less than 16
_NO_LIST = (404, 405, 501)


class Probe:
    """Looks at one endpoint, one request after the other. `findings` is what a person should know of it."""

    def __init__(self, server: Server, model: str | None, clock: Clock) -> None:
        self.findings: list[Check] = []
        self._server = server
        self._model = model
        self._clock = clock
        self._clean = Redactor(server.api_key if isinstance(server.api_key, str) else None).excerpt
        self._answers: list[HttpResponse] = []
        self._errors: list[EndpointError] = []

    async def look(self, endpoint: str | None, environment: Mapping[str, str]) -> EndpointSeen:
        """All that can be seen. `endpoint` is the route to ask; None: each that the server may have."""
        url = self._server.base_url
        key = next((name for name in KEYS if environment.get(name, "").strip() == self._server.api_key), None)
        seen = EndpointSeen(url, url.startswith("https:"), key)
        kinds = (endpoint,) if endpoint else ("chat",) if is_openai(url) else ("completions", "chat")
        try:
            seen = await self._list(seen)
            if not self._is_blocked():
                seen = await self._choose(seen)
            if seen.model is not None and not self._is_blocked():
                for kind in kinds:
                    seen = await self._ask(seen, kind)
                    if any(isinstance(error, RequestTimeout) for error in self._errors):
                        break  # a server that is stuck is stuck on every route, and each try takes two minutes
        except EndpointError as error:
            self._find(error, blocks=True)
        except InputError as error:  # what this machine's own settings are worth shows when they are used
            self.findings.append(Check(error.message, error.fix, blocks=True))
        self._conclude(seen)
        owners = [model.owned_by for model in seen.models or () if model.owned_by]
        software = software_from(url, self._answers, owners)
        return replace(seen, software=software and self._clean(software), readings=self._readings())

    # -- models

    async def _list(self, seen: EndpointSeen) -> EndpointSeen:
        async with self._client("chat", {}) as client:
            start = self._clock.now()
            answer = await client.models_raw(timeout_s=LIST_TIMEOUT_S)
            seen = replace(seen, reachable=True, models_ms=self._since_ms(start))
            self._answers.append(answer)
            try:
                client.require_success(answer)
            except EndpointError as error:
                if answer.status in _NO_LIST:
                    self._no_list(f"the server has no model list (HTTP {answer.status})")
                else:
                    self._find(error, blocks=isinstance(error, EndpointRefused))
                return seen
            models = models_in(answer.body, self._clean)
            if models is None:
                web = answer.body.lstrip()[:1] == b"<"
                self._no_list(f"/models returned {'a web page' if web else 'no model list'}")
            return replace(seen, models=models)

    def _no_list(self, what: str) -> None:
        path_is_bare = self._server.base_url.count("/") == 2
        fix = (
            f"did you mean --base-url {self._server.base_url}/v1?"
            if path_is_bare
            else "check --base-url, or name the model: --model NAME"
        )
        self.findings.append(Check(what, fix))

    async def _choose(self, seen: EndpointSeen) -> EndpointSeen:
        """The model to ask: the one that was named, or the only one that is served; and its date of shutdown."""
        served = seen.models or ()
        name = self._model or (served[0].name if len(served) == 1 else None)
        if name is None:
            if served:
                what = f"{len(served)} models served, none chosen: no request was sent"
                self.findings.append(Check(what, f"choose one, e.g. --model {served[0].name}"))
            elif seen.models is not None:
                self.findings.append(Check("the server's model list is empty", "load a model", blocks=True))
            return seen
        model = next((model for model in served if model.name == name), None)
        if served and model is None:
            shown = ", ".join(each.name for each in served[:5])
            self.findings.append(Check(f"model {name!r} is not in the server's list: {shown}", "check --model"))
        if model is not None and model.ends is None:
            model = await self._details(model)
        if model is not None and model.ends is not None:
            what = f"the server announces the shutdown of {name!r}: {model.ends}"
            self.findings.append(Check(what, "choose another model, or finish before then"))
        self._model = name
        models = tuple(model if model is not None and each.name == name else each for each in served)
        return replace(seen, model=name, models=models if seen.models is not None else None)

    async def _details(self, model: ServedModel) -> ServedModel:
        async with self._client("chat", {}) as client:
            answer = await client.models_raw(model.name, timeout_s=LIST_TIMEOUT_S)
        try:
            found = model_in(codec.loads(answer.body), self._clean) if answer.status == 200 else None
        except ValueError:
            return model
        return model if found is None else replace(model, ends=found.ends)

    # -- routes

    async def _ask(self, seen: EndpointSeen, kind: str) -> EndpointSeen:
        route, refused = await self._once(kind, _ONE_TOKEN)
        spent = 1
        if refused is not None and "max_completion_tokens" in refused.message:
            route, refused = await self._once(kind, _FEW_TOKENS)
            spent = 2
        if refused is not None:
            self._errors.append(refused)
        return replace(seen, routes=(*seen.routes, route), requests=seen.requests + spent)

    async def _once(self, kind: str, limit: Mapping[str, int]) -> tuple[Route, EndpointError | None]:
        async with self._client(kind, limit) as client:
            start = self._clock.now()
            try:
                answer = await client.ask_raw(Request(_QUESTION, timeout_s=ASK_TIMEOUT_S))
                took_ms = self._since_ms(start)
                self._answers.append(answer)
                client.read(answer)
            except NoAnswer:
                pass  # it thinks longer than the few tokens that were asked for: the route answers
            except EndpointError as error:
                return Route(kind, False, said=error.message), error
            return Route(kind, True, took_ms), None

    # -- what it comes to

    def _conclude(self, seen: EndpointSeen) -> None:
        """A route without an answer is reported only when no other answers."""
        if self._is_blocked() or any(route.answers for route in seen.routes):
            return
        if self._errors:
            told = next((error for error in self._errors if error.status != 404), self._errors[0])
            self._find(told, blocks=not isinstance(told, RateLimited))
        elif not seen.models:
            what = "no request got a valid answer"
            self.findings.append(Check(what, "check --base-url (it usually ends in /v1)", blocks=True))

    def _find(self, error: EndpointError, *, blocks: bool) -> None:
        reached = error.status is not None or isinstance(error, BadAnswer | RequestTimeout)
        fix = error.fix or ("check the server's log" if reached else "start the server, or fix --base-url")
        self.findings.append(Check(error.message, fix, blocks))

    def _is_blocked(self) -> bool:
        return any(finding.blocks for finding in self.findings)

    def _readings(self) -> tuple[Reading, ...]:
        """Of the last answer that says something: a list of models may have limits of its own."""
        found = (readings_from(answer.header, names=answer.names()) for answer in reversed(self._answers))
        return next(filter(None, found), ())

    def _since_ms(self, start: float) -> float:
        return round(1000 * (self._clock.now() - start), 1)

    @asynccontextmanager
    async def _client(self, kind: str, sampling: Mapping[str, int]) -> AsyncIterator[OpenAICompatible]:
        client = OpenAICompatible(
            self._server,
            kind=kind,
            model=self._model or "",
            sampling=sampling,
            concurrency=1,
            timeout_s=ASK_TIMEOUT_S,
        )
        async with client:
            yield client
