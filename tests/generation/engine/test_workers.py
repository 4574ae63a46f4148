"""An engine that is controlled while it runs, under a virtual clock: pauses, more and fewer workers, other limits."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from pathlib import Path

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import ConnectionFailed, EndpointRefused, ServerFault
from herogen_async.core.limits import Limits, Reading
from herogen_async.generation.control import Command
from herogen_async.generation.endpoint import Request
from herogen_async.generation.engine import Deadline, Gate
from herogen_async.generation.engine.feed import Feed, PendingCall
from herogen_async.generation.limits import Admission, Ticket
from herogen_async.generation.limits.bucket_table import BucketTable
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.session import Watch
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.steering import Steering
from herogen_async.generation.session.targets import targets_of
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from support.engine_rig import Rig, Scripted, Seen, one_second
from support.runs import small_spec


def test_a_paused_run_keeps_what_comes_home_and_goes_on_later() -> None:
    """It sends nothing meanwhile."""

    async def main() -> None:
        rig, seen, bound = Rig(), Seen(), []
        took_s = await rig.run(
            (0.5, lambda: rig.engine.pause(True)),
            (0.9, lambda: bound.append(rig.counters.binds_now)),
            (10.0, rig.look(seen)),
            (10.5, lambda: rig.engine.pause(False)),
        )
        assert [(4, 0)] == seen
        assert ["paused"] == bound
        assert 14.5 == pytest.approx(took_s)
        rig.assert_whole()

    run_virtual(main())


@pytest.mark.parametrize("end", ["stop", "cancel", "park"])
def test_a_paused_run_can_be_ended(end: str) -> None:
    """A paused run still obeys stop and cancel, and a refusal in flight still parks it."""

    async def script(_prompt: str, _attempt: int) -> None:
        await asyncio.sleep(1)
        if end == "park":
            raise EndpointRefused("no such model", status=404)

    async def main() -> None:
        rig = Rig(script)
        ends = {"stop": lambda: rig.engine.interrupt("enough"), "cancel": rig.engine.cancel}
        took_s = await rig.run((0.2, lambda: rig.engine.pause(True)), (0.5, ends.get(end, lambda: None)))
        assert rig.engine.stopped is not None
        assert 4 == rig.endpoint.asked.total()
        assert {"stop": 1.0, "cancel": 0.5, "park": 1.0}[end] == pytest.approx(took_s)

    run_virtual(main())


def test_a_retry_waits_out_a_pause() -> None:
    """A row due for a retry during a pause is sent after resuming, and no row is lost."""

    async def script(prompt: str, attempt: int) -> None:
        await asyncio.sleep(1)
        if attempt == 1:
            raise ServerFault("busy", status=503)

    async def main() -> None:
        rig, seen = Rig(script, values=1), Seen()
        await rig.run(
            (0.5, lambda: rig.engine.pause(True)), (50.0, rig.look(seen)), (50.0, lambda: rig.engine.pause(False))
        )
        assert [(2, 0)] == seen
        assert 2 == len(rig.journal.rows)

    run_virtual(main())


def test_silence_before_a_pause_does_not_count() -> None:
    """A server is restarted meanwhile: not there at the pause, nor in the first seconds after it."""

    async def main() -> None:
        clock = VirtualClock()

        async def script(_prompt: str, _attempt: int) -> None:
            await asyncio.sleep(1)
            if 3 < clock.now() < 20 or 500 < clock.now() < 505:
                gone = ConnectionFailed("refused")
                gone.sent = False
                raise gone

        rig = Rig(script, values=20)
        await rig.run((6.0, lambda: rig.engine.pause(True)), (501.0, lambda: rig.engine.pause(False)))
        assert rig.engine.stopped is None
        assert 40 == len(rig.journal.rows)

    run_virtual(main())


def test_a_pause_restarts_the_time_of_waiting_rows() -> None:
    """A pause longer than a row's time limit doesn't fail the rows that wait in it."""

    async def script(_prompt: str, attempt: int) -> None:
        await asyncio.sleep(1)
        if attempt == 1:
            raise ServerFault("busy", status=503)

    async def main() -> None:
        rig = Rig(script, values=2, deadline=Deadline(60, 60, row_s=60))
        await rig.run((0.5, lambda: rig.engine.pause(True)), (500.0, lambda: rig.engine.pause(False)))
        assert (4, 0) == (len(rig.journal.rows), len(rig.journal.failures))

    run_virtual(main())


def test_a_raised_concurrency_applies_at_once() -> None:
    """Raising concurrency from 4 to 12 puts eight more calls in flight at once."""

    async def main() -> None:
        rig, seen = Rig(), Seen()
        took_s = await rig.run((1.5, lambda: rig.engine.resize(12)), (1.6, rig.look(seen)))
        assert [(16, 12)] == seen  # 4 that are done, 4 in flight, 8 more
        assert 12 == rig.counters.concurrency
        assert 3.0 == pytest.approx(took_s)
        rig.assert_whole()

    run_virtual(main())


def test_a_lowered_concurrency_applies_as_calls_return() -> None:
    """Lowering concurrency from 8 to 2 applies once the calls in flight have returned."""

    async def main() -> None:
        rig, seen = Rig(concurrency=8), Seen()
        took_s = await rig.run(
            (0.5, lambda: rig.engine.resize(2)), *((second + 0.5, rig.look(seen)) for second in range(1, 6))
        )
        assert [(10, 2), (12, 2), (14, 2), (16, 2), (18, 2)] == seen
        assert 2 == rig.counters.concurrency
        assert 7.0 == pytest.approx(took_s)
        rig.assert_whole()

    run_virtual(main())


def test_resizing_concurrency_loses_and_doubles_nothing() -> None:
    """Concurrency that shrinks and grows ten times still gives each row exactly once."""

    async def main() -> None:
        rig = Rig(values=100, concurrency=8)
        sizes = [1, 16, 3, 2, 9, 1, 1, 40, 5, 64]
        await rig.run(*((0.3 + 0.7 * turn, partial(rig.engine.resize, size)) for turn, size in enumerate(sizes)))
        assert 40 <= rig.endpoint.most_in_flight <= 64
        rig.assert_whole()

    run_virtual(main())


def test_those_who_wait_for_a_rate_are_not_sent_once_they_are_too_many() -> None:
    """Forty wait for 60 requests a minute that take 30 s each; with one worker left, one is in flight at a time."""

    async def slow(_prompt: str, _attempt: int) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        rig, seen = Rig(slow, values=25, concurrency=40, limits=Limits(rpm=60)), Seen()
        await rig.run(
            (4.5, lambda: rig.engine.resize(1)),
            (29.0, rig.look(seen)),
            (50.0, rig.look(seen)),
            (100.0, rig.look(seen)),
            (101.0, rig.engine.cancel),
        )
        assert [(5, 5), (6, 1), (8, 1)] == seen

    run_virtual(main())


def test_growing_the_crew_after_the_end_starts_nothing() -> None:
    """Raising concurrency once all work is done starts no call."""

    async def main() -> None:
        rig = Rig(values=1)
        await rig.run((1.0, lambda: rig.engine.resize(500)))
        rig.engine.resize(1000)
        rig.assert_whole()

    run_virtual(main())


@pytest.mark.parametrize(("first", "then", "at_20_s"), [(600.0, 60.0, 110), (60.0, 600.0, 110), (None, 60.0, 111)])
def test_another_ceiling_holds_at_once(first: float | None, then: float, at_20_s: int) -> None:
    """Ten seconds of the first, ten of the other."""

    async def main() -> None:
        rig, seen = Rig(values=1000, concurrency=10, limits=Limits(rpm=first)), Seen()
        await rig.run(
            (10.0, lambda: rig.engine.set_ceiling("rpm", then)), (20.0, rig.look(seen)), (20.0, rig.engine.cancel)
        )
        assert at_20_s == pytest.approx(seen[0][0], abs=3)
        assert {"requests_per_minute": then} == rig.counters.limits

    run_virtual(main())


def test_a_removed_limit_no_longer_binds() -> None:
    """After a limit is removed, only concurrency sets the pace, and no limit is reported."""

    async def main() -> None:
        rig = Rig(values=100, concurrency=10, limits=Limits(rpm=60))
        took_s = await rig.run((10.0, lambda: rig.engine.set_ceiling("rpm", None)))
        assert 10 + (200 - 10) / 10 == pytest.approx(took_s, abs=2)
        assert {} == rig.counters.limits

    run_virtual(main())


class Resized(Scripted):
    """An endpoint that takes down what it is resized to."""

    def __init__(self) -> None:
        super().__init__(one_second)
        self.sizes: list[int] = []

    def resize(self, concurrency: int) -> None:
        self.sizes.append(concurrency)


def test_what_is_set_reaches_engine_and_endpoint(tmp_path: Path) -> None:
    """Also where the manifest can't keep it."""

    async def main() -> None:
        rig, endpoint, notices = Rig(), Resized(), list[str]()
        order = RunRequest(small_spec(), "completions", "m", None, None, RunFolder(tmp_path), Settings(concurrency=4))
        at_work, watch = AtWork(), Watch(on_notice=notices.append)
        steering = Steering(order, Notifier(watch, order.folder, rig.clock, at_work.interrupt), at_work)
        target = targets_of(Ready(order, "m"), Plan(order.spec, endpoint="completions", model="m"))
        with at_work.steered(rig.engine, zip(target, [endpoint], strict=True)):
            command = Command("set", {"concurrency": 12})
            took_s = await rig.run((1.5, partial(steering.answer, command)))
        assert [12] == endpoint.sizes
        assert 3.0 == pytest.approx(took_s)
        assert ["ctl: concurrency set to 12 (was 4).", "Only this session has the change"] == [
            line.split(",")[0] for line in notices
        ]
        assert 12 == steering.settings.concurrency

    run_virtual(main())


def test_a_grown_feed_takes_more_at_once() -> None:
    """Growing the feed releases a waiting producer and a waiting worker without delay."""

    async def main() -> None:
        clock = VirtualClock()
        feed: Feed[int] = Feed(clock, 1, 1)
        assert await feed.put(PendingCall(0, Request("p"), 1))
        second = asyncio.ensure_future(feed.put(PendingCall(1, Request("p"), 1)))
        await asyncio.sleep(1)
        assert not second.done()
        feed.resize(2, 2)
        assert await second
        # One call waits to be tried again: with room for two, a new one is handed out all the same.
        pending = await feed.get()
        assert pending is not None
        feed.resize(2, 1)
        feed.retry(pending, 100.0)
        waiting = asyncio.ensure_future(feed.get())
        await asyncio.sleep(1)
        assert not waiting.done()
        feed.resize(2, 2)
        assert await waiting is not None
        assert 2.0 == clock.now()

    run_virtual(main())


class Shut:
    """A fuse that lets nothing through."""

    async def __aenter__(self) -> None:
        await asyncio.Event().wait()

    async def __aexit__(self, *_: object) -> None:
        return None


class Open(Shut):
    async def __aenter__(self) -> None:
        return None


def test_a_waiter_on_the_old_limits_fuse_uses_the_new() -> None:
    """A caller waiting at the old limit's fuse passes by the new one, and the gate can still be ended."""

    async def main() -> None:
        clock = VirtualClock()
        admission = Admission(clock.now(), Limits(rpm=60))
        gate = Gate(admission, clock, fuse_for=lambda rate, _window: Shut() if rate == 1.0 else Open())
        dispatcher = asyncio.ensure_future(gate.run())
        caller = asyncio.ensure_future(gate.admit(10))
        await asyncio.sleep(30)
        assert not caller.done()
        gate.set_ceiling("rpm", 600)
        assert isinstance(await caller, Ticket)
        assert 30.0 == pytest.approx(clock.now(), abs=0.2)
        # ... and the dispatcher can still be ended while it waits for a fuse.
        gate.set_ceiling("rpm", 60)
        late = asyncio.ensure_future(gate.admit(10))
        await asyncio.sleep(30)
        gate.set_ceiling("rpm", 61)
        dispatcher.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dispatcher
        late.cancel()
        assert 1 == admission.outstanding

    run_virtual(main())


def test_without_a_set_limit_the_servers_applies_again() -> None:
    """The lower of set and reported limits applies; removing the set one restores the server's."""
    table = BucketTable(Limits(), 0.0, by_window=False)
    table.learn(Reading("requests", 600.0, 600.0, 60.0, 60.0), (0, 0, 0), 0.0, 0.0)
    assert 10.0 == table.requests_per_s
    table.set_ceiling("rpm", 60.0, 1.0)
    assert 1.0 == table.requests_per_s
    table.learn(Reading("requests", 1200.0, 600.0, 60.0, 60.0), (0, 0, 0), 2.0, 2.0)
    assert 1.0 == table.requests_per_s
    table.set_ceiling("rpm", 6000.0, 3.0)
    assert 20.0 == table.requests_per_s
    table.set_ceiling("rpm", None, 4.0)
    assert 20.0 == table.requests_per_s
    table.set_ceiling("tpm", 6.0, 4.0)
    assert table.counts_tokens
    table.set_ceiling("tpm", None, 4.0)
    assert not table.counts_tokens
    assert {"requests_per_minute": 1200.0} == table.limits()
    assert math.isfinite(table.requests_per_s)
