"""Deadlines of a row and of a session, and what is told of the rows that are still out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from herogen_async.core.clock import run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import ConnectionFailed, ParkReason, RateLimited, ServerFault
from herogen_async.generation.engine import Deadline, Straggler
from herogen_async.generation.engine.engine import STRAGGLERS
from herogen_async.generation.run_folder import RunFolder, RunLock, read_lock
from herogen_async.generation.session.reporter import _fitting
from support.engine_rig import Rig

pytestmark = pytest.mark.usefixtures("both_ways")

CALLS = Deadline(floor_s=30.0, ceiling_s=60.0)


async def hang() -> None:
    await asyncio.Event().wait()


def test_a_row_fails_when_all_its_attempts_took_too_long() -> None:
    """Its history is kept, and the deadline is the last of it."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt:
                await asyncio.sleep(4)
                raise ServerFault("HTTP 500: boom", status=500)
            await asyncio.sleep(1)

        rig = Rig(script, deadline=replace(CALLS, row_s=10.0))
        took_s = await rig.run()
        (failure,) = map(loads, rig.journal.failures)
        assert "deadline" == failure["kind"]
        assert "no answer within the row limit of 10 s" in failure["message"]
        assert {"server", "deadline"} == {attempt["kind"] for attempt in failure["attempts"]}
        assert took_s < 10.5
        assert (19, 1, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)

    run_virtual(main())


def test_a_call_in_flight_is_cut_off_when_its_rows_time_is_up() -> None:
    """Also where an older call still has time: rows begin at different times."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if "a 21-year-old man" in prompt and attempt == 1:
                raise ServerFault("HTTP 500: boom", status=500)
            await asyncio.sleep(7.9 if "a 20-" in prompt else 1)
            if "a 21-year-old man" in prompt:
                await hang()

        rig = Rig(script, concurrency=20, deadline=replace(CALLS, row_s=8.0))
        assert await rig.run() < 8.2
        assert ["deadline"] == [loads(line)["kind"] for line in rig.journal.failures]

    run_virtual(main())


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    """The row fails at once."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "a 29-year-old woman" in prompt:
                error = RateLimited("HTTP 429: slow down", status=429)
                error.retry_after_s = 50.0
                raise error

        rig = Rig(script, concurrency=20, deadline=replace(CALLS, row_s=20.0))
        assert await rig.run() < 2
        assert (19, 1) == (rig.counters.done, rig.counters.failed)
        assert loads(rig.journal.failures[0])["message"].endswith("of 20 s (1 attempt)")

    run_virtual(main())


def test_a_row_out_of_time_at_a_closed_gate_is_not_resent() -> None:
    """A row whose time runs out before a closed gate fails after its single attempt."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            if not 0.5 < rig.clock.now() < 1.5:  # a run that never had an answer would park
                return
            if "woman" in prompt:
                error = RateLimited("HTTP 429: slow down", status=429)
                error.retry_after_s = 50.0  # the gate is closed for all
                raise error
            raise ServerFault("HTTP 503: busy", status=503)

        rig = Rig(script, values=10, concurrency=2, deadline=replace(CALLS, row_s=20.0))
        await rig.run()
        assert (20, True) == (rig.counters.done + rig.counters.failed, rig.counters.failed >= 2)
        assert {1} == set(rig.endpoint.asked.values())

    run_virtual(main())


def test_a_server_that_never_answers_parks_after_three_rows() -> None:
    """The deadline of a row does not burn the grid."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await hang()

        rig = Rig(script, values=500, deadline=replace(CALLS, row_s=10.0))
        assert await rig.run() < 21
        assert rig.engine.stopped is not None
        assert rig.counters.failed < 3

    run_virtual(main())


def test_a_session_whose_time_is_up_drains_and_parks() -> None:
    """What is in flight is finished."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(4)

        rig = Rig(script, values=200, deadline=CALLS, run_s=10.0)
        assert 11.9 < await rig.run() < 12.2
        assert rig.engine.stopped is not None
        assert ("parked", 12) == (rig.engine.stopped.state, rig.counters.done)
        assert ParkReason.SESSION_TIME is rig.engine.stopped.park_reason
        assert "time is up" in rig.engine.stopped.reason
        assert "--run-timeout" in (rig.engine.stopped.fix or "")

    run_virtual(main())


def test_calls_that_hang_when_the_session_ends_get_one_deadline() -> None:
    """They cost no row: the next session asks for them again."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await (hang() if rig.clock.now() > 9 else asyncio.sleep(1))

        rig = Rig(script, values=200, deadline=CALLS, run_s=10.0)
        assert await rig.run() < 10 + CALLS.ceiling_s + 0.5
        assert rig.engine.stopped is not None
        assert ("parked", 0) == (rig.engine.stopped.state, rig.counters.failed)

    run_virtual(main())


def test_a_drain_never_waits_longer_than_one_deadline() -> None:
    """Draining with a hanging call ends within one deadline of 30 s and fails no row."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await hang()

        rig = Rig(script, deadline=replace(CALLS, ceiling_s=30.0))
        assert await rig.run((5, lambda: rig.engine.interrupt("ctrl-c"))) < 30.5
        assert 0 == rig.counters.failed

    run_virtual(main())


def test_stragglers_are_told_once_nothing_new_is_sent() -> None:
    """The rows that are out the longest, and what each of them waits for."""
    seen: dict[int, tuple[Straggler, ...]] = {}

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if "a 28-year-old man" in prompt:
                await asyncio.sleep(20)
            if "a 29-year-old man" in prompt and attempt == 1:
                error = ConnectionFailed("reset")
                error.retry_after_s = 12.0
                raise error

        rig = Rig(script, deadline=CALLS)

        def look(second: int) -> None:
            seen[second] = rig.counters.stragglers

        for second in (1, 7):
            asyncio.get_running_loop().call_later(second, look, second)
        await rig.run()
        assert () == rig.counters.stragglers

    run_virtual(main())
    assert () == seen[1]
    hanging, waiting = seen[7]
    assert (16, "28", 1, None, None) == (
        hanging.index,
        hanging.cell["age"],
        hanging.attempt,
        hanging.retry_in_s,
        hanging.after,
    )
    assert 2 < hanging.out_s < 4
    assert (18, 2, "connection") == (waiting.index, waiting.attempt, waiting.after)
    assert waiting.retry_in_s is not None
    assert 8 < waiting.retry_in_s < 12


def test_stragglers_with_huge_cells_leave_room_for_figures(tmp_path: Path) -> None:
    """Stragglers with very long cells are dropped as needed so that live figures still fit."""
    folder = RunFolder(tmp_path)
    row = Straggler(7, {f"attribute-{number}": "v" * 40 for number in range(20)}, out_s=65.0, attempt=1)
    figures = _fitting({"in_flight": 5}, (row,) * STRAGGLERS)
    lock = RunLock.acquire(folder, "now")
    try:
        lock.publish(figures)
        live = read_lock(folder).live
    finally:
        lock.release()
    assert 5 == live["in_flight"]
    assert 0 < len(live["stragglers"]) < STRAGGLERS
    assert [] == _fitting({}, (Straggler(7, {"name": "v" * 5000}, out_s=1.0, attempt=1),))["stragglers"]
    lane = {"model": "m", "base_url": "http://10.0.0.1/v1", "requests": 5, "limits": {}, "errors": {"timeout": 3}}
    lane["binding_shares"] = {"endpoint": 90.0, "concurrency": 10.0}
    lanes = {f"http://10.0.0.{number}/v1": dict(lane) for number in range(20)}
    short = _fitting({"lanes": lanes}, ())["lanes"]  # of many servers what they do now is told, and not all they did
    assert [*lanes] == [*short]
    assert {5} == {each["requests"] for each in short.values()}
    assert {} == _fitting({"lanes": {f"{name}{'x' * 90}": each for name, each in lanes.items()}}, ())["lanes"]


def test_a_network_that_is_gone_for_two_minutes_parks_the_run() -> None:
    """No row fails for it."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1)
            if rig.clock.now() > 5:
                error = ConnectionFailed("no route to host")
                error.sent = False
                raise error

        rig = Rig(script, values=100, deadline=CALLS)
        assert 125 < await rig.run() < 140
        assert rig.engine.stopped is not None
        assert ("parked", 0) == (rig.engine.stopped.state, rig.counters.failed)
        assert ParkReason.UNREACHABLE is rig.engine.stopped.park_reason
        assert "no answer for 125 s" in rig.engine.stopped.reason
        assert "network" in (rig.engine.stopped.fix or "")

    run_virtual(main())
