"""Ask a target: its server open, each question with separator and stop, each answer cut out of what comes back."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import ConnectionFailed, EndpointError, EndpointRefused, InputError, LocalModelError
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.embedded import EmbeddedServer, OnProgress, weights_in_thread
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.target import Server, is_openai
from herogen_async.generation.engine.fanout import Fanout, Outcome
from herogen_async.generation.limits import estimate_tokens
from herogen_async.tune.query.completion import Answer, has_stopped
from herogen_async.tune.query.query_target import Model, Target

TEMPERATURE = 0.7  # greedy decoding of a small tuned model loops
MAX_TOKENS = 256
MOST_SLOTS = 16  # of the embedded server: more gain nothing on a processor
LONGEST_PROMPT_TOKENS = 256  # kept for questions that are not known yet, when the embedded server starts
TIMEOUT_S = 600.0
EMBEDDED_TIMEOUT_S = 3600.0  # it queues and never refuses
_MOST_CONCURRENCY = 1000
_SHOWN = 12  # models that an error lists


@dataclass(frozen=True, slots=True)
class Asking:
    """How each question is asked. `seed` is that of the first sample; each further one has the next.

    `seed_each`: so has each further question, for one that is asked more than once.
    """

    samples: int = 1
    temperature: float = TEMPERATURE
    max_tokens: int = MAX_TOKENS
    seed: int | None = None
    compare: bool = False
    concurrency: int = 16
    seed_each: bool = False

    def check(self) -> None:
        """InputError for what can't work."""
        wrong = {
            "samples": not 1 <= self.samples <= 1000,
            "temperature": not 0 <= self.temperature <= 100,
            "max-tokens": not 1 <= self.max_tokens <= 10_000_000,
            "seed": self.seed is not None and not 0 <= self.seed < 2**31,
            "concurrency": not 1 <= self.concurrency <= _MOST_CONCURRENCY,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                value = getattr(self, name.replace("-", "_"))
                fix = "give 0 or more" if name in ("temperature", "seed") else "give a whole number above zero"
                raise InputError(f"--{name} can't be {value!r}", fix=fix)


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: str
    sample: int
    model: Model
    number: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one prompt and sample: the answer or the error; `base` and `base_error` where that was asked too.

    `number` counts prompts and samples from 0.
    """

    prompt: str
    sample: int
    answer: Answer | None = None
    error: EndpointError | None = None
    base: Answer | None = None
    base_error: EndpointError | None = None
    number: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data: the answer's, or what went wrong; the base model's below `base`."""
        told = _told(self.answer, self.error) or {}
        told = {"prompt": self.prompt, "sample": self.sample, **told}
        base = _told(self.base, self.base_error)
        return told if base is None else {**told, "base": base}


class ModelSession:
    """A target whose server is open; made by `open_model`."""

    def __init__(self, target: Target, endpoint: OpenAICompatible, server: EmbeddedServer | None, clock: Clock) -> None:
        self.target = target
        self._endpoint = endpoint
        self._server = server
        self._clock = clock
        # OpenAI's newer models refuse the one, and most other servers don't know the other.
        hosted = target.server is not None and is_openai(target.server.base_url)
        self._limit_name = "max_completion_tokens" if hosted else "max_tokens"

    async def ask(self, prompts: AsyncIterator[str], how: Asking, on_reply: Callable[[Reply], None]) -> None:
        """Ask all `prompts`; `on_reply` gets what came of each sample, in order.

        Raises EndpointRefused when nothing can be answered until a person acts, InputError for a base that there is
        not, and whatever InputError `prompts` raises, after what was answered was handed on.
        """
        models = self._models(how)

        async def complete(question: _Question) -> Completion:
            return await self._complete(question, how)

        pairing = _Pairing(self._answer, on_reply, models)
        fanout: Fanout[_Question] = Fanout(complete, self._clock, concurrency=how.concurrency)
        try:
            await fanout.run(_questions(prompts, how.samples, models), pairing.take)
        except EndpointRefused as refused:
            raise await self._explained(refused, models) from None
        finally:
            pairing.flush()

    def of_base(self) -> ModelSession:
        """The same server, asked for the model that the target was tuned from."""
        base = self.target.base or self.target.model
        return ModelSession(replace(self.target, model=base, base=None), self._endpoint, self._server, self._clock)

    def _models(self, how: Asking) -> list[Model]:
        if not how.compare:
            return [self.target.model]
        if self.target.base is None:
            raise InputError(
                f"it is not recorded what {self.target.model.name!r} was tuned from", fix="leave --compare out"
            )
        return [self.target.model, self.target.base]

    async def _complete(self, question: _Question, how: Asking) -> Completion:
        recipe = self.target.recipe
        body: dict[str, Any] = {"temperature": how.temperature, self._limit_name: how.max_tokens}
        if recipe.ending:
            body["stop"] = [recipe.ending]
        if how.seed is not None:
            body["seed"] = how.seed + (question.number if how.seed_each else question.sample - 1)
        request = Request(recipe.question(question.prompt), body={**body, **question.model.body})
        try:
            return await self._endpoint.complete(request)
        except ConnectionFailed:
            self._check_server()
            raise

    async def _explained(self, refused: EndpointRefused, models: list[Model]) -> EndpointRefused:
        """`refused` in the words of one who asks, and not of a run; a model that is gone, with those that are there."""
        fix = re.sub(r"[,;]? then resume\b", "", refused.fix or "", flags=re.IGNORECASE) or None
        if refused.status != 404:
            return EndpointRefused(refused.message, status=refused.status, code=refused.code, fix=fix)
        served: list[str] = []
        with contextlib.suppress(EndpointError):
            served = await self._endpoint.models()
        gone = [model for model in models if model.name not in served] or models
        asked = " or ".join(repr(model.name) for model in gone)
        if served:
            fix = f"served there: {', '.join(map(repr, served[:_SHOWN]))}{' ...' if len(served) > _SHOWN else ''}"
        return EndpointRefused(
            f"the server does not know {asked} any more: {refused.message}", status=404, code=refused.code, fix=fix
        )

    def _check_server(self) -> None:
        """A dead embedded server won't come back by waiting."""
        if self._server is not None:
            try:
                self._server.check()
            except LocalModelError as gone:
                raise EndpointRefused(gone.message, fix=gone.fix) from None

    def _answer(self, outcome: Outcome[_Question]) -> Answer | None:
        question, completion, recipe = outcome.question, outcome.completion, self.target.recipe
        if completion is None:
            return None
        return Answer(
            question.prompt,
            recipe.answer(completion.text),
            completion.finish_reason,
            has_stopped(completion, recipe),
            question.model.name,
            question.sample,
            completion.usage,
            round(outcome.latency_s * 1000),
        )


class _Pairing:
    """Puts the base model's answer beside the tuned one's: they come one after the other."""

    def __init__(
        self,
        answer: Callable[[Outcome[_Question]], Answer | None],
        on_reply: Callable[[Reply], None],
        models: list[Model],
    ) -> None:
        self._answer = answer
        self._on_reply = on_reply
        self._models = models
        self._half: Reply | None = None

    def take(self, outcome: Outcome[_Question]) -> None:
        question, answer = outcome.question, self._answer(outcome)
        if question.model is self._models[0]:
            reply = Reply(question.prompt, question.sample, answer, outcome.error, number=question.number)
            if len(self._models) > 1:
                self._half = reply
                return
        else:
            half, self._half = self._half or Reply(question.prompt, question.sample, number=question.number), None
            reply = replace(half, base=answer, base_error=outcome.error)
        self._on_reply(reply)

    def flush(self) -> None:
        """Hand on an answer whose counterpart never came."""
        if self._half is not None:
            self._on_reply(self._half)
            self._half = None


async def _questions(prompts: AsyncIterator[str], samples: int, models: list[Model]) -> AsyncIterator[_Question]:
    number = 0
    async for prompt in prompts:
        for sample in range(1, samples + 1):
            for model in models:
                yield _Question(prompt, sample, model, number)
            number += 1


@contextlib.asynccontextmanager
async def open_model(
    target: Target,
    how: Asking,
    clock: Clock,
    *,
    prompts: list[str] | None = None,
    on_weights: OnProgress = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[ModelSession]:
    """`target`, ready to be asked; the embedded server is started for it and ended after it.

    `prompts` are all that will be asked, where that is known: the server is made to fit. Raises LocalModelError.
    """
    if target.server is not None:
        async with _client(target, target.server, how, TIMEOUT_S) as endpoint:
            yield ModelSession(target, endpoint, None, clock)
        return
    weights = await weights_in_thread(target.weights, on_weights)
    wanted = how.concurrency if prompts is None else len(prompts) * how.samples * (1 + how.compare)
    embedded = EmbeddedServer(
        weights,
        slots=max(1, min(how.concurrency, wanted, MOST_SLOTS)),
        context_tokens=_prompt_tokens(target, prompts) + how.max_tokens,
        adapter=target.adapter,
    )
    if embedded.note:
        on_notice(embedded.note)
    async with embedded as server:
        local = Server(server.base_url, server.api_key)
        async with _client(target, local, how, EMBEDDED_TIMEOUT_S) as endpoint:
            yield ModelSession(target, endpoint, server, clock)


def _client(target: Target, server: Server, how: Asking, timeout_s: float) -> OpenAICompatible:
    return OpenAICompatible(
        server,
        kind=target.endpoint,
        model=target.model.name,
        sampling={},
        concurrency=how.concurrency,
        timeout_s=timeout_s,
    )


def _prompt_tokens(target: Target, prompts: list[str] | None) -> int:
    """Twice the estimate: other scripts than English have up to two tokens where English has one."""
    known = [2 * estimate_tokens(target.recipe.question(prompt), 1) for prompt in prompts or ()]
    return max(known, default=LONGEST_PROMPT_TOKENS)


def _told(answer: Answer | None, error: EndpointError | None) -> dict[str, Any] | None:
    if answer is not None:
        return answer.as_dict()
    return None if error is None else {"error": error.message, "kind": error.kind, "fix": error.fix}
