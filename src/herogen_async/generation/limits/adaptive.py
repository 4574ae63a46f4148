"""How many calls in flight are worth having: found by trying, kept by watching.

Most servers that one runs oneself never refuse: they queue. So the limit climbs for as long as more calls in flight
bring more answers.

Two designs were measured in the simulation of `tests/generation/limits/test_concurrency.py`. A gradient (limit x 1.5 x
lowest latency / latency, plus its root) needs the latency without a queue, and after a while takes its own queue for
that: 4 to 5 service times of queueing at eight slots, and not yet 60 in flight after 90 s where 600 would do. This one
compares throughput with throughput: 0.2 to 0.3 service times, 500 in flight after half a minute, and about 1 % of the
answers lost to its trials.

A *window* measures throughput by Little's law (in flight / mean latency), with whole calls only: after each change as
many calls are let through as were in flight, for they were sent under the old limit. `climb` decides what to try next.

Kept here:
- smallest <= limit <= largest;
- nothing grows from a window in which the limit was not in use;
- one cut an episode: calls sent before the last cut don't cut again.
"""

from __future__ import annotations

from math import sqrt

from herogen_async.generation.limits.hill_climb import Climb, Reach, Sample

INITIAL = 8  # what the smallest of servers stands for a few seconds; ten doublings away from nothing
LARGEST = 1024  # past it a process has other limits: descriptors, memory, the loop itself
SHORTEST_WINDOW_S = 0.05  # of a server that answers in no time: outlasts hiccups of the loop
FILLED = 0.9  # mean in flight over the limit; less means that the caller, and not the limit, holds back
CALM_S = 10.0  # after a refusal: what lies above is tried once in so long at most
STALL_S, STALL_LATENCIES = 60.0, 10.0  # nothing happened for so long: the machine slept, and so did the calls


class Window:
    """One measurement: lets `skip` calls pass, then counts `wanted`. Times in seconds, monotonic."""

    __slots__ = ("_answered", "_area", "_calls", "_since", "_squares", "_sum_s", "_wanted", "peak", "skip")

    def __init__(self, skip: int, wanted: int) -> None:
        self.skip = skip
        self._wanted = wanted
        self.open(0.0, 0.0, 0)

    def open(self, now: float, area: float, in_flight: int) -> None:
        """Begin to count; `area` is the integral of calls in flight so far."""
        self._since, self._area, self.peak = now, area, in_flight
        self._calls = self._answered = 0
        self._sum_s = self._squares = 0.0

    def ended(self, latency_s: float, ok: bool) -> int:
        """Count one call; how many are lacking."""
        self._calls += 1
        if ok:
            self._answered += 1
        if latency_s > 0:  # a clock went backwards
            self._sum_s += latency_s
            self._squares += latency_s * latency_s
        return self._wanted - self._calls

    @property
    def failing(self) -> bool:
        return 2 * self._answered < self._calls

    def sample(self, now: float, area: float, limit: int) -> Sample | None:
        """What was measured; None where the limit was not in use, or nothing was answered."""
        in_flight = (area - self._area) / (now - self._since)
        if self.peak < limit or in_flight < FILLED * limit or not self._answered or self._sum_s <= 0:
            return None
        mean_s = self._sum_s / self._calls
        answered = self._answered / self._calls
        latencies = max(0.0, self._squares / self._calls - mean_s * mean_s) / mean_s**2
        spread = sqrt(latencies + (1 - answered) / answered)  # how many failed is chance too
        return Sample(in_flight, answered * in_flight / mean_s, self._calls, mean_s, spread)

    def lasted(self, now: float) -> bool:
        return now - self._since >= SHORTEST_WINDOW_S


class AdaptiveConcurrency:
    """`limit` calls may be in flight now. Each `started` is followed by one `finished` or `refused`.

    `now` and latencies are seconds of one monotonic clock. A change is seen by comparing `limit` before and after.
    """

    __slots__ = ("_answered", "_area", "_before_cut", "_climb", "_cut_at", "_now", "_window", "in_flight")

    def __init__(self, *, initial: int = INITIAL, smallest: int = 1, largest: int = LARGEST) -> None:
        if not 1 <= smallest <= initial <= largest:
            raise ValueError(f"1 <= smallest <= initial <= largest, not {smallest!r}, {initial!r}, {largest!r}")
        self.in_flight = 0
        self._climb = Climb(Reach(smallest, initial, largest))
        # The first calls all start at once: those that end first are the short ones, and say too little.
        self._window = Window(initial, self._climb.calls_wanted)
        self._now = self._cut_at = float("-inf")
        self._area = 0.0  # integral of calls in flight
        self._answered = True  # a call sent after the last cut came back well
        self._before_cut = 0

    @property
    def limit(self) -> int:
        return self._climb.limit

    @property
    def settled(self) -> bool:
        """Trials are at their finest: what is known now changes only if the server does."""
        return self._climb.settled

    @property
    def knee(self) -> int | None:
        """The limit from which on more in flight did not bring more answers: the endpoint binds. None while growing,
        at `largest` (the concurrency binds) or below refusals (the server's limits do)."""
        climb = self._climb
        known = climb.settled and climb.flat and climb.reach.ceiling >= climb.reach.largest
        return climb.level if known else None

    def started(self, now: float) -> None:
        if now > self._now:
            self._pass(now)
        self.in_flight += 1
        window = self._window
        if self.in_flight > window.peak:  # noqa: PLR1730 - max() costs three times as much, for every call
            window.peak = self.in_flight

    def finished(self, latency_s: float, now: float, ok: bool = True) -> None:
        """A call ended; `ok` False for failures: they hold a place in flight, and are no throughput."""
        if now > self._now:
            self._pass(now)
        self._left()
        if not self._answered and ok and self._now - latency_s >= self._cut_at:
            self._answered = True
        window = self._window
        if window.skip > 0:
            window.skip -= 1
            if window.skip == 0:
                window.open(self._now, self._area, self.in_flight)
        elif window.ended(latency_s, ok) <= 0 and window.lasted(self._now):
            self._measured(window)

    def refused(self, now: float, latency_s: float | None = None) -> None:
        """A call ended with a 429: cuts the limit, once an episode.

        Calls sent before the last cut don't cut again; without `latency_s` as many count as such as were in flight.
        Nor does a server cut twice that answered nothing in between: it refuses for another reason than concurrency.
        """
        if now > self._now:
            self._pass(now)
        old = self._before_cut > 0 if latency_s is None else self._now - latency_s < self._cut_at
        self._left()
        if old or not self._answered:
            return
        self._cut_at, self._answered, self._before_cut = self._now, False, self.in_flight
        self._climb.cut()
        self._settle()

    def _pass(self, now: float) -> None:
        gap_s = now - self._now
        if gap_s > STALL_S and 0 < STALL_LATENCIES * self._climb.latency_s < gap_s:
            self._climb.forget()
            self._settle()
        if self.in_flight:  # also keeps the first call's endless gap out
            self._area += self.in_flight * gap_s
        self._now = now

    def _left(self) -> None:
        if self.in_flight:
            self.in_flight -= 1
        if self._before_cut:
            self._before_cut -= 1

    def _measured(self, window: Window) -> None:
        before = self._climb.limit
        self._climb.reach.calm = self._now - self._cut_at >= CALM_S
        if window.failing:
            self._climb.failed()
        else:
            self._climb.feed(window.sample(self._now, self._area, before))
        if self._climb.limit != before:
            self._settle()
        else:
            self._window = Window(0, self._climb.calls_wanted)
            self._window.open(self._now, self._area, self.in_flight)

    def _settle(self) -> None:
        """Every call that was in flight under another limit must be through before anything is measured."""
        self._window = Window(max(self.in_flight, self._climb.limit), self._climb.calls_wanted)
