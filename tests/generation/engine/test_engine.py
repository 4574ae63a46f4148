"""The engine under a virtual clock: backpressure, retries without held workers, drains, parks, and no leak."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from herogen_async.core.clock import MonotonicClock, run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RequestTimeout,
    RowRefused,
    ServerFault,
)
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Counters, Deadline
from herogen_async.generation.journal import Words
from herogen_async.generation.limits import TokenEstimate
from support.engine_rig import Rig, Scripted, one_second
from support.runs import small_spec

pytestmark = pytest.mark.usefixtures("both_ways")


def test_every_task_is_requested_and_journaled_once() -> None:
    """All 20 tasks are requested once and journaled once, with no key missing or doubled."""

    async def main() -> None:
        rig = Rig(one_second)
        await rig.run()
        assert {rig.plan.key(index) for index in range(20)} == set(rig.keys())
        assert 20 == len(rig.keys()) == sum(rig.endpoint.asked.values()) == rig.counters.done

    run_virtual(main())


def test_concurrency_is_fully_used_and_never_exceeded() -> None:
    """At concurrency 16, 80 one-second calls take 5 s with exactly 16 in flight."""

    async def main() -> None:
        rig = Rig(one_second, values=40, concurrency=16)
        assert pytest.approx(5.0, abs=0.2) == await rig.run()
        assert 16 == rig.endpoint.most_in_flight

    run_virtual(main())


def test_the_producer_never_runs_ahead_of_the_workers() -> None:
    """Memory does not know the size of the grid: what is expanded is what is in flight and a short queue."""
    taken: list[int] = []

    async def main() -> None:
        rig = Rig(one_second, values=1000, concurrency=4)

        def indices() -> object:
            for index in range(rig.plan.size):
                taken.append(index)
                assert len(taken) <= len(rig.journal.rows) + 4 + 8 + 1
                yield index

        await rig.engine.run(indices())  # type: ignore[arg-type]
        assert rig.plan.size == len(taken) == len(rig.journal.rows)

    run_virtual(main())


def test_a_retry_waits_while_its_worker_continues() -> None:
    """A waiting retry doesn't block its worker: 21 one-second calls in one lane take 21 s."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "20-year-old man" in prompt and attempt == 1:
                error = ServerFault("busy", status=503)
                raise error

        rig = Rig(script, concurrency=1)
        took_s = await rig.run()
        assert pytest.approx(21, abs=1.0) == took_s  # 21 calls of a second, with no wait between them
        assert 20 == len(set(rig.keys()))
        assert {"server": 1} == dict(rig.counters.errors)

    run_virtual(main())


def test_retries_are_interleaved_with_new_rows() -> None:
    """A failed row is retried within the first ten calls, not at the end of the run."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "20-year-old man" in prompt and attempt == 1:
                raise ServerFault("busy", status=503)

        rig = Rig(script, values=50, concurrency=2)
        await rig.run()
        first = rig.plan.call(0).prompt
        again = [place for place, prompt in enumerate(rig.endpoint.order) if prompt == first]
        assert 2 == len(again)
        assert again[1] < 10  # of 101 calls

    run_virtual(main())


def test_p11_a_bad_row_fails_with_its_history() -> None:
    """A row that always fails is recorded with all its attempts, and the run completes without it."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if "21-year-old woman" in prompt:
                raise ServerFault("it always fails", status=500, request_id=f"r{attempt}")
            if "22-year-old man" in prompt:
                raise RowRefused("content", status=400, code="content_filter")

        rig = Rig(script, max_attempts=3)
        await rig.run()
        assert rig.engine.stopped is None
        assert (18, 2) == (rig.counters.done, rig.counters.failed)
        failures = {failure["kind"]: failure for failure in map(loads, rig.journal.failures)}
        assert ["r1", "r2", "r3"] == [each["request_id"] for each in failures["server"]["attempts"]]
        assert 1 == len(failures["refused"]["attempts"])

    run_virtual(main())


def test_a_rate_limit_pauses_all_calls_and_uses_no_attempt() -> None:
    """A 429 holds back every caller until the wait is over and uses up no attempt."""

    async def main() -> None:
        sent_at: list[float] = []
        refusing_until = 30.0

        async def script(prompt: str, attempt: int) -> None:
            sent_at.append(rig.clock.now())
            await asyncio.sleep(0.1)
            if rig.clock.now() < refusing_until:
                error = RateLimited("slow down", status=429)
                error.retry_after_s = 10.0
                raise error

        rig = Rig(script, max_attempts=1, concurrency=4)
        await rig.run()
        assert 20 == rig.counters.done
        assert 0 == rig.counters.failed
        # Four in flight at each of the pauses' ends, and nothing between.
        assert [] == [at for at in sent_at if 0.2 < at < 10.0 or 10.4 < at < 20.0]

    run_virtual(main())


@pytest.mark.parametrize(
    "error",
    [
        EndpointRefused("Incorrect API key", status=401, fix="check the key"),
        EndpointRefused("You exceeded your current quota", status=429, code="insufficient_quota"),
        EndpointRefused("The model does not exist", status=404),
    ],
    ids=["bad-key", "no-quota", "no-model"],
)
def test_an_error_that_meets_every_row_parks_the_run(error: EndpointError) -> None:
    """A refused key, used-up quota or unknown model parks with reason and fix and fails no row."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if sum(rig.endpoint.asked.values()) > 8:
                raise error

        rig = Rig(script)
        await rig.run()
        assert rig.engine.stopped is not None
        assert ("parked", error.message, error.fix) == (
            rig.engine.stopped.state,
            rig.engine.stopped.reason,
            rig.engine.stopped.fix,
        )
        assert 0 == rig.counters.failed
        assert sum(rig.endpoint.asked.values()) <= 12  # what was in flight, and no more

    run_virtual(main())


@pytest.mark.parametrize("kind", [ServerFault, RequestTimeout, BadAnswer])
def test_a_server_that_always_fails_parks_the_run(kind: type[EndpointError]) -> None:
    """The grid is not burnt: the quota of retries is empty first."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.05)
            raise kind("broken")

        rig = Rig(script, values=500)
        await rig.run()
        assert rig.engine.stopped is not None
        assert "parked" == rig.engine.stopped.state
        assert sum(rig.endpoint.asked.values()) < 130

    run_virtual(main())


def test_a_server_away_for_a_minute_costs_no_row() -> None:
    """A server down for 60 s fails no row, is probed sparingly and delays the run little."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.5)
            if 2 < rig.clock.now() < 62:
                error = ConnectionFailed("refused")
                error.sent = False
                raise error

        rig = Rig(script, values=20, max_attempts=2)
        took_s = await rig.run()
        assert rig.engine.stopped is None
        assert (40, 0) == (rig.counters.done, rig.counters.failed)
        assert took_s < 75
        assert sum(rig.endpoint.asked.values()) < 140  # it knocks, it doesn't hammer

    run_virtual(main())


def test_a_stop_finishes_calls_in_flight_and_sends_no_more() -> None:
    """After a stop, calls in flight are completed and journaled, and no new call is sent."""

    async def main() -> None:
        rig = Rig(one_second, values=50)
        assert pytest.approx(3.0, abs=0.2) == await rig.run((2.5, lambda: rig.engine.interrupt("ctrl-c")))
        assert 12 == sum(rig.endpoint.asked.values()) == len(rig.journal.rows)

    run_virtual(main())


def test_a_cancel_drops_calls_in_flight() -> None:
    """After a cancel, the run ends at once with only the answers already journaled."""

    async def main() -> None:
        rig = Rig(one_second, values=50)
        assert pytest.approx(2.5, abs=0.2) == await rig.run((2.5, rig.engine.cancel))
        assert 8 == len(rig.journal.rows)

    run_virtual(main())


def test_a_stop_reaches_waiting_retries_and_gate_callers() -> None:
    """Callers that wait for a retry or at the gate end with the stop, not after their wait of 50 s."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            error = RateLimited("slow down", status=429)
            error.retry_after_s = 50.0
            raise error

        rig = Rig(script)
        assert await rig.run((5, lambda: rig.engine.interrupt("ctrl-c"))) < 5.5

    run_virtual(main())


def test_a_full_journal_holds_back_sending() -> None:
    """With the journal full, no call is sent until there is room, and the wait is attributed to disk."""

    async def main() -> None:
        sent_at: list[float] = []

        async def script(prompt: str, attempt: int) -> None:
            sent_at.append(rig.clock.now())
            await asyncio.sleep(1)

        rig = Rig(script, values=50)
        rig.journal.full = True
        asyncio.get_running_loop().call_later(10, rig.journal.make_room)
        await rig.run()
        assert rig.endpoint.asked.total() == 100
        assert [] == [at for at in sent_at if 0.1 < at < 9.9]
        assert rig.counters.binding["disk"] > 0

    run_virtual(main())


def test_a_failing_disk_stops_sending_and_then_parks() -> None:
    """A disk that refuses writes stops sending at once and parks the run after 30 to 40 s."""

    async def main() -> None:
        rig = Rig(one_second, values=50)
        refused = OSError(28, "No space left on device")
        took_s = await rig.run((2.5, lambda: rig.journal.on_trouble(refused)))
        assert rig.engine.stopped is not None
        assert ParkReason.DISK is rig.engine.stopped.park_reason
        assert "No space left on device" in rig.engine.stopped.reason
        assert 12 == rig.endpoint.asked.total()  # what was in flight when the disk refused came back
        assert 30 < took_s < 40

    run_virtual(main())


def test_a_disk_that_recovers_lets_the_run_continue() -> None:
    """If writes succeed again before parking, the run completes without loss."""

    async def main() -> None:
        rig = Rig(one_second)
        refused = OSError(28, "No space left on device")
        await rig.run((1.5, lambda: rig.journal.on_trouble(refused)), (11.5, lambda: rig.journal.on_trouble(None)))
        assert rig.engine.stopped is None
        assert 20 == rig.counters.done

    run_virtual(main())


def test_p11_an_internal_error_costs_only_its_own_row() -> None:
    """An internal error fails its row alone, names the file, and hides secrets in its message."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "21-year-old woman" in prompt:
                raise ZeroDivisionError("Bearer sk-secret")

        rig = Rig(script)
        await rig.run()
        assert (19, 1, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        failure = loads(rig.journal.failures[0])
        assert "internal" == failure["kind"]
        assert "ZeroDivisionError in test_engine.py" in failure["message"]
        assert "sk-secret" not in str(failure)

    run_virtual(main())


def test_an_internal_error_on_every_row_parks_the_run() -> None:
    """An internal error that meets every row parks the run after fewer than 20 calls."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            raise ZeroDivisionError

        rig = Rig(script, values=50)
        await rig.run()
        assert rig.engine.stopped is not None
        assert "ZeroDivisionError" in rig.engine.stopped.reason
        assert rig.endpoint.asked.total() < 20

    run_virtual(main())


def test_a_stop_does_not_wait_for_the_fuse_of_a_slow_rate() -> None:
    """At four a minute the next may go in 15 s, and the fuse polls the real clock meanwhile."""

    async def main() -> float:
        rig = Rig(limits=Limits(rpm=4), clock=MonotonicClock())
        return await rig.run((0.05, lambda: rig.engine.interrupt("ctrl-c")))

    assert asyncio.run(main()) < 5  # the one call in flight takes one


def test_the_gate_keeps_the_rate_and_names_what_binds() -> None:
    """A token limit sets the run's pace and is reported as what limits it."""

    async def main() -> None:
        rig = Rig(values=60, concurrency=64, limits=Limits(tpm=60 * 120), estimate=TokenEstimate(50))
        # 66 tokens are reserved and 30 used and given back: between one and four requests a second.
        assert 25 < await rig.run() < 70
        assert 120 == rig.counters.done
        assert "tokens" == rig.counters.binding.most_common(1)[0][0]

    run_virtual(main())


def test_p11_a_row_that_alone_is_rate_limited_fails() -> None:
    """The others go on."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.2)
            if "a 20-year-old man" in prompt:
                raise RateLimited("the tokens a minute are fewer than this prompt has", status=429)

        rig = Rig(script, values=400)
        await rig.run()
        assert (799, 1, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)

    run_virtual(main())


@pytest.mark.parametrize(("limits", "asks_s"), [(None, None), (Limits(rpm=1200), 20.0)])
def test_rows_that_alone_are_rate_limited_keep_nobody_waiting(limits: Limits | None, asks_s: float | None) -> None:
    """Each has everybody wait a few times, and not as often as it is refused before it is given up."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.2)
            if any(f"a {age}-year-old man" in prompt for age in (120, 121, 122)):
                error = RateLimited("the tokens a minute are fewer than this prompt has", status=429)
                error.retry_after_s = asks_s
                raise error

        rig = Rig(script, values=400, concurrency=32, limits=limits)
        answered_s: list[float] = []
        rig.journal.on_row = lambda: answered_s.append(rig.clock.now())
        await rig.run()
        assert (797, 3, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        assert answered_s[-1] < 250  # 20 waits of 20 seconds are 400

    run_virtual(main())


def test_a_ten_minute_rate_limit_costs_no_row_or_attempt() -> None:
    """A rate limit that lasts ten minutes fails no row, uses no attempt and doesn't park the run."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if 5 < rig.clock.now() < 605:
                raise RateLimited("slow down", status=429)

        rig = Rig(script, values=200, max_attempts=1)
        await rig.run()
        assert (400, 0, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)

    run_virtual(main())


def test_a_hanging_call_is_cut_off_by_what_the_others_took() -> None:
    """When it was sent nothing was known of the latencies; the deadline that they lead to holds for it, too."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt and attempt == 1:
                await asyncio.Event().wait()
            await asyncio.sleep(0.1)

        rig = Rig(script, values=100, deadline=Deadline(floor_s=1.0, ceiling_s=600.0))
        assert await rig.run() < 10
        assert (200, 0) == (rig.counters.done, rig.counters.failed)
        assert {"timeout": 1} == rig.counters.errors

    run_virtual(main())


def test_a_call_that_is_cut_off_may_take_its_time_to_end() -> None:
    """Closing a connection takes longer than a tick of the engine, and is not disturbed."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            try:
                await asyncio.sleep(600 if "a 110-year-old man" in prompt and attempt == 1 else 0.1)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                raise

        rig = Rig(script, values=100, deadline=Deadline(floor_s=1.0, ceiling_s=600.0))
        assert await rig.run() < 10
        assert (200, 0, {"timeout": 1}) == (rig.counters.done, rig.counters.failed, rig.counters.errors)

    run_virtual(main())


def test_no_call_is_cut_off_before_the_users_floor() -> None:
    """A slow call is never timed out before the user's minimum of 30 s."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(20 if "man" in prompt and "a 119" in prompt else 0.1)

        rig = Rig(script, values=100, deadline=Deadline(floor_s=30.0, ceiling_s=600.0))
        await rig.run()
        assert (200, 0) == (rig.counters.done, rig.counters.failed)
        assert {} == rig.counters.errors

    run_virtual(main())


def test_a_server_that_became_slower_pulls_the_deadline_up() -> None:
    """No row is lost to the old one."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1 if rig.clock.now() < 5 else 3.0)

        rig = Rig(script, values=400, deadline=Deadline(floor_s=0.5, ceiling_s=600.0))
        await rig.run()
        assert (800, 0, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)

    run_virtual(main())


def test_a_used_up_day_limit_parks_the_run() -> None:
    """A run with a limit of 12 requests per day parks after 12 answers and gives the day limit as reason."""

    async def main() -> None:
        rig = Rig(one_second, values=10, limits=Limits(rpd=12))
        await rig.run()
        assert 12 == rig.counters.done
        assert rig.engine.stopped is not None
        assert "parked" == rig.engine.stopped.state
        assert ParkReason.DAY_LIMIT is rig.engine.stopped.park_reason
        assert "the day's limit is used up" in rig.engine.stopped.reason

    run_virtual(main())


def test_tokens_that_are_only_reserved_do_not_use_up_a_days_limit() -> None:
    """Four calls in flight reserve most of it; what they don't use comes back, and the run goes on with it."""

    async def main() -> None:
        rig = Rig(one_second, values=10, concurrency=8, limits=Limits(tpd=100))  # 24 reserved a call, 20 of them back
        rig.endpoint.usage = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
        await rig.run()
        assert (20, None) == (rig.counters.done, rig.engine.stopped)

    run_virtual(main())


def test_a_slower_ramp_costs_no_attempt() -> None:
    """`slow_down` is about the pace, not about the row."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if 2 < rig.clock.now() < 4:
                raise RateLimited("slow down", status=503, code="slow_down")

        rig = Rig(script, values=400, max_attempts=1, concurrency=8)
        await rig.run()
        assert (800, 0, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        assert rig.counters.errors["rate_limit"] < 100

    run_virtual(main())


def test_a_cancel_ends_a_call_that_is_being_cut_off() -> None:
    """Two cancellations meet in one task, and the one from outside wins."""

    async def main() -> float:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt:
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(5)  # a transport that is slow to let go
            await asyncio.sleep(0.1)

        rig = Rig(script, values=400, deadline=Deadline(floor_s=1.0, ceiling_s=600.0))
        return await rig.run((2.0, rig.engine.cancel))

    assert run_virtual(main()) < 10


def test_the_tokens_of_a_session_are_those_that_came_since_its_start() -> None:
    """Earlier sessions' are in `usage`, and not in the rate."""
    counters = Counters(total=2, usage=Words(completion_tokens=5))
    counters.usage.count("completion_tokens", 7)
    counters.usage.count("prompt_tokens", 2)
    assert (12, 7) == (counters.usage["completion_tokens"], counters.session_tokens("completion_tokens"))
    assert (2, 0) == (counters.session_tokens("prompt_tokens"), counters.session_tokens("total_tokens"))


@pytest.mark.parametrize(("sampling", "sent"), [({"seed": 7}, [7, 8, 9]), ({"max_tokens": 5}, [None] * 3)])
def test_each_repeat_is_sent_with_its_own_seed(sampling: dict[str, int], sent: list[int | None]) -> None:
    """The answers of a cell are asked with seeds that differ, and without a seed in the spec with no body of theirs."""

    class Bodies(Scripted):
        bodies: ClassVar[list[object]] = []

        async def complete(self, request: Request) -> Completion:
            self.bodies.append(None if request.body is None else request.body["seed"])
            return await super().complete(request)

    async def main() -> None:
        rig = Rig(endpoint=Bodies(one_second), spec=small_spec(values=1, repeats=3, sampling=sampling), concurrency=1)
        Bodies.bodies.clear()
        await rig.run()
        cells = rig.plan.cells.size
        assert sent * cells == Bodies.bodies

    run_virtual(main())


# -- a server's trouble, and refusals of all -----------------------------------------------------------------------


@pytest.mark.parametrize("begins_s", [0.0, 3.5])
@pytest.mark.parametrize("status", [502, 503])
def test_a_server_that_serves_nobody_for_a_minute_costs_no_row(status: int, begins_s: float) -> None:
    """At the start or in the middle: every row is answered at its first attempt, after a few looks."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.01)
            if begins_s <= rig.clock.now() - start_s < begins_s + 60:
                raise ServerFault("Loading model", status=status)
            await asyncio.sleep(0.99)

        rig = Rig(script, values=60, concurrency=16)
        start_s = rig.clock.now()
        took_s = await rig.run()
        assert (120, 0, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        assert {1} == {loads(line)["attempts"] for line in rig.journal.rows}
        assert rig.counters.errors["server"] < 40 + 16
        assert took_s < begins_s + 60 + 5 + 12

    run_virtual(main())


def test_a_server_that_stays_out_parks_with_its_words() -> None:
    """After two minutes, with no row failed."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.01)
            raise ServerFault("HTTP 503: Loading model", status=503)

        rig = Rig(script, values=60, concurrency=16)
        assert 120 < await rig.run() < 130
        assert rig.engine.stopped is not None
        assert ParkReason.UNREACHABLE is rig.engine.stopped.park_reason
        assert "Loading model" in rig.engine.stopped.reason
        assert (0, 0) == (rig.counters.done, rig.counters.failed)
        assert rig.counters.attempts < 80

    run_virtual(main())


def unexplained() -> RowRefused:
    error = RowRefused("HTTP 400 (frozen): the tenant is frozen", status=400)
    error.may_be_run = True
    return error


def test_rows_that_all_are_refused_are_not_failed() -> None:
    """In the middle of a run everything is refused: it parks, and what was refused is still to be asked."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if rig.endpoint.asked.total() > 40:
                raise unexplained()

        rig = Rig(script, values=100, concurrency=16)
        await rig.run()
        assert rig.engine.stopped is not None
        assert ("parked", 0) == (rig.engine.stopped.state, rig.counters.failed)
        assert "the tenant is frozen" in rig.engine.stopped.reason
        assert [] == rig.journal.failures

    run_virtual(main())


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("refused", [("a 20-year-old man",), ("a 29-year-old woman", "a 29-year-old man")])
def test_p11_a_refused_row_fails_alone_and_is_asked_once(refused: tuple[str, ...], concurrency: int) -> None:
    """The first of a run and the last ones, where nobody comes after them who could tell."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if any(each in prompt for each in refused):
                raise unexplained()

        rig = Rig(script, values=10, concurrency=concurrency)
        await rig.run()
        assert rig.engine.stopped is None
        assert (20 - len(refused), len(refused)) == (rig.counters.done, rig.counters.failed)
        assert 20 == rig.endpoint.asked.total()

    run_virtual(main())


def test_a_day_limit_after_a_refusal_shows_that_it_was_the_rows() -> None:
    """A later call met something else: the refused row has failed, and no session asks for it again."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if rig.endpoint.asked.total() == 1:
                raise unexplained()
            if rig.endpoint.asked.total() == 2:
                raise ServerFault("boom")
            used_up = EndpointRefused("the day's limit is used up")
            used_up.park_reason = ParkReason.DAY_LIMIT
            raise used_up

        rig = Rig(script, values=10, concurrency=1)
        await rig.run()
        assert rig.engine.stopped is not None
        assert (ParkReason.DAY_LIMIT, 1) == (rig.engine.stopped.park_reason, rig.counters.failed)

    run_virtual(main())


def test_what_is_awaited_is_counted_in_words() -> None:
    """None, one and some answers in flight, each in its own words."""
    said = [Counters(total=9, in_flight=count).awaited for count in (0, 1, 1200)]
    assert "nothing is in flight" == said[0]
    assert ["waiting for the answer in flight", "waiting for the 1,200 answers in flight"] == said[1:]
