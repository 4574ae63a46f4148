"""Watching a job that runs elsewhere: a look as often as something happens to it, each event told once.

The job never depends on its watcher: a watcher may end at any time, and the next one is told everything again from the
first event on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, RetryableError

FIRST_S = 1.0  # after news the next is often near: a step of a small job takes about as long
GROWS = 1.4  # with every look that brought none
LONGEST_S = 15.0  # hours of work: nobody waits for a line, and a service counts the calls
UNREACHABLE_S = 120.0  # a service restarts, a laptop changes its network; what takes longer wants a person


class _State(Protocol):
    @property
    def stands_still(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        ...


class _Event(Protocol):
    @property
    def event_id(self) -> str:
        """Unique among the job's events."""
        ...


State = TypeVar("State", bound=_State)
Event = TypeVar("Event", bound=_Event)


class JobWatch(Generic[State, Event]):
    """Looks at one job until it stands still.

    `look` says how it stands now; `events`, what happened after the event with the given id (None: from the start),
    oldest first. Both cost nothing, and raise EndpointError. `longest_s`: the longest wait between looks, seconds.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[State]],
        events: Callable[[str | None], Awaitable[Sequence[Event]]],
        *,
        clock: Clock,
        notice: Callable[[str], None],
        longest_s: float = LONGEST_S,
    ) -> None:
        self._look = look
        self._events = events
        self._clock = clock
        self._notice = notice
        self._longest_s = longest_s
        self._told: set[str] = set()
        self._last_id: str | None = None
        self._events_are_read = True

    async def until_still(self, seen: Callable[[State, Sequence[Event], float], None]) -> State:
        """How the job stands when nothing more happens to it by itself.

        `seen` is told of each look: the state, the events that are new, and the seconds since the watch began. Raises
        RetryableError when the job is out of reach for UNREACHABLE_S, and at once what no other look would mend.
        """
        began, wait_s, lost_at = self._clock.now(), FIRST_S, None
        while True:
            try:
                state = await self._look()
            except RetryableError as error:
                lost_at = self._clock.now() if lost_at is None else lost_at
                # Counted from the first look that failed, and not in looks: how many there are depends on how quiet the
                # job is.
                if self._clock.now() - lost_at >= UNREACHABLE_S:
                    raise
                self._notice(f"{error.message}; trying again")
                wait_s = min(wait_s * GROWS, self._longest_s)
            else:
                lost_at, fresh = None, await self._fresh()
                seen(state, fresh, self._clock.now() - began)
                if state.stands_still:
                    return state
                wait_s = FIRST_S if fresh else min(wait_s * GROWS, self._longest_s)
            await asyncio.sleep(wait_s)

    async def _fresh(self) -> list[Event]:
        """What happened since the last look; none where that can't be read now: the job counts, not its story."""
        try:
            events = await self._events(self._last_id)
        except EndpointError as error:
            if self._events_are_read:
                self._notice(f"{error.message}; its events can't be read now")
            self._events_are_read = False
            return []
        self._events_are_read = True
        fresh = [event for event in events if event.event_id not in self._told]  # not every service knows `after`
        self._told.update(event.event_id for event in fresh)
        # The last one that there is, not the last that is new: a service that ignores `after` sends all of them each
        # time.
        if events:
            self._last_id = events[-1].event_id
        return fresh
