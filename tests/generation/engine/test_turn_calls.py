"""Calls that are taken in by turns: an answer that has come is kept, whatever strikes in whichever gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from herogen_async.core.clock import run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import ParkReason, ServerFault
from herogen_async.generation.engine import Deadline, Lane, intake
from herogen_async.generation.journal import row_line
from herogen_async.generation.limits.latencies import Latencies
from herogen_async.generation.retry import Park
from herogen_async.specs.plan import Call
from support.both_ways import ByTurns
from support.engine_rig import Rig, Scripted

Strike = Callable[["TurnRig", "asyncio.Task[Any]"], object]
VALUES = 4  # twice as many calls
NO_PATIENCE = Deadline(floor_s=0.0, ceiling_s=0.0)


class Watched(ByTurns):
    """It keeps the prompts of the answers that have come, and that nobody dropped before."""

    def __init__(self, endpoint: Scripted) -> None:
        super().__init__(endpoint)
        self.came: list[str] = []

    def _add(self, tag: Any, task: asyncio.Task[Any]) -> None:
        if task in self._begun and not task.cancelled() and task.exception() is None:
            self.came.append(tag.pending.request.prompt)
        super()._add(tag, task)


class TurnRig(Rig):
    """A rig whose answers come by turns, several in each; some calls fail at first."""

    def __init__(self) -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.5 if "woman" in prompt else 1.0)
            if attempt == 1 and "21" in prompt:
                raise ServerFault("HTTP 500: no", status=500)

        self.watched = Watched(Scripted(script))
        super().__init__(endpoint=self.watched, values=VALUES, concurrency=3, deadline=Deadline(30.0, 600.0))

    def kept(self) -> list[str]:
        return [loads(line)["prompt"] for line in self.journal.rows]


def struck(at: int, strike: Strike, monkeypatch: pytest.MonkeyPatch) -> tuple[TurnRig, int, BaseException | None]:
    """A run that `strike` meets behind the `at`-th step of the loop: (rig, how many steps it took, what it raised)."""
    steps, raised = 0, None
    run_step = asyncio.events.Handle._run
    rig: TurnRig

    async def main() -> None:
        nonlocal raised, rig
        rig = TurnRig()
        task = asyncio.ensure_future(rig.run())

        def step(handle: asyncio.events.Handle) -> None:
            nonlocal steps
            run_step(handle)
            if task.done():
                return
            steps += 1
            if steps == at:
                strike(rig, task)

        with monkeypatch.context() as patch:
            patch.setattr(asyncio.events.Handle, "_run", step)
            await asyncio.wait({task})
        raised = asyncio.CancelledError() if task.cancelled() else task.exception()

    run_virtual(main())
    return rig, steps, raised


def cancel(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    rig.engine.cancel()


def cancel_from_outside(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    task.cancel()


def interrupt(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    rig.engine.interrupt("enough")


def park(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    rig.engine.park(Park(ParkReason.BUDGET, "no money", "more"))


def cut_off(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    """All that is in flight takes too long, as far as a tick knows."""
    calls = rig.lane._calls
    before, calls._deadline = calls._deadline, NO_PATIENCE
    calls.cut_off(rig.clock.now(), Latencies())
    calls._deadline = before


def shrink(rig: TurnRig, task: asyncio.Task[Any]) -> None:
    rig.engine.resize(1)


ENDS: list[Strike] = [cancel, cancel_from_outside, interrupt, park]
GOES_ON: list[Strike] = [cut_off, shrink]


@pytest.fixture(scope="module")
def steps() -> int:
    with pytest.MonkeyPatch.context() as patch:
        rig, steps, raised = struck(-1, cancel, patch)
    assert (None, 2 * VALUES) == (raised, rig.counters.done)
    assert len(rig.watched.came) > VALUES  # by turns, and not one by one
    return steps


@pytest.mark.parametrize("strike", ENDS, ids=lambda each: each.__name__)
def test_p4_an_answer_that_has_come_is_kept_wherever_a_run_is_ended(
    strike: Strike, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind each step of the loop: cancelled, cancelled from outside, interrupted, parked."""
    for at in range(1, steps):
        rig, _, raised = struck(at, strike, monkeypatch)
        kept = rig.kept()
        assert len(kept) == len(set(kept)), f"step {at}: a row is there twice"
        assert set(rig.watched.came) <= set(kept), f"step {at}: an answer that had come is lost"
        is_over = rig.counters.done == rig.plan.size  # then there may be nothing left to cancel
        is_cancelled = isinstance(raised, asyncio.CancelledError)
        assert raised is None or is_cancelled, f"step {at}: {raised!r}"
        assert is_over or is_cancelled == (strike is cancel_from_outside), f"step {at}"
        assert 0 == rig.admission.outstanding, f"step {at}: a ticket leaked"
        assert 0 == rig.counters.in_flight, f"step {at}"
        assert {"out": 0} == {"out": rig.lane.feed.statistics()["out"]}, f"step {at}"


@pytest.mark.parametrize("strike", GOES_ON, ids=lambda each: each.__name__)
def test_a_run_that_goes_on_brings_every_row_wherever_it_is_struck(
    strike: Strike, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind each step of the loop: all that is in flight cut off, fewer calls at once."""
    for at in range(1, steps):
        rig, _, raised = struck(at, strike, monkeypatch)
        assert raised is None, f"step {at}: {raised!r}"
        kept = rig.kept()
        assert 2 * VALUES == len(kept) == len(set(kept)) == rig.counters.done, f"step {at}"
        assert set(rig.watched.came) <= set(kept), f"step {at}"


def test_p4_an_answer_whose_line_can_not_be_written_costs_none_that_came_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake of ours in one line ends the run, and the other answers of that turn are kept."""

    def failing(call: Call, *rest: Any, **more: Any) -> bytes:
        if "man" in call.prompt and "woman" not in call.prompt and "21" in call.prompt:
            raise ZeroDivisionError
        return row_line(call, *rest, **more)

    monkeypatch.setattr(intake, "row_line", failing)

    async def main() -> None:
        async def together(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)

        watched = Watched(Scripted(together))
        rig = Rig(endpoint=watched, values=VALUES, concurrency=2 * VALUES)
        with pytest.raises(BaseExceptionGroup) as raised:
            await rig.engine.run(range(rig.plan.size))
        assert "ZeroDivisionError" in repr(raised.value)
        kept = {loads(line)["prompt"] for line in rig.journal.rows}
        assert len(set(watched.came) - kept) <= 1
        assert len(watched.came) > 1

    run_virtual(main())


def test_answers_of_a_turn_are_journaled_before_any_next_call_is_sent() -> None:
    """First one step for all that came, then the next: what is sent behind them finds them all in the journal."""

    async def main() -> None:
        seen: list[int] = []

        async def script(prompt: str, attempt: int) -> None:
            seen.append(len(rig.journal.rows))
            await asyncio.sleep(1)

        watched = Watched(Scripted(script))
        rig = Rig(endpoint=watched, values=20, concurrency=4)
        await rig.run()
        assert {0, 4, 8} <= set(seen)
        assert all(count % 4 == 0 or count in (1, 2, 3) for count in seen)

    run_virtual(main())


def test_a_lane_whose_endpoint_knows_no_turns_asks_one_by_one() -> None:
    """An endpoint with `complete` alone is asked by a task a call."""
    rig: Lane[Call] | None = None

    async def main() -> None:
        nonlocal rig
        whole = Rig(values=2)
        rig = whole.lane
        await whole.run()
        assert 4 == whole.counters.done

    run_virtual(main())
    assert rig is not None
    assert rig._calls.turns is None
