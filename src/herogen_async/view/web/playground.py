"""The playground: one question at a time to a model of a run, its answers told while they are written.

Kept here:
1. One question at a time, whoever asks: what it took is seen before the next one begins.
2. A model stays open for OPEN_FOR_S after a question, so that the next one waits for no start.
3. Nobody who listens, nothing asked: with whoever reads its answers a question ends, and so do its calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import HerogenError, InputError
from herogen_async.core.options import Kind, count_to
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.limits import byte_size
from herogen_async.generation.observer import Observer
from herogen_async.generation.prices import Price, cost, price_of
from herogen_async.tune.query import (
    Answer,
    Asking,
    ModelSession,
    QuestionText,
    Reply,
    Target,
    TextPiece,
    each,
    ending_note,
    open_model,
)
from herogen_async.view.web.json_requests import told_refusal

OPEN_FOR_S = 300.0
MOST_SAMPLES, MOST_TOKENS, MOST_TEMPERATURE = 8, 8192, 2  # what a page is to ask in one go
_ROOM_TOKENS, _ROOM_BYTES = 1024, 1024  # of an answer and of a question: a longer one needs another start
_SLOTS = 4  # of the embedded model: fewer answer sooner
_LOOK_S = 0.25  # within which a question ends with the server
_TURN_S = 2.0  # a question that was stopped is gone by then

AnswerEvent = dict[str, Any]
TellAnswer = Callable[[AnswerEvent], None]


class Playground:
    """All questions of one server. Use `answers`; what is open is closed when the loop ends.

    `is_ending` says whether the server stops: then no question goes on.
    """

    def __init__(self, is_ending: Callable[[], bool]) -> None:
        self._is_ending = is_ending
        self._clock = MonotonicClock()
        self._turn = asyncio.Lock()
        self._open: _OpenModel | None = None

    async def answers(self, target: Target, question: QuestionText, how: Asking) -> AsyncIterator[AnswerEvent]:
        """What happens until all is answered: `notice`, `asking`, `text`, `reply`, and `error`, which is the last.

        Whoever stops reading stops the asking. A bug of ours is raised.
        """
        events: asyncio.Queue[AnswerEvent | None] = asyncio.Queue()
        asking = asyncio.ensure_future(self._ask(target, question, how, events.put_nowait))
        asking.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while not self._is_ending():
                try:
                    async with asyncio.timeout(_LOOK_S):
                        event = await events.get()
                except TimeoutError:
                    continue
                if event is None:
                    await asking
                    return
                yield event
            yield {
                "event": "error",
                "error": "the page's server was ended",
                "fix": "start it again: herogen-async view",
            }
        finally:
            asking.cancel()

    async def _ask(self, target: Target, question: QuestionText, how: Asking, tell: TellAnswer) -> None:
        held: _OpenModel | None = None
        try:
            await self._take_turn()
            try:
                held = self._opened(target, question, how, tell)
                session = await asyncio.shield(held.session)
                tell({"event": "asking"})
                teller = _Teller(tell, target, self._clock.wall())
                await session.ask(each([question]), how, teller, teller.hear)
            finally:
                self._turn.release()
        except HerogenError as error:
            if held is not None:
                held.close()  # a server that ended, a key that was refused: the next question begins anew
            tell({"event": "error", **told_refusal(error)})
        finally:
            if held is not None:
                held.rest()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            raise InputError(
                "another question is being answered", fix="wait until it is, or stop it in the page that asked it"
            ) from None

    def _opened(self, target: Target, question: QuestionText, how: Asking, tell: TellAnswer) -> _OpenModel:
        held = self._open
        if held is None or not held.fits(target, question, how):
            if held is not None:
                held.close()
            held = self._open = _OpenModel(target, question, how)
        held.listen(tell)
        return held


class _OpenModel(Observer[Reply, None]):
    """A model that is open, in a task of its own: whoever asked first may be gone before it is closed."""

    def __init__(self, target: Target, question: QuestionText, how: Asking) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._tokens = max(how.max_tokens, _ROOM_TOKENS)
        self._bytes = max(byte_size(_whole(question)), _ROOM_BYTES)
        self._over = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._tell: TellAnswer = _nobody
        self.session: asyncio.Future[ModelSession] = self._loop.create_future()
        self.session.add_done_callback(lambda ready: ready.cancelled() or ready.exception())  # whoever waits is told
        self._task = asyncio.ensure_future(self._hold())

    def fits(self, target: Target, question: QuestionText, how: Asking) -> bool:
        """Whether it is open for this, too."""
        return (
            not self._over.is_set()
            and target == self._target
            and (target.server is not None or how.max_tokens <= self._tokens)
            and (target.server is not None or byte_size(_whole(question)) <= self._bytes)
        )

    def listen(self, tell: TellAnswer) -> None:
        """Somebody asks: it is not closed meanwhile."""
        self._tell = tell
        if self._idle is not None:
            self._idle.cancel()

    def rest(self) -> None:
        """Nobody asks; it stays open for OPEN_FOR_S."""
        self._tell = _nobody
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(OPEN_FOR_S, self.close)

    def close(self) -> None:
        """Soon; what is asked meanwhile opens another."""
        self._over.set()

    def notice(self, line: str, /) -> None:
        """Said while it starts."""
        self._tell({"event": "notice", "text": line})

    def weights(self, progress: WeightsProgress, /) -> None:
        """From a thread: how far the embedded model's weights are, which are fetched once."""
        share = f" ({100 * progress.done_bytes // progress.total_bytes} %)" if progress.total_bytes else ""
        self._loop.call_soon_threadsafe(self.notice, f"{progress.words}{share}.")

    async def _hold(self) -> None:
        # The embedded server's room is settled when it starts: enough for what may be asked next, and for the base.
        opening = Asking(max_tokens=self._tokens, concurrency=_SLOTS, samples=_SLOTS // 2, compare=True)
        try:
            prompts: list[QuestionText] = ["x" * self._bytes]
            async with open_model(self._target, opening, MonotonicClock(), prompts=prompts, observer=self) as session:
                self.session.set_result(session)
                await self._over.wait()
        except Exception as error:
            self._over.set()
            if not self.session.done():
                self.session.set_exception(error)
            elif not isinstance(error, HerogenError):  # it was answered: how its server ends is of no use to anybody
                raise


class _Teller(Observer[Reply, None]):
    """Tells of one question."""

    def __init__(self, tell: TellAnswer, target: Target, at: datetime) -> None:
        self._tell = tell
        self._recipe = target.recipe
        self._target = target
        self._at = at
        self._texts: dict[tuple[int, bool], _GrowingText] = {}

    def hear(self, piece: TextPiece) -> None:
        """A few characters of an answer."""
        place = piece.number, piece.is_base
        text = self._texts.get(place)
        if text is None or text.attempt != piece.attempt:
            text = self._texts[place] = _GrowingText(self._recipe, piece.attempt)
        if more := text.add(piece.text):
            where = {"sample": piece.number + 1, "base": piece.is_base, "attempt": piece.attempt}
            self._tell({"event": "text", **where, "more": more})

    def call_ended(self, record: Reply, /) -> None:
        """An answer is whole, and its base model's, where that was asked too."""
        target = self._target
        told: AnswerEvent = {"event": "reply", "sample": record.sample}
        told["answer"] = _told(record.answer, record.error, model_price(target, target.model.name, self._at))
        if target.base is not None and (record.base is not None or record.base_error is not None):
            told["base"] = _told(record.base, record.base_error, model_price(target, target.base.name, self._at))
        self._tell(told)

    def notice(self, line: str, /) -> None:
        """For a person."""
        self._tell({"event": "notice", "text": line})


class _GrowingText:
    def __init__(self, recipe: Recipe, attempt: int) -> None:
        self.attempt = attempt
        self._recipe = recipe
        self._raw = ""
        self._told = 0

    def add(self, piece: str) -> str:
        """What is new of the answer."""
        self._raw += piece
        known = self._recipe.answer_so_far(self._raw)
        more, self._told = known[self._told :], max(self._told, len(known))
        return more


def model_price(target: Target, model: str, at: datetime) -> Price | None:
    """What `model` costs where `target` is asked; None where that is not known, and on this machine."""
    return None if target.server is None else price_of(model, target.server.base_url, at=at)


def asking_from(said: dict[str, Any], *, has_base: bool) -> Asking:
    """How a page wants its question asked. Raises InputError."""
    samples = _number(said, "samples", count_to(MOST_SAMPLES))
    tokens = _number(said, "max_tokens", count_to(MOST_TOKENS))
    temperature = said.get("temperature")
    if not isinstance(temperature, int | float) or not 0 <= temperature <= MOST_TEMPERATURE:
        raise InputError(f"the temperature can't be {temperature!r}", fix=f"give a number from 0 to {MOST_TEMPERATURE}")
    compare = bool(said.get("compare")) and has_base
    how = Asking(samples=samples, max_tokens=tokens, temperature=float(temperature), compare=compare)
    how.check()
    return how


def _number(said: dict[str, Any], name: str, kind: Kind) -> int:
    value = said.get(name)
    if not isinstance(value, int) or not kind.holds(value):
        raise InputError(f"{name.replace('_', ' ')} can't be {value!r}", fix=kind.fix_for(value))
    return value


def _told(answer: Answer | None, error: HerogenError | None, price: Price | None) -> AnswerEvent | None:
    if answer is None:
        return None if error is None else told_refusal(error)
    counts = {name: count for name, count in answer.usage.items() if isinstance(count, int)}
    return {**answer.as_dict(), "note": ending_note(answer), "usd": cost(counts, price) if counts else None}


def _whole(question: QuestionText) -> str:
    return question if isinstance(question, str) else question.sent


def _nobody(_: AnswerEvent) -> None:
    """Nobody listens."""
