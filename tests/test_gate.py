"""The gate: who waits is let through in order, as fast as the rates permit, and never left behind. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.admission import Admission, Outcome, Ticket
from herogen_async.clock import MonotonicClock, VirtualClock, run_virtual
from herogen_async.engine.gate import Gate, window_fuse

NO_FUSE = nullcontext()  # the real one reads real time by itself


class Room:
    """An admission, its gate and the gate's dispatcher, in virtual time."""

    def __init__(self, *, rpm: float | None = None, tpm: float | None = None, fuse: Any = NO_FUSE) -> None:
        self.clock = VirtualClock()
        self.admission = Admission(self.clock.now(), rpm=rpm, tpm=tpm)
        self.gate = Gate(self.admission, self.clock, fuse=fuse)


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


def test_without_limits_nobody_waits() -> None:
    async def main() -> None:
        gate = Room(fuse=None).gate
        for _ in range(100):
            assert await gate.admit(1) is not None
        assert 0 == VirtualClock().now()

    run_virtual(main())


def test_a_thousand_callers_are_let_through_at_the_rate() -> None:
    async def main() -> float:
        async with opened(rpm=6000) as (gate, _):
            await asyncio.gather(*(gate.admit(0) for _ in range(1025)))
            return VirtualClock().now()

    assert pytest.approx(10, abs=1e-3) == run_virtual(main())  # 25 at once, then 100 a second


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


def test_nothing_goes_while_held_and_everything_after_it() -> None:
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
def test_who_waits_when_it_closes_gets_nothing_and_neither_does_who_comes_later(held: bool) -> None:
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


def test_what_is_given_back_lets_the_next_one_through_at_once() -> None:
    async def main() -> None:
        async with opened(rpm=1) as (gate, _):
            ticket = await gate.admit(1)
            assert ticket is not None
            waiting = asyncio.create_task(gate.admit(1))
            await turns()
            assert "requests" == gate.waiting_for
            gate.settle(ticket, Outcome.NOT_CHARGED)
            await waiting
            assert 0 == VirtualClock().now()

    run_virtual(main())


def test_a_cancelled_caller_takes_nothing_and_the_next_need_not_wait_for_its_turn() -> None:
    async def main() -> None:
        async with opened(tpm=600) as (gate, admission):
            assert await gate.admit(2) is not None
            large = asyncio.create_task(gate.admit(10_000))
            small = asyncio.create_task(gate.admit(0.1))
            await turns()
            large.cancel()
            await small
            assert VirtualClock().now() < 0.1
            assert 2 == admission.outstanding

    run_virtual(main())


def test_a_caller_that_is_cancelled_with_its_ticket_in_hand_gives_it_back() -> None:
    async def main() -> None:
        async with opened(rpm=600) as (gate, admission):
            caller = asyncio.create_task(gate.admit(1))
            while not admission.outstanding:
                await asyncio.sleep(0)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert 0 == admission.outstanding
            assert admission.requests is not None
            assert admission.requests.burst == admission.requests.level

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


def test_the_fuse_is_taken_once_a_start() -> None:
    assert (True, 1, 1) == through_a_shut_fuse(lambda gate, caller: None)


def test_nothing_that_waited_for_the_fuse_goes_into_a_pause() -> None:
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.pause(10))


def test_nothing_that_waited_for_the_fuse_goes_while_held() -> None:
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.hold(True))


def test_nothing_that_waited_for_the_fuse_goes_after_the_gate_was_closed() -> None:
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: gate.close())


def test_a_caller_that_is_cancelled_while_it_waits_for_the_fuse_leaks_no_ticket() -> None:
    assert (False, 1, 0) == through_a_shut_fuse(lambda gate, caller: caller.cancel())


def test_a_dispatcher_that_is_cancelled_while_it_waits_for_the_fuse_leaks_no_ticket() -> None:
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
    ("rpm", "starts", "period_s"), [(6000, 100, 1.0), (90, 2, 1.0), (60, 1, 1.0), (30, 1, 2.0), (1, 1, 60.0)]
)
def test_the_window_fuse_holds_a_second_or_the_time_of_one_start(rpm: float, starts: int, period_s: float) -> None:
    fuse = window_fuse(rpm)
    assert (starts, period_s) == (fuse.rate_limit, fuse.period)


def test_a_gate_with_a_rate_has_its_window_fuse_by_itself() -> None:
    async def main() -> None:
        clock = MonotonicClock()
        gate = Gate(Admission(clock.now(), rpm=60_000), clock)
        dispatcher = asyncio.create_task(gate.run())
        tickets = await asyncio.gather(*(gate.admit(1) for _ in range(100)))
        gate.close()
        await dispatcher
        assert all(tickets)

    asyncio.run(main())


# -- all of it at once -----------------------------------------------------------------------------------------


class Crowd:
    """Callers that come, go, are cancelled and settle at random moments, and what was seen of them."""

    def __init__(self, seed: int, rpm: float | None, tpm: float | None) -> None:
        self.random = random.Random(seed)
        self.room = Room(rpm=rpm, tpm=tpm, fuse=NO_FUSE)
        self.went: list[tuple[int, float]] = []
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
        ticket = await gate.admit(self.random.choice((1, 1, 5, 300)))
        assert isinstance(ticket, Ticket)
        self.went.append((number, self.room.clock.now()))
        try:
            await asyncio.sleep(self.random.expovariate(1))
        finally:
            gate.settle(ticket, self.random.choice(list(Outcome)), self.random.choice((None, 0, 3, 400)))

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
def test_whatever_happens_everybody_goes_in_order_outside_of_pauses_and_every_ticket_is_settled(
    seed: int, rpm: float | None, tpm: float | None
) -> None:
    async def main() -> Crowd:
        crowd = Crowd(seed, rpm, tpm)
        await crowd.run(40)
        return crowd

    crowd = run_virtual(main())
    numbers = [number for number, _ in crowd.went]
    assert sorted(numbers) == numbers
    assert 0 == crowd.room.admission.outstanding
    for _, went_s in crowd.went:
        assert not [1 for start_s, end_s in crowd.shut if start_s + 1e-6 < went_s < end_s - 1e-6]


def test_a_gate_says_what_it_is_waiting_for() -> None:
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
