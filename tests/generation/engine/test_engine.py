"""The engine under a virtual clock: backpressure, retries without held workers, drains, parks, and no leak."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from herogen_async.core.clock import MonotonicClock, VirtualClock, run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    RateLimited,
    RequestTimeout,
    RowRefused,
    ServerFault,
)
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Counters, Deadline, Engine, Gate
from herogen_async.generation.journal import Written
from herogen_async.generation.limits import Admission, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.specs.plan import Plan
from support.runs import small_spec


class MemoryJournal:
    """A journal without a disk: a line is written the moment it comes."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.failures: list[bytes] = []
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self.on_row: Callable[[], None] = lambda: None
        self.full = False
        self._finished = asyncio.Event()

    async def open(self) -> None:
        pass

    def row(self, line: bytes) -> None:
        self.rows.append(line)
        self.on_row()
        self.on_written(Written(1, 0))

    def failure(self, line: bytes) -> None:
        self.failures.append(line)
        self.on_written(Written(0, 1))

    def make_room(self) -> None:
        self.full = False
        self.on_written(Written(0, 0))

    async def run(self) -> None:
        await self._finished.wait()

    def finish(self) -> None:
        self._finished.set()


class Scripted:
    """An endpoint that does what a function says; it counts what is asked and what is in flight."""

    def __init__(self, script: Callable[[str, int], Awaitable[None]]) -> None:
        self._script = script
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.usage = {"total_tokens": 30}

    async def complete(self, request: Request) -> Completion:
        self.asked[request.prompt] += 1
        self.order.append(request.prompt)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._script(request.prompt, self.asked[request.prompt])
        finally:
            self.in_flight -= 1
        return Completion(f"An answer to: {request.prompt}", "stop", "m", dict(self.usage), "r")


class Rig:
    """An engine on a small plan, with everything observable."""

    def __init__(
        self,
        script: Callable[[str, int], Awaitable[None]],
        *,
        values: int = 10,
        concurrency: int = 4,
        max_attempts: int = 8,
        deadline: Deadline | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.plan = Plan(small_spec(values=values, repeats=1), endpoint="completions", model="m")
        self.endpoint = Scripted(script)
        self.journal = MemoryJournal()
        self.progress = Counters(total=self.plan.size)
        self.admission = Admission(self.clock.now(), limits)
        self.engine = Engine(
            self.plan,
            self.endpoint,
            self.journal,
            gate=Gate(self.admission, self.clock),
            clock=self.clock,
            progress=self.progress,
            concurrency=concurrency,
            triage=Triage(max_attempts=max_attempts),
            deadline=deadline,
        )

    async def run(self) -> float:
        """Run to the end; the virtual seconds that it took."""
        await self.engine.run(range(self.plan.size))
        assert 0 == self.admission.outstanding, "a ticket leaked"
        assert 0 == self.progress.in_flight
        return self.clock.now()

    def keys(self) -> list[str]:
        return [loads(line)["key"] for line in self.journal.rows]


async def one_second(prompt: str, attempt: int) -> None:
    await asyncio.sleep(1)


def test_every_task_is_asked_once_and_journaled_once() -> None:
    async def main() -> None:
        rig = Rig(one_second)
        await rig.run()
        assert {rig.plan.key(index) for index in range(20)} == set(rig.keys())
        assert 20 == len(rig.keys()) == sum(rig.endpoint.asked.values()) == rig.progress.done

    run_virtual(main())


def test_exactly_the_concurrency_is_in_flight_and_no_slot_idles() -> None:
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


def test_a_retry_waits_in_the_heap_while_its_worker_goes_on() -> None:
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
        assert {"server": 1} == dict(rig.progress.errors)

    run_virtual(main())


def test_retries_are_interleaved_and_not_left_for_the_end() -> None:
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


def test_p11_a_bad_row_is_given_up_with_its_history_and_the_run_ends() -> None:
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
        assert (18, 2) == (rig.progress.done, rig.progress.failed)
        failures = {failure["kind"]: failure for failure in map(loads, rig.journal.failures)}
        assert ["r1", "r2", "r3"] == [each["request_id"] for each in failures["server"]["attempts"]]
        assert 1 == len(failures["refused"]["attempts"])

    run_virtual(main())


def test_a_rate_limit_pauses_everybody_and_uses_up_no_attempt() -> None:
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
        assert 20 == rig.progress.done
        assert 0 == rig.progress.failed
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
def test_what_no_row_can_survive_parks_the_run_with_the_reason(error: EndpointError) -> None:
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
        assert 0 == rig.progress.failed
        assert sum(rig.endpoint.asked.values()) <= 12  # what was in flight, and no more

    run_virtual(main())


@pytest.mark.parametrize("kind", [ServerFault, RequestTimeout, BadAnswer])
def test_a_server_that_always_fails_parks_the_run_instead_of_burning_the_grid(kind: type[EndpointError]) -> None:
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


def test_a_server_that_is_away_for_a_minute_costs_no_row() -> None:
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
        assert (40, 0) == (rig.progress.done, rig.progress.failed)
        assert took_s < 75
        assert sum(rig.endpoint.asked.values()) < 140  # it knocks, it doesn't hammer

    run_virtual(main())


def test_a_stop_finishes_what_is_in_flight_and_sends_nothing_more() -> None:
    async def main() -> None:
        rig = Rig(one_second, values=50)
        asyncio.get_running_loop().call_later(2.5, rig.engine.stop, "interrupted", "ctrl-c")
        assert pytest.approx(3.0, abs=0.2) == await rig.run()
        assert 12 == sum(rig.endpoint.asked.values()) == len(rig.journal.rows)

    run_virtual(main())


def test_a_cancel_drops_what_is_in_flight() -> None:
    async def main() -> None:
        rig = Rig(one_second, values=50)
        asyncio.get_running_loop().call_later(2.5, rig.engine.cancel)
        assert pytest.approx(2.5, abs=0.2) == await rig.run()
        assert 8 == len(rig.journal.rows)

    run_virtual(main())


def test_a_stop_reaches_those_who_wait_for_a_retry_or_at_the_gate() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            error = RateLimited("slow down", status=429)
            error.retry_after_s = 50.0
            raise error

        rig = Rig(script)
        asyncio.get_running_loop().call_later(5, rig.engine.stop, "interrupted", "ctrl-c")
        assert await rig.run() < 5.5

    run_virtual(main())


def test_a_full_journal_holds_the_sending_back() -> None:
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
        assert rig.progress.binding["disk"] > 0

    run_virtual(main())


def test_a_refusing_disk_stops_the_sending_and_parks_after_a_while() -> None:
    async def main() -> None:
        rig = Rig(one_second, values=50)
        refused = OSError(28, "No space left on device")
        asyncio.get_running_loop().call_later(2.5, lambda: rig.journal.on_trouble(refused))
        took_s = await rig.run()
        assert rig.engine.stopped is not None
        assert "No space left on device" in rig.engine.stopped.reason
        assert 12 == rig.endpoint.asked.total()  # what was in flight when the disk refused came back
        assert 30 < took_s < 40

    run_virtual(main())


def test_a_disk_that_takes_again_lets_the_run_go_on() -> None:
    async def main() -> None:
        rig = Rig(one_second)
        loop = asyncio.get_running_loop()
        loop.call_later(1.5, lambda: rig.journal.on_trouble(OSError(28, "No space left on device")))
        loop.call_later(11.5, lambda: rig.journal.on_trouble(None))
        await rig.run()
        assert rig.engine.stopped is None
        assert 20 == rig.progress.done

    run_virtual(main())


def test_p11_a_mistake_of_the_program_costs_its_own_row_and_is_told() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "21-year-old woman" in prompt:
                raise ZeroDivisionError("Bearer sk-secret")

        rig = Rig(script)
        await rig.run()
        assert (19, 1, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)
        failure = loads(rig.journal.failures[0])
        assert "internal" == failure["kind"]
        assert "ZeroDivisionError in test_engine.py" in failure["message"]
        assert "sk-secret" not in str(failure)

    run_virtual(main())


def test_a_mistake_of_the_program_that_meets_every_row_parks_the_run() -> None:
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
        plan = Plan(small_spec(), endpoint="completions", model="m")
        clock = MonotonicClock()
        engine = Engine(
            plan,
            Scripted(one_second),
            MemoryJournal(),
            gate=Gate(Admission(clock.now(), Limits(rpm=4)), clock, ceiling_per_s=4 / 60),
            clock=clock,
            progress=Counters(total=plan.size),
            concurrency=4,
            triage=Triage(),
        )
        started_s = clock.now()
        asyncio.get_running_loop().call_later(0.05, engine.stop, "interrupted", "ctrl-c")
        await engine.run(range(plan.size))
        return clock.now() - started_s

    assert asyncio.run(main()) < 5  # the one call in flight takes one


def test_the_rate_is_kept_by_the_gate_and_named_as_what_binds() -> None:
    async def main() -> None:
        clock = VirtualClock()
        plan = Plan(small_spec(values=60, repeats=1), endpoint="completions", model="m")
        journal, endpoint = MemoryJournal(), Scripted(one_second)
        progress = Counters(total=plan.size)
        engine = Engine(
            plan,
            endpoint,
            journal,
            gate=Gate(Admission(clock.now(), Limits(tpm=60 * 120), estimate=TokenEstimate(50)), clock),
            clock=clock,
            progress=progress,
            concurrency=64,
            triage=Triage(),
        )
        await engine.run(range(plan.size))
        assert 120 == progress.done
        # 66 tokens are reserved and 30 used and given back: between one and four requests a second.
        assert 25 < clock.now() < 70
        assert "tokens" == progress.binding.most_common(1)[0][0]

    run_virtual(main())


def test_p11_a_row_that_only_it_is_rate_limited_for_is_given_up_while_the_others_go_on() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.2)
            if "a 20-year-old man" in prompt:
                raise RateLimited("the tokens a minute are fewer than this prompt has", status=429)

        rig = Rig(script, values=400)
        await rig.run()
        assert (799, 1, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)

    run_virtual(main())


@pytest.mark.parametrize(("limits", "asks_s"), [(None, None), (Limits(rpm=1200), 20.0)])
def test_rows_that_only_they_are_rate_limited_for_do_not_keep_the_others_waiting(
    limits: Limits | None, asks_s: float | None
) -> None:
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
        assert (797, 3, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)
        assert answered_s[-1] < 250  # 20 waits of 20 seconds are 400

    run_virtual(main())


def test_a_rate_limit_of_ten_minutes_costs_no_row_and_no_attempt() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if 5 < rig.clock.now() < 605:
                raise RateLimited("slow down", status=429)

        rig = Rig(script, values=200, max_attempts=1)
        await rig.run()
        assert (400, 0, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)

    run_virtual(main())


def test_a_call_that_hangs_is_cut_off_by_what_the_others_took_also_when_it_was_the_very_first() -> None:
    """When it was sent nothing was known of the latencies; the deadline that they lead to holds for it, too."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt and attempt == 1:
                await asyncio.Event().wait()
            await asyncio.sleep(0.1)

        rig = Rig(script, values=100, deadline=Deadline(floor_s=1.0, ceiling_s=600.0))
        assert await rig.run() < 10
        assert (200, 0) == (rig.progress.done, rig.progress.failed)
        assert {"timeout": 1} == rig.progress.errors

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
        assert (200, 0, {"timeout": 1}) == (rig.progress.done, rig.progress.failed, rig.progress.errors)

    run_virtual(main())


def test_no_call_is_cut_off_before_the_floor_that_the_user_set() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(20 if "man" in prompt and "a 119" in prompt else 0.1)

        rig = Rig(script, values=100, deadline=Deadline(floor_s=30.0, ceiling_s=600.0))
        await rig.run()
        assert (200, 0) == (rig.progress.done, rig.progress.failed)
        assert {} == rig.progress.errors

    run_virtual(main())


def test_a_server_that_became_slower_pulls_the_deadline_up_and_loses_no_row() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1 if rig.clock.now() < 5 else 3.0)

        rig = Rig(script, values=400, deadline=Deadline(floor_s=0.5, ceiling_s=600.0))
        await rig.run()
        assert (800, 0, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)

    run_virtual(main())


def test_a_days_limit_that_is_used_up_parks_the_run() -> None:
    async def main() -> None:
        rig = Rig(one_second, values=10, limits=Limits(rpd=12))
        await rig.run()
        assert 12 == rig.progress.done
        assert rig.engine.stopped is not None
        assert "parked" == rig.engine.stopped.state
        assert "the day's limit is used up" in rig.engine.stopped.reason

    run_virtual(main())


def test_tokens_that_are_only_reserved_do_not_use_up_a_days_limit() -> None:
    """Four calls in flight reserve most of it; what they don't use comes back, and the run goes on with it."""

    async def main() -> None:
        rig = Rig(one_second, values=10, concurrency=8, limits=Limits(tpd=100))  # 24 reserved a call, 20 of them back
        rig.endpoint.usage = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
        await rig.run()
        assert (20, None) == (rig.progress.done, rig.engine.stopped)

    run_virtual(main())


def test_a_server_that_asks_for_a_slower_ramp_gets_it_at_the_cost_of_no_attempt() -> None:
    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if 2 < rig.clock.now() < 4:
                raise RateLimited("slow down", status=503, code="slow_down")

        rig = Rig(script, values=400, max_attempts=1, concurrency=8)
        await rig.run()
        assert (800, 0, None) == (rig.progress.done, rig.progress.failed, rig.engine.stopped)
        assert rig.progress.errors["rate_limit"] < 100

    run_virtual(main())


def test_a_cancel_that_meets_a_call_which_is_being_cut_off_ends_the_run_all_the_same() -> None:
    async def main() -> float:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt:
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(5)  # a transport that is slow to let go
            await asyncio.sleep(0.1)

        rig = Rig(script, values=400, deadline=Deadline(floor_s=1.0, ceiling_s=600.0))
        asyncio.get_running_loop().call_later(2.0, rig.engine.cancel)
        return await rig.run()

    assert run_virtual(main()) < 10
