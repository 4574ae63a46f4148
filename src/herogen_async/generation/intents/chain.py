"""A chain of calls that must happen once each, made in order, from wherever an earlier process left it.

The intent of a call is in the log before it is sent. What a process leaves open when it dies, and what a call leaves
open that fails without saying whether it arrived, is looked for at the service, several times: a call that was on its
way may land a moment later. Only what surely did not arrive is sent again, and where the service can't tell, a person
does. The states and their rules stand in `chain_state`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointRefused,
    HerogenError,
    InputError,
    NotReadyYet,
    RateLimited,
    RetryableError,
)
from herogen_async.core.units import duration
from herogen_async.generation.intents.chain_state import CLOSED, INTENT, RESULT, ChainState, fold
from herogen_async.generation.intents.intent_log import IntentLog

# Between looks, seconds. A small call that was cut off is at a service, or lost, within a second or two; a service may
# list what it has just taken in a little later.
LOOKS_S = (0.0, 1.0, 2.0, 4.0)
# Before another attempt of a call that surely did not arrive, seconds: a service that restarts.
ATTEMPTS_S = (0.0, 2.0, 8.0)
# Where what a call needs is not ready: a service reads an uploaded file in seconds, a large one in a minute or two;
# what takes longer wants a person, who runs the same command later.
READY_FIRST_S, READY_GROWS, READY_LONGEST_S = 2.0, 1.5, 15.0
READY_S = 120.0
_CANT_TELL = (404, 405, 501)  # the statuses of a service that has no such list
_LOOK, _PERSON = "a look", "a person"  # who closed an intent that lay open, as the log has it

Results = Mapping[str, str]
"""What the calls before this one gave, by their names."""


@dataclass(frozen=True, slots=True)
class OnceCall:
    """A call that must happen once; `name` is unique in its chain and never changes, since logs hold it.

    `send` makes it and gives the id of what it made; EndpointError and InputError are what may come of it. `find` looks
    for what an earlier `send` made, by something unique that `send` put there: None is "nothing of it is there".
    `makes` is what it makes in a word, `look_for` what a person looks for in the service's console. `confirm` raises
    where nothing has the id that a person gives; None is: every id is taken. `ready` looks, before `send` and at no
    cost, whether what the call needs is there, and raises NotReadyYet where it is not yet; `send` may, too.
    """

    name: str
    send: Callable[[Results], Awaitable[str]]
    find: Callable[[Results], Awaitable[str | None]]
    makes: str
    look_for: Callable[[Results], str]
    confirm: Callable[[str], Awaitable[None]] | None = None
    ready: Callable[[Results], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person says of the call whose answer was lost: `resend`: it did not arrive; `adopt`: the id of what it
    made.
    """

    resend: bool = False
    adopt: str | None = None


UNRESOLVED = Resolution()


class Chain:
    """The calls of one log, made by the holder of its lock."""

    def __init__(
        self,
        log: IntentLog,
        clock: Clock,
        *,
        notice: Callable[[str], None],
        resolution: Resolution = UNRESOLVED,
    ) -> None:
        self._log = log
        self._clock = clock
        self._notice = notice
        self._resolution = resolution

    @property
    def folder(self) -> Path:
        """Where its log lies."""
        return self._log.folder

    @property
    def state(self) -> ChainState:
        """What is known so far."""
        return fold(self._log.records)

    async def run(self, calls: Sequence[OnceCall]) -> Results:
        """What `calls` gave, after those that have not happened yet were made, in order.

        Raises InputError where only a person can tell whether one arrived, and what the calls raise.
        """
        lost = self.state.open
        if self._resolution != UNRESOLVED and lost is None:
            raise InputError("no call has lost its answer: nothing to resend or adopt", fix="remove --resend/--adopt")
        # Going on would send the calls behind it, while nobody knows whether this one has arrived.
        if lost not in (None, *(call.name for call in calls)):
            raise InputError(
                f"the answer to {lost!r} was lost, and this version does not make that call",
                fix="continue with the version that began it",
            )
        for call in calls:
            await self._once(call)
        return self.state.results

    async def settle(self, call: OnceCall) -> str | None:
        """The result of `call` where it has happened; one that may have happened is looked for, none is sent."""
        if self.state.open == call.name:
            await self._close(call)
            self._resolution = UNRESOLVED  # it was about this one
        return self.state.results.get(call.name)

    def record(self, step: str, **what: Any) -> None:
        """A step, durably."""
        self._log.append({"step": step, "at": self._clock.wall().isoformat(), **what})

    async def _once(self, call: OnceCall) -> str:
        """What `call` gives, now or in an earlier process."""
        failed: HerogenError | None = None
        attempts, waits = iter(ATTEMPTS_S), self._waits_for(call)
        # Each turn asks the log first: an attempt whose answer was lost is looked for before there is another.
        while (known := await self.settle(call)) is None:  # the last attempt's answer, or what a look finds of it
            wait_s = next(waits if isinstance(failed, NotReadyYet) else attempts, None)
            if wait_s is None and failed is not None:
                raise failed
            if failed is not None and not isinstance(failed, NotReadyYet):
                self._notice(f"{call.name}: {failed.message}; trying again")
            await asyncio.sleep(wait_s or 0.0)
            failed = await self._attempt(call)
        return known

    def _waits_for(self, call: OnceCall) -> Iterator[float]:
        """Between attempts of a `call` that what it needs is not ready for; they end READY_S after the first."""
        began, wait_s = self._clock.now(), READY_FIRST_S
        self._notice(f"{call.name}: what it needs is not ready at the service yet; waiting up to {duration(READY_S)}")
        while self._clock.now() - began < READY_S:
            yield wait_s
            wait_s = min(wait_s * READY_GROWS, READY_LONGEST_S)

    async def _attempt(self, call: OnceCall) -> HerogenError | None:
        """Send `call` once; the error that another attempt may mend, whether it arrived or not.

        Between the intent and the outcome lies one await, and nothing that could fail but the call: a process that
        dies there leaves the intent open, and an exception that is no HerogenError leaves it open as well.
        """
        # Two open intents, and the fold remembers one: the other call could be made twice.
        if self.state.open is not None:
            raise RuntimeError("another intent would hide the one that lies open")
        if call.ready is not None:
            try:
                await call.ready(self.state.results)
            except RetryableError as error:
                return error
        # From here until its outcome is written, a kill leaves it open: that is what the log is for.
        self.record(INTENT, call=call.name)
        try:
            result = await call.send(self.state.results)
        except RetryableError as error:
            # Else it stays open, and the next turn looks for it: a timeout or a 500 says nothing about what the service
            # did.
            if _surely_did_nothing(error):
                self.record(CLOSED, call=call.name, error=error.message)
            return error
        except HerogenError as error:  # a refusal: the service has read it, and made nothing
            self.record(CLOSED, call=call.name, error=error.message)
            raise
        # A disk that refuses here leaves the intent open: the call is found by a look, and never made again.
        self.record(RESULT, call=call.name, result=result)
        return None

    async def _close(self, call: OnceCall) -> None:
        """Write down whether the open intent of `call` arrived."""
        if (adopted := self._resolution.adopt) is not None:
            await _confirm(call, adopted)
            self.record(RESULT, call=call.name, result=adopted, by=_PERSON)
        elif self._resolution.resend:
            self.record(CLOSED, call=call.name, by=_PERSON)
        elif (found := await self._look_for(call)) is not None:
            self._notice(f"{call.name}: it arrived, as {found}")
            self.record(RESULT, call=call.name, result=found, by=_LOOK)
        else:
            # Only after all looks: a call that was on its way when the process died may land a second later.
            self.record(CLOSED, call=call.name, by=_LOOK)

    async def _look_for(self, call: OnceCall) -> str | None:
        results = self.state.results
        for number, wait_s in enumerate(LOOKS_S):
            if number == 1:
                self._notice(f"{call.name}: the last attempt has no answer; checking whether it arrived")
            await asyncio.sleep(wait_s)
            try:
                found = await call.find(results)
            except (EndpointRefused, InputError, BadAnswer) as refused:
                # A key that is refused says nothing about the call: it stays open, and another look may tell.
                if isinstance(refused, EndpointRefused) and refused.status not in _CANT_TELL:
                    raise
                raise InputError(
                    f"{call.name}: the answer was lost, and the service has no list to show whether it arrived "
                    f"({refused.message})",
                    fix=f"look in the service's console for {call.look_for(results)}; if it is there, continue with "
                    "--adopt ID, else with --resend",
                ) from None
            if found is not None:
                return found
        return None


def _surely_did_nothing(error: RetryableError) -> bool:
    """Whether the call made nothing: turned away for now, or never sent. What else failed may be there."""
    return isinstance(error, RateLimited | NotReadyYet) or (isinstance(error, ConnectionFailed) and not error.sent)


async def _confirm(call: OnceCall, adopted: str) -> None:
    """InputError where nothing has that id: what is written down is asked for ever after."""
    if call.confirm is None:
        return
    try:
        await call.confirm(adopted)
    except (EndpointRefused, InputError) as error:
        if isinstance(error, EndpointRefused) and error.status != 404:
            raise
        raise InputError(
            f"{call.makes} {adopted!r} not found: {error.message}",
            fix=f"give --adopt the {call.makes}'s id as shown in the console",
        ) from None
