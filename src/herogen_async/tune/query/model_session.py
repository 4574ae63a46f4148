"""Ask a target: its server open, each question with separator and stop, each answer cut out of what comes back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeAlias

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError
from herogen_async.generation.endpoint import ModelServer, Request
from herogen_async.generation.endpoint.embedded import (
    open_embedded,
    weights_in_thread,
)
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible, choose_transport
from herogen_async.generation.endpoint.target import EMBEDDED_TIMEOUT_S, Server, clear_text_line, is_openai
from herogen_async.generation.engine import Counters, Deadline, Gate, Lane
from herogen_async.generation.engine.fuse import window_fuse
from herogen_async.generation.engine.in_order import InOrder, OrderPlace, Outcome
from herogen_async.generation.engine.sharing import shared_ledger
from herogen_async.generation.limits import Admission, Budget, Ledger, TokenEstimate, estimate_tokens
from herogen_async.generation.observer import SILENT, Observer
from herogen_async.generation.retry import Triage
from herogen_async.tune.asking import MIN_TIMEOUT_S, TIMEOUT_S, Asking
from herogen_async.tune.query.budget import question_budget
from herogen_async.tune.query.completion import Answer, has_stopped
from herogen_async.tune.query.query_target import Model, Target
from herogen_async.tune.query.questions import Conversation, QuestionText

LONGEST_PROMPT_TOKENS = 256  # kept for questions that are not known yet, when the embedded server starts
_SHOWN = 12  # models that an error lists


@dataclass(frozen=True, slots=True)
class _Question:
    text: QuestionText
    sample: int
    model: Model
    number: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one prompt and sample: the answer or the error; `base` and `base_error` where that was asked too.

    `prompt` is the last user message of a conversation. `number` counts prompts and samples from 0.
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


QueryObserver: TypeAlias = Observer[Reply, None]


class ModelSession:
    """A target whose server is open; made by `open_model`.

    What is learned of the server's limits, and what was spent, holds from one `ask` to the next.
    """

    def __init__(
        self,
        target: Target,
        endpoint: ModelServer,
        how: Asking,
        clock: Clock,
        *,
        budget: Budget | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.target = target
        self._endpoint = endpoint
        self._opened_for = how
        self._clock = clock
        self._fuse_for = cache(window_fuse)  # what one `ask` has started still counts for the next
        self._admission = Admission(
            clock.now(),
            how.limits,
            estimate=TokenEstimate(how.max_tokens),
            ramp=target.server is not None,  # the embedded model queues, and never refuses
            ledger=ledger,
            budget=budget,
        )
        # OpenAI's newer models refuse the one, and most other servers don't know the other.
        hosted = target.server is not None and is_openai(target.server.base_url)
        self._limit_name = "max_completion_tokens" if hosted else "max_tokens"

    async def ask(self, prompts: AsyncIterator[QuestionText], how: Asking, observer: QueryObserver) -> None:
        """Ask all `prompts`; `call_ended` of `observer` gets what came of each sample, in order.

        Raises EndpointRefused when nothing can be answered until a person acts, InputError for a base that there is
        not, and whatever InputError `prompts` raises, after what was answered was handed on. So it is with what
        it raises: it costs the one reply, and ends the asking.
        """
        models = self._models(how)
        pairing = _Pairing(self._answer, observer.call_ended, models)
        in_order: InOrder[_Question] = InOrder(
            self._lane(how), self._clock, lambda question: self._request(question, how)
        )
        try:
            await in_order.run(_questions(prompts, how.samples, models), pairing.take)
        except EndpointRefused as refused:
            raise await self._explained(refused, models) from None
        finally:
            pairing.flush()

    def of_base(self) -> ModelSession:
        """The same server, asked for the base model: within the same limits, and out of the same budget."""
        base = copy(self)
        base.target = replace(self.target, model=self.target.base or self.target.model, base=None)
        return base

    def _models(self, how: Asking) -> list[Model]:
        if not how.compare:
            return [self.target.model]
        if self.target.base is None:
            raise InputError(f"no base model on record for {self.target.model.name!r}", fix="remove --compare")
        return [self.target.model, self.target.base]

    def _lane(self, how: Asking) -> Lane[OrderPlace[_Question]]:
        timeout_s = _timeout_s(self.target, self._opened_for)
        return Lane(
            self._endpoint,
            gate=Gate(self._admission, self._clock, fuse_for=self._fuse_for),
            clock=self._clock,
            counters=Counters(total=0),  # nobody knows how many there will be
            concurrency=how.concurrency,
            triage=Triage(),
            deadline=Deadline(min(MIN_TIMEOUT_S, timeout_s), timeout_s),
        )

    def _request(self, question: _Question, how: Asking) -> Request:
        recipe = self.target.recipe
        body: dict[str, Any] = {"temperature": how.temperature, self._limit_name: how.max_tokens}
        if recipe.ending:
            body["stop"] = [recipe.ending]
        if how.seed is not None:
            body["seed"] = how.seed + (question.number if how.seed_each else question.sample - 1)
        if isinstance(question.text, Conversation):
            return Request(question.text.sent, body={**body, **question.model.body, "messages": question.text.messages})
        # Where the endpoint is no chat, it has no place for one.
        system = recipe.system if self.target.endpoint == "chat" else None
        return Request(recipe.question(question.text), system, body={**body, **question.model.body})

    async def _explained(self, refused: EndpointRefused, models: list[Model]) -> EndpointRefused:
        """`refused`; for a missing model, with the available ones."""
        if refused.status != 404:
            return refused
        served: list[str] = []
        with contextlib.suppress(EndpointError):
            served = await self._endpoint.models()
        gone = [model for model in models if model.name not in served] or models
        asked = " or ".join(repr(model.name) for model in gone)
        fix = refused.fix
        if served:
            fix = f"available: {', '.join(map(repr, served[:_SHOWN]))}{' ...' if len(served) > _SHOWN else ''}"
        gone_there = EndpointRefused(
            f"the server no longer has {asked}: {refused.message}", status=404, code=refused.code, fix=fix
        )
        gone_there.park_reason = refused.park_reason
        return gone_there

    def _answer(self, outcome: Outcome[_Question]) -> Answer | None:
        question, completion, recipe = outcome.question, outcome.completion, self.target.recipe
        if completion is None:
            return None
        return Answer(
            str(question.text),
            recipe.answer(completion.text),
            completion.finish_reason,
            has_stopped(completion, recipe),
            question.model.name,
            question.sample,
            completion.usage,
            round(outcome.latency_s * 1000),
        )


class _Pairing:
    """Puts the base model's answer beside the tuned one's: they come one after the other.

    Where nothing more is answered one of the two may be missing: then the next outcome is another question's, and the
    half that waits is handed on as it is. An answer never stands beside another question's.
    """

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
        if self._half is not None and self._half.number != question.number:
            self.flush()
        if question.model is self._models[0]:
            reply = Reply(str(question.text), question.sample, answer, outcome.error, number=question.number)
            if len(self._models) > 1:
                self._half = reply
                return
        else:
            half, self._half = self._half or Reply(str(question.text), question.sample, number=question.number), None
            reply = replace(half, base=answer, base_error=outcome.error)
        self._on_reply(reply)

    def flush(self) -> None:
        """Hand on an answer whose counterpart never came."""
        half, self._half = self._half, None  # first: a receiver that fails is not handed the same one again
        if half is not None:
            self._on_reply(half)


async def _questions(
    prompts: AsyncIterator[QuestionText], samples: int, models: list[Model]
) -> AsyncIterator[_Question]:
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
    prompts: Sequence[QuestionText] | None = None,
    observer: QueryObserver = SILENT,
    on_text: Callable[[str], None] | None = None,
) -> AsyncIterator[ModelSession]:
    """`target`, ready to be asked; the embedded server is started for it and ended after it.

    `prompts` are all that will be asked, where that is known: the server is made to fit. `on_text` gets what the
    embedded model writes, token by token; other servers' answers come whole. Raises LocalModelError, and
    InputError for a budget with an unknown price.
    """
    budget = question_budget(target, how, clock.wall())
    if target.server is not None:
        if line := clear_text_line(target.server.base_url, target.server.api_key):
            observer.notice(f"warning: {line}.")
        with shared_ledger(target.server, target.model.name, how.limits, clock, observer.notice) as ledger:
            async with _client(target, target.server, how) as endpoint:
                yield ModelSession(target, endpoint, how, clock, budget=budget, ledger=ledger)
        return
    weights = await weights_in_thread(target.weights, observer.weights)
    wanted = how.concurrency if prompts is None else len(prompts) * how.samples * (1 + how.compare)
    embedded = open_embedded(
        weights,
        lambda server: _client(target, server, how),
        concurrency=min(how.concurrency, wanted),
        context_tokens=_prompt_tokens(target, prompts) + how.max_tokens,
        adapter=target.adapter,
        on_notice=observer.notice,
        on_text=on_text,
        streams_all=True,
    )
    async with embedded as endpoint:
        yield ModelSession(target, endpoint, how, clock, budget=budget)


def _client(target: Target, server: Server, how: Asking) -> OpenAICompatible:
    return OpenAICompatible(
        server,
        kind=target.endpoint,
        model=target.model.name,
        sampling={},
        concurrency=how.concurrency,
        timeout_s=_timeout_s(target, how),
        # What may have been charged is asked again by the lane alone, which reserves its worst case anew.
        transport_for=partial(choose_transport, resends=how.budget_usd is None),
    )


def _timeout_s(target: Target, how: Asking) -> float:
    return how.timeout_s or (EMBEDDED_TIMEOUT_S if target.server is None else TIMEOUT_S)


def _prompt_tokens(target: Target, prompts: Sequence[QuestionText] | None) -> int:
    """Twice the estimate: other scripts than English have up to two tokens where English has one."""
    asked = (each.sent if isinstance(each, Conversation) else target.recipe.question(each) for each in prompts or ())
    known = [2 * estimate_tokens(text, 1) for text in asked]
    return max(known, default=LONGEST_PROMPT_TOKENS)


def _told(answer: Answer | None, error: EndpointError | None) -> dict[str, Any] | None:
    if answer is not None:
        return answer.as_dict()
    return None if error is None else {"error": error.message, "kind": error.kind, "fix": error.fix}
