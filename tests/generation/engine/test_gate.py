"""The gate: who waits is let through in order, as fast as the rates permit, and never left behind. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.clock import MonotonicClock, VirtualClock, run_virtual
from herogen_async.core.errors import RateLimited
from herogen_async.core.limits import Limits, Reading
from herogen_async.generation.endpoint import Request
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.fuse import window_fuse
from herogen_async.generation.engine.gate import TOGETHER, Gate
from herogen_async.generation.limits import Admission, Charge, Ticket, Used
from support.engine_rig import VirtualFuse
from support.virtual_runs import SizeIsTokens

NO_FUSE = nullcontext()  # the real one reads real time by itself


class Room:
    """An admission, its gate and the gate's dispatcher, in virtual time."""

    def __init__(self, *, rpm: float | None = None, tpm: float | None = None, fuse: Any = NO_FUSE) -> None:
        self.clock = VirtualClock()
        self.admission = Admission(self.clock.now(), Limits(rpm=rpm, tpm=tpm), estimate=SizeIsTokens())
        self.gate = Gate(self.admission, self.clock, fuse_for=lambda rate, window_s: fuse)


@asynccontextmanager
async def opened(
    *, rpm: float | None = None, tpm: float | None = None, fuse: Any = NO_FUSE
) -> AsyncIterator[tuple[Gate, Admission]]:
    """A gate whose dispatcher runs until the block ends."""
    room = Room(rpm=rpm, tpm=tpm, fuse=fuse)
    dispatcher = asyncio.create_task(room.gate.run())
    try:
        yield room.gate, room.admission
    finally:
        room.gate.close()
        await dispatcher


async def turns() -> None:
    """Let all that can go on now go on."""
    for _ in range(20):
        await asyncio.sleep(0)


class HandFuse:
    """A fuse that lets nothing through while it is shut."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.starts = 0

    async def __aenter__(self) -> None:
        await self.open.wait()
        self.starts += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def test_without_limits_no_call_waits() -> None:
    """With no limits, a hundred calls are admitted without any time passing."""

    async def main() -> None:
        gate = Room(fuse=None).gate
        for _ in range(100):
            assert await gate.admit(1) is not None
        assert 0 == VirtualClock().now()

    run_virtual(main())


def test_a_thousand_callers_pass_at_the_set_rate() -> None:
    """At 6,000 requests per minute, 1,001 callers pass in 10 s."""

    async def main() -> float:
        async with opened(rpm=6000) as (gate, _):
            await asyncio.gather(*(gate.admit(0) for _ in range(1001)))
            return VirtualClock().now()

    assert pytest.approx(10, abs=1e-3) == run_virtual(main())  # one at once, then 100 a second


def test_the_first_to_come_is_the_first_to_go_whatever_it_needs() -> None:
    """I3: nothing small overtakes something large."""

    async def main() -> list[int]:
        went: list[int] = []

        async with opened(tpm=6000) as (gate, _):

            async def caller(number: int) -> None:
                await gate.admit(500 if number % 3 == 0 else 1)
                went.append(number)

            await asyncio.gather(*(caller(number) for number in range(30)))
        return went

    assert list(range(30)) == run_virtual(main())


def test_i3_the_refused_go_first_in_their_own_order() -> None:
    """I3."""

    async def main() -> list[str]:
        went: list[str] = []

        async with opened(rpm=600) as (gate, _):

            async def caller(name: str) -> None:
                await gate.admit(1, again=name.startswith("again"))
                went.append(name)

            await gate.admit(1)
            names = ("new 1", "new 2", "again 1", "new 3", "again 2", "again 3")
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(caller(name))
        return went

    assert ["again 1", "again 2", "again 3", "new 1", "new 2", "new 3"] == run_virtual(main())


def test_i3_the_refused_take_no_turn_of_who_waits_for_the_fuse() -> None:
    """I3: whoever has passed the buckets goes, and nobody twice."""

    async def main() -> list[int]:
        fuse = HandFuse()
        went: list[int] = []

        async with opened(rpm=60_000, fuse=fuse) as (gate, admission):

            async def caller(number: int, again: bool) -> None:
                await gate.admit(1, again=again)
                went.append(number)

            new = asyncio.create_task(caller(1, False))
            await turns()
            again = asyncio.create_task(caller(2, True))
            await turns()
            fuse.open.set()
            await asyncio.gather(new, again)
            assert 2 == fuse.starts == admission.outstanding
        return went

    assert [1, 2] == run_virtual(main())


def test_a_need_larger_than_a_minutes_limit_still_goes() -> None:
    """I3: it goes from a full bucket, and all others wait until it is paid for."""

    async def main() -> tuple[float, float]:
        async with opened(tpm=60) as (gate, _):
            await gate.admit(180)
            large_s = VirtualClock().now()
            await gate.admit(1)
            return large_s, VirtualClock().now()

    assert pytest.approx((0.0, 180.0)) == run_virtual(main())


def test_i4_a_refusal_closes_the_gate_and_its_row_goes_first() -> None:
    """I4."""

    async def main() -> list[tuple[str, float]]:
        went: list[tuple[str, float]] = []

        async with opened(rpm=6000) as (gate, _):
            ticket = await gate.admit(1)
            assert ticket is not None
            error = RateLimited("slow down", status=429)
            error.retry_after_s = 5.0
            await asyncio.sleep(1)
            gate.refused(ticket, error, 5.0)
            gate.settle(ticket, Charge.NOT_CHARGED)

            async def caller(name: str, again: bool) -> None:
                await gate.admit(1, again=again)
                went.append((name, round(VirtualClock().now(), 2)))

            await asyncio.gather(caller("other", False), caller("refused", True))
        return went

    assert [("refused", 6.0), ("other", 6.0)] == run_virtual(main())


def test_nothing_goes_during_a_pause_and_everything_after_it() -> None:
    """I4."""

    async def main() -> None:
        async with opened() as (gate, _):
            gate.pause(7)
            waiting = asyncio.gather(*(gate.admit(1) for _ in range(5)))
            await asyncio.sleep(6.999)
            assert "gate" == gate.waiting_for
            assert not waiting.done()
            await waiting
            assert pytest.approx(7) == VirtualClock().now()
            await turns()
            assert gate.waiting_for is None

    run_virtual(main())


def test_nothing_passes_a_held_gate() -> None:
    """A held gate admits nobody and reports `disk`; all waiting callers pass on release."""

    async def main() -> None:
        async with opened(rpm=60_000) as (gate, _):
            gate.hold(True)
            waiting = asyncio.gather(*(gate.admit(1) for _ in range(5)))
            await asyncio.sleep(1000)
            assert not waiting.done()
            assert "disk" == gate.waiting_for
            gate.hold(False)
            await waiting
            assert pytest.approx(1000) == VirtualClock().now()

    run_virtual(main())


@pytest.mark.parametrize("held", [False, True])
def test_who_waits_when_the_gate_closes_gets_nothing(held: bool) -> None:
    """Neither does who comes later."""

    async def main() -> None:
        async with opened(rpm=1) as (gate, admission):
            assert await gate.admit(1) is not None
            gate.hold(held)
            waiting = asyncio.gather(*(gate.admit(1) for _ in range(5)))
            await turns()
            gate.close()
            assert [None] * 5 == await waiting
            assert await gate.admit(1) is None
            assert 1 == admission.outstanding

    run_virtual(main())


def test_a_returned_ticket_admits_the_next_caller_at_once() -> None:
    """A ticket settled as not charged lets the next caller through without waiting."""

    async def main() -> None:
        async with opened(rpm=1) as (gate, _):
            ticket = await gate.admit(1)
            assert ticket is not None
            waiting = asyncio.create_task(gate.admit(1))
            await turns()
            assert "requests" == gate.waiting_for
            gate.settle(ticket, Charge.NOT_CHARGED)
            await waiting
            assert 0 == VirtualClock().now()

    run_virtual(main())


def test_a_cancelled_caller_takes_nothing() -> None:
    """The next one need not wait for its turn."""

    async def main() -> None:
        async with opened(tpm=600) as (gate, admission):
            assert await gate.admit(2) is not None
            large = asyncio.create_task(gate.admit(10_000))
            small = asyncio.create_task(gate.admit(0))
            await turns()
            large.cancel()
            await small
            assert VirtualClock().now() < 0.1
            assert 2 == admission.outstanding

    run_virtual(main())


def test_a_caller_cancelled_with_a_ticket_returns_it() -> None:
    """A caller cancelled just after admission returns its ticket, and the bucket is full again."""

    async def main() -> None:
        async with opened(rpm=600) as (gate, admission):
            gate.hold(True)
            caller = asyncio.create_task(gate.admit(1))
            await turns()
            gate.hold(False)
            while not admission.outstanding:
                await asyncio.sleep(0)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert 0 == admission.outstanding
            requests = admission.table.find("requests")
            assert requests is not None
            assert 1.0 == requests.level  # as at the start

    run_virtual(main())


# -- the fuse --------------------------------------------------------------------------------------------------


def through_a_shut_fuse(act: Any) -> tuple[bool, int, int]:
    """(whether the caller went, starts, outstanding), when `act(gate, caller)` happens while its fuse is shut."""

    async def main() -> tuple[bool, int, int]:
        fuse = HandFuse()
        async with opened(rpm=600, fuse=fuse) as (gate, admission):
            caller = asyncio.create_task(gate.admit(1))
            await turns()
            assert "requests" == gate.waiting_for
            act(gate, caller)
            fuse.open.set()
            await turns()
            went = caller.done() and not caller.cancelled() and caller.result() is not None
            return went, fuse.starts, admission.outstanding

    return run_virtual(main())


def test_the_fuse_is_taken_once_per_start() -> None:
    """Each admitted call consults the fuse exactly once."""
    assert (True, 1, 1) == through_a_shut_fuse(lambda gate, caller: None)


def test_no_caller_leaves_the_fuse_during_a_pause() -> None:
    """A caller that waited at the fuse is not sent when a pause began meanwhile."""
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.pause(10))


def test_no_caller_leaves_the_fuse_while_held() -> None:
    """A caller that waited at the fuse is not sent while the gate is held."""
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.hold(True))


def test_no_caller_leaves_the_fuse_of_a_closed_gate() -> None:
    """A caller that waited at the fuse is not sent after the gate was closed."""
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.close())


def test_a_caller_cancelled_at_the_fuse_leaks_no_ticket() -> None:
    """I2, in the middle of the fuse's wait."""
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: caller.cancel())


def test_a_dispatcher_cancelled_at_the_fuse_leaks_no_ticket() -> None:
    """I2, in the middle of the fuse's wait."""

    async def main() -> None:
        room = Room(rpm=600, fuse=HandFuse())
        dispatcher = asyncio.create_task(room.gate.run())
        caller = asyncio.create_task(room.gate.admit(1))
        await turns()
        dispatcher.cancel()
        caller.cancel()
        await asyncio.gather(dispatcher, caller, return_exceptions=True)
        assert 0 == room.admission.outstanding

    run_virtual(main())


@pytest.mark.parametrize(
    ("rpm", "starts", "period_s"), [(6000, 100, 1.0), (90, 1, 1.0), (60, 1, 1.0), (30, 1, 2.0), (1, 1, 60.0)]
)
def test_the_window_fuse_holds_a_windows_worth(rpm: float, starts: int, period_s: float) -> None:
    """Where that is less than one start, one in the time of one."""
    fuse = window_fuse(rpm / 60, 1.0)
    assert (starts, pytest.approx(period_s, rel=0.021)) == (fuse.rate_limit, fuse.period)
    assert fuse.period >= period_s


def test_a_gate_with_a_rate_gets_its_own_window_fuse() -> None:
    """A gate with a rate works with its default fuse: 100 callers are all admitted in real time."""

    async def main() -> None:
        clock = MonotonicClock()
        gate = Gate(Admission(clock.now(), Limits(rpm=60_000)), clock)
        dispatcher = asyncio.create_task(gate.run())
        tickets = await asyncio.gather(*(gate.admit(1) for _ in range(100)))
        gate.close()
        await dispatcher
        assert all(tickets)

    asyncio.run(main())


def test_after_a_suspend_no_more_start_in_a_window_than_the_user_permits() -> None:
    """I7: the fuse counts starts by itself, whatever the buckets' arithmetic says."""

    async def main() -> list[float]:
        room = Room(rpm=600)
        fuse = VirtualFuse(10, 1.0, room.clock)
        gate = Gate(room.admission, room.clock, window_s=1.0, fuse_for=lambda rate, window_s: fuse)
        dispatcher = asyncio.create_task(gate.run())
        requests = room.admission.table.find("requests")
        assert requests is not None
        starts = []
        for number in range(40):
            if number == 20:
                await asyncio.sleep(3600)
                requests.burst = requests.level = 1000.0  # as if a mistake had let it save up the hour
            await gate.admit(1)
            starts.append(VirtualClock().now())
        gate.close()
        await dispatcher
        return starts

    starts = run_virtual(main())
    assert [] == [1 for first, eleventh in zip(starts, starts[10:], strict=False) if eleventh - first < 1 - 1e-9]


@pytest.mark.parametrize(
    ("ceiling", "told", "window_s", "fuse"),
    [
        (None, 50.0, None, None),  # told by headers alone: there may be more than a minute's worth saved up
        (100.0, None, None, (100.0, 60.0)),
        (100.0, None, 1.0, (100.0, 1.0)),
        (100.0, 50.0, 1.0, (50.0, 1.0)),
        (100.0, 200.0, 1.0, (100.0, 1.0)),
        (None, 50.0, 1.0, (50.0, 1.0)),
    ],
)
def test_the_fuse_holds_the_users_ceiling(
    ceiling: float | None, told: float | None, window_s: float | None, fuse: tuple[float, float] | None
) -> None:
    """... and what the server tells, where its windows are known."""
    made: list[tuple[float, float]] = []

    def fuse_for(rate: float, window_s: float) -> HandFuse:
        made.append((rate, window_s))
        return HandFuse()

    async def main() -> None:
        clock = VirtualClock()
        limits = Limits(rpm=None if ceiling is None else ceiling * 60)
        admission = Admission(clock.now(), limits, window_s=window_s)
        gate = Gate(admission, clock, window_s=window_s, fuse_for=fuse_for)
        ticket = admission.reserve(1, clock.now())
        assert isinstance(ticket, Ticket)
        gate.settle(ticket, Charge.ANSWERED, None, [] if told is None else [Reading("requests", told * 60, 1.0)])

    run_virtual(main())
    assert fuse == (made[-1] if made else None)


# -- all of it at once -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Went:
    """A caller that went: its number, whether it was a second time, when it came and when it was let through."""

    number: int
    again: bool
    came_s: float
    went_s: float


class Crowd:
    """Callers that come, go, are cancelled and settle at random moments, and what was seen of them."""

    def __init__(self, seed: int, rpm: float | None, tpm: float | None) -> None:
        self.random = random.Random(seed)
        self.room = Room(rpm=rpm, tpm=tpm, fuse=NO_FUSE)
        self.went: list[Went] = []
        self.shut: list[tuple[float, float]] = []

    async def run(self, callers: int) -> None:
        dispatcher = asyncio.create_task(self.room.gate.run())
        others = [asyncio.create_task(self.pauses()), asyncio.create_task(self.holds())]
        tasks = []
        for number in range(callers):
            tasks.append(asyncio.create_task(self.caller(number)))
            if self.random.random() < 0.2:
                self.later(self.random.choice(tasks).cancel)
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.expovariate(5))
        await asyncio.gather(*tasks, return_exceptions=True)
        for other in others:
            other.cancel()
        self.room.gate.close()
        await dispatcher

    def later(self, action: Any) -> None:
        asyncio.get_running_loop().call_later(self.random.expovariate(3), action)

    async def caller(self, number: int) -> None:
        gate = self.room.gate
        again, came_s = self.random.random() < 0.3, self.room.clock.now()
        ticket = await gate.admit(self.random.choice((1, 1, 5, 300)), again=again)
        assert isinstance(ticket, Ticket)
        self.went.append(Went(number, again, came_s, ticket.at))
        try:
            await asyncio.sleep(self.random.expovariate(1))
        finally:
            used = self.random.choice((None, 0, 3, 400))
            gate.settle(ticket, self.random.choice(list(Charge)), None if used is None else Used(0, used))

    async def pauses(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(0.5))
            self.shut.append((self.room.clock.now(), self.room.clock.now() + 0.7))
            self.room.gate.pause(0.7)

    async def holds(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(0.3))
            start_s = self.room.clock.now()
            self.room.gate.hold(True)
            await asyncio.sleep(0.3)
            self.room.gate.hold(False)
            self.shut.append((start_s, self.room.clock.now()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([None, 30, 600]), st.sampled_from([None, 600, 6000]))
def test_everybody_goes_in_order_and_every_ticket_is_settled(seed: int, rpm: float | None, tpm: float | None) -> None:
    """I2, I3, I4: callers come, are cancelled, settle and are paused at random moments."""

    async def main() -> Crowd:
        crowd = Crowd(seed, rpm, tpm)
        await crowd.run(40)
        return crowd

    crowd = run_virtual(main())
    for again in (False, True):
        numbers = [went.number for went in crowd.went if went.again is again]
        assert sorted(numbers) == numbers
    for new in (went for went in crowd.went if not went.again):
        overtaken = [went for went in crowd.went if went.again and went.came_s < new.went_s < went.went_s]
        assert [] == overtaken
    assert 0 == crowd.room.admission.outstanding
    for went in crowd.went:
        assert not [1 for start_s, end_s in crowd.shut if start_s + 1e-6 < went.went_s < end_s - 1e-6]


def test_a_gates_repr_says_what_it_waits_for() -> None:
    """The gate's repr shows queue length, the limit it waits for and whether it is closed."""

    async def main() -> str:
        async with opened(rpm=1) as (gate, _):
            await gate.admit(1)
            waiting = asyncio.create_task(gate.admit(1))
            await turns()
            shown = repr(gate)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            return shown

    assert "<Gate queued=1 waiting_for='requests' closed=False>" == run_virtual(main())


def test_several_calls_are_let_through_at_once_as_far_as_the_fuse_permits() -> None:
    """A user's limit that does not bind costs no wait; where its window is full, the first of them go and no more."""

    async def main() -> None:
        calls = [PendingCall(None, Request("p"), 1) for _ in range(5)]
        async with opened(rpm=6_000_000) as (gate, admission):
            await asyncio.sleep(1)
            assert 5 == len(gate.admit_together(calls))
            assert 5 == admission.outstanding
            gate.hold(True)
            assert [] == gate.admit_together(calls)
        async with opened(rpm=3) as (gate, admission):
            await asyncio.sleep(60)
            tickets = gate.admit_together(calls)
            assert 0 < len(tickets) <= 3
            assert len(tickets) == admission.outstanding
            assert gate.admit_now(1) is None

    run_virtual(main())


def test_whoever_was_let_through_and_has_not_gone_when_the_gate_is_closed_stays() -> None:
    """Granted and closed in one turn of the loop: nothing is sent, and what was reserved is given back."""

    async def main() -> None:
        async with opened(rpm=60) as (gate, admission):
            assert gate.admit_now(1) is not None
            waiting = asyncio.create_task(gate.admit(1))
            await turns()
            while admission.outstanding < 2:
                assert not waiting.done()
                await asyncio.sleep(0.01)
            gate.close()
            assert await waiting is None
            assert 1 == admission.outstanding

    run_virtual(main())


def test_no_calls_ask_nothing_of_those_who_share() -> None:
    """A turn whose feed was empty has nothing to send: the other processes' ledger is left alone."""

    class Untouched:
        def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
            raise AssertionError("nobody had to know")

        def release(self, values: tuple[float, ...] | None, now: float) -> None: ...

    async def main() -> None:
        clock = VirtualClock()
        gate = Gate(Admission(clock.now(), Limits(rpm=60), ledger=Untouched()), clock)
        assert [] == gate.admit_together([])

    run_virtual(main())


def test_those_who_were_held_up_go_on_together() -> None:
    """Who shares the limits is asked once for many of them; those that were cancelled meanwhile start nothing."""

    class Counted:
        def __init__(self) -> None:
            self.visits = 0

        def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
            self.visits += 1
            return None

        def release(self, values: tuple[float, ...] | None, now: float) -> None: ...

    async def main() -> None:
        clock, ledger, fuse = VirtualClock(), Counted(), HandFuse()
        fuse.open.set()
        admission = Admission(clock.now(), Limits(rpm=6_000_000), ledger=ledger)
        gate = Gate(admission, clock, fuse_for=lambda rate, window_s: fuse)
        dispatcher = asyncio.create_task(gate.run())
        gate.hold(True)
        waiting = [asyncio.create_task(gate.admit(1)) for _ in range(4 * TOGETHER)]
        await asyncio.sleep(1)
        for each in waiting[1::2]:
            each.cancel()
        before = ledger.visits
        gate.hold(False)
        tickets = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, Ticket) for each in tickets[::2])
        assert 2 * TOGETHER == admission.outstanding == fuse.starts
        assert ledger.visits - before <= 4
        gate.close()
        await dispatcher

    run_virtual(main())
