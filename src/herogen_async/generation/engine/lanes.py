"""The lanes of a run: one, or one for each model and server that its columns name.

Kept here:
1. No lane ends while another one may still make calls ready for it: they end together, once all are quiet and no row is
   to be begun any more.
2. A lane that is closed by a park stops its own columns alone, and what builds on them; the others go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from herogen_async.generation.engine.counters import Counters, Straggler
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.lane import Lane
from herogen_async.generation.engine.ticker import Tick
from herogen_async.specs.plan import Call, Plan

VALUE_SHOWN = 40  # characters of a cell's value


class Lanes:
    """`first` asks for all columns but those of `others`. Iterated over, each lane once, and of several
    servers of a model the lane of each.
    """

    def __init__(self, plan: Plan, first: Lane[Call], others: Mapping[str, Lane[Call]]) -> None:
        self.first = first
        self.is_all_begun = False  # no row will be begun any more
        self._plan = plan
        self._calls = plan.calls_a_row
        self._has_columns = plan.has_columns
        self._all = tuple(dict.fromkeys(chain.from_iterable(lane.servers for lane in (first, *others.values()))))
        self._closed: set[Lane[Call]] = set()  # as far as was told
        for lane in self._all:
            lane.counts_usage = not self._has_columns  # each answer's is counted with its column
        self._by_place = [others.get(call.column.name, first) for call in plan.shape.calls]
        self.has_one_feed = len({lane.feed for lane in self._all}) == 1
        self._feeds_of_roots = tuple(dict.fromkeys(self._by_place[place].feed for place in plan.shape.roots))

    def __iter__(self) -> Iterator[Lane[Call]]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, call: Call) -> Lane[Call]:
        """The lane that asks for `call`; of several servers the first one's."""
        return self._by_place[call.index % self._calls]

    def asking(self, column: str | None) -> Collection[Lane[Call]]:
        """The lane of `column`, or those of its servers; without one all of them."""
        feeds = {self._by_place[each.first_call].feed for each in self._plan.columns if each.name == column}
        return [lane for lane in self._all if lane.feed in feeds] or self._all

    def close(self) -> None:
        """Send nothing more; what is in flight is finished."""
        for lane in self._all:
            lane.close()

    def cancel(self) -> None:
        """Send nothing more, and drop what is in flight."""
        for lane in self._all:
            lane.cancel()

    def hold(self, is_held: bool, why: str | None = None) -> None:
        """Let nothing through while `is_held`, because of `why`."""
        for lane in self._all:
            if why is None:
                lane.gate.hold(is_held)
            else:
                lane.gate.hold(is_held, why)

    def end_if_quiet(self) -> None:
        """End them all where nothing is queued, waits or is out in any, and nothing more will come."""
        # Of a closed one, too: what is in flight there may make calls ready for others when it comes home.
        if self.is_all_begun and all(lane.feed.is_quiet for lane in self._all):
            for lane in self._all:
                lane.feed.end()

    @property
    def has_new(self) -> bool:
        """Whether there are calls that were never handed out, or will be."""
        return any(lane.feed.has_new for lane in self._all)

    @property
    def can_begin(self) -> bool:
        """Whether a new row's first calls would be asked by anybody."""
        for feed in self._feeds_of_roots:  # noqa: SIM110 - asked for every row, and `any` takes four times as long
            if not feed.is_closed:
                return True
        return False

    @property
    def are_closed(self) -> bool:
        """Whether none sends anything any more."""
        return all(lane.feed.is_closed for lane in self._all)

    @property
    def refused(self) -> int:
        """How many calls are refused, and nobody can tell yet whether the row or the run is meant."""
        return sum(lane.refused for lane in self._all)

    @property
    def concurrency(self) -> int:
        """How many calls may be in flight in all of them together."""
        return sum(lane.concurrency for lane in self._all)

    @property
    def permitted(self) -> int:
        """How many calls may be in flight in all of them together for now: less than ever where that adapts."""
        return sum(lane.permitted for lane in self._all)

    def closed(self) -> tuple[frozenset[int], set[int]]:
        """Of the lanes that are closed: the places of their calls in a row, and the indices in flight."""
        lanes = {lane for lane in self._all if lane.feed.is_closed}
        places = frozenset(place for place, lane in enumerate(self._by_place) if lane in lanes)
        return places, {pending.call.index for lane in lanes for pending in lane.flying()}

    def newly_closed(self) -> list[str]:
        """The columns of lanes that were not closed when this was asked before."""
        lanes = {lane for lane in self._all if lane.feed.is_closed}
        news, self._closed = lanes - self._closed, lanes
        return [each.name for each in self._plan.columns if self._by_place[each.first_call] in news]

    # -- what goes by the clock --------------------------------------------------------------------------------

    def tick(self, tick: Tick) -> None:
        """What each lane does by the clock."""
        for lane in self._all:
            lane.tick(tick)

    def take_stock(self, counters: Counters) -> None:
        """Count anew what is permitted, taken and out, into `counters` where it is several lanes'."""
        for lane in self._all:
            lane.take_stock()
        if len(self._all) > 1:
            counters.gather([lane.counters for lane in self._all])
            counters.waiting = sum({lane.feed: lane.counters.waiting for lane in self._all}.values())  # once a feed
        if self._has_columns:
            counters.sum_columns()

    def stragglers(self, count: int, now: float) -> tuple[Straggler, ...]:
        """The `count` calls that are out the longest."""
        # Once each: lanes that share a feed tell the same calls that wait in it.
        oldest = list({each[0]: each for lane in self._all for each in lane.oldest(count)}.values())
        oldest.sort(key=lambda each: each[0].first_s or now)
        return tuple(_straggler(*each, now, self._calls) for each in oldest[:count])

    def sample(self, is_busy: bool, held_by: str | None) -> None:
        """Note what each of several waits for; `held_by` is what all of them do."""
        if len(self._all) == 1:
            return  # what the run waits for
        at_work = [lane for lane in self._all if lane.held]
        for lane in self._all:
            if self.has_one_feed:  # nobody else's answers are waited for
                at_rest = "cpu" if lane.feed.has_new else "tail"
            else:
                # Another column's answer makes calls ready for it, until all rows are begun and nobody else has any.
                comes = not self.is_all_begun or any(other.feed is not lane.feed for other in at_work)
                at_rest = "columns" if comes else "tail"
            waits_for = held_by or lane.binding(is_busy) or at_rest
            lane.counters.bind("parked" if lane.counters.parked else waits_for)

    def binding(self, is_busy: bool) -> str | None:
        """What is waited for; of several lanes by the one with the most to do: others wait behind it."""
        waiting = [lane.binding(is_busy) for lane in self._all]
        return max(zip(self._all, waiting, strict=True), key=_says_most)[1]


def _says_most(waiting: tuple[Lane[Call], str | None]) -> tuple[bool, bool, int]:
    """A server that is down says nothing of a run that others go on with."""
    lane, waits_for = waiting
    return not lane.counters.parked, waits_for is not None, lane.held


def _straggler(pending: PendingCall[Call], retry_in_s: float | None, now: float, calls_a_row: int) -> Straggler:
    call = pending.call
    sample = "" if call.sample is None else f".{call.sample}"
    return Straggler(
        index=call.index // calls_a_row,
        cell={name: value[:VALUE_SHOWN] for name, value in call.cell.items()},
        out_s=round(now - (now if pending.first_s is None else pending.first_s), 1),
        attempt=pending.attempt,
        retry_in_s=None if retry_in_s is None else round(retry_in_s, 1),
        after=pending.history[-1]["kind"] if pending.history else None,
        column=None if calls_a_row == 1 else f"{call.column}{sample}",
    )
