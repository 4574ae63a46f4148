"""P11: a row that alone meets trouble is given up early and flagged; a trouble that all meet quarantines nobody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from herogen_async.core.clock import run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RequestTimeout,
    RetryableError,
    ServerFault,
)
from herogen_async.generation.engine import Deadline
from herogen_async.generation.retry import (
    DENIED_PROMPTS,
    MAX_ATTEMPTS,
    POISON_AFTER,
    Decision,
    GiveUp,
    Others,
    Park,
    Retry,
    Streak,
    Triage,
)
from support.engine_rig import Rig, Script

pytestmark = pytest.mark.usefixtures("both_ways")

NOBODY = Others(in_flight=0, new=False)


class Row:
    """One row whose calls all fail, at seconds that a test gives."""

    def __init__(self, triage: Triage, error: EndpointError, payload: int = 1) -> None:
        self._triage = triage
        self._error = error
        self._streak = Streak(payload)
        self.attempts = 0

    def fails(self, now: float, others: Others | None = None) -> Decision:
        self.attempts += 1
        return self._triage.judge(self._error, self.attempts, now, streak=self._streak, others=others or Others())


def answer(triage: Triage, times: int, sent_s: float) -> None:
    for _ in range(times):
        triage.answered(sent_s)


def failures_until_quarantine(between: int, error: EndpointError) -> int | None:
    """How often a row may fail when so many others are answered after each time."""
    triage = Triage()
    row = Row(triage, error)
    answer(triage, 1, 0.0)
    for second in range(1, MAX_ATTEMPTS + 1):
        decision = row.fails(float(second))
        if isinstance(decision, GiveUp):
            return None if decision.quarantined is None else row.attempts
        answer(triage, between, second + 0.5)
    return None


@pytest.mark.parametrize("error", [ServerFault("x"), RequestTimeout("x"), BadAnswer("x"), ConnectionFailed("reset")])
@pytest.mark.parametrize(("between", "times"), [(1000, 4), (33, 4), (32, 5), (8, 5), (3, 6), (2, 7), (1, None)])
def test_p11_poison_is_told_from_chance_by_how_many_others_are_answered(
    error: RetryableError, between: int, times: int | None
) -> None:
    """The arithmetic of `retry.suspects`: 98 others make it 4 times, 30 make it 5, 14 make it 6, 8 make it 7."""
    assert times == failures_until_quarantine(between, error)
    assert 4 == POISON_AFTER


def test_p11_nothing_is_poison_while_no_later_call_is_answered() -> None:
    """A thousand calls that were under way before the trouble are answered during it, and prove nothing."""
    triage = Triage()
    row = Row(triage, ServerFault("x"))
    for second in range(1, MAX_ATTEMPTS):
        assert isinstance(row.fails(float(second)), Retry)
        answer(triage, 1000, sent_s=0.5)
    assert GiveUp() == row.fails(10.0)


def test_p11_a_different_failure_starts_a_new_streak() -> None:
    """Alternating kinds of failure never quarantine a row, because each change starts a new streak."""
    triage = Triage()
    streak = Streak(1)
    answer(triage, 1, 0.0)
    for second in range(1, MAX_ATTEMPTS):
        error = ServerFault("x") if second % 2 else BadAnswer("x")
        assert isinstance(triage.judge(error, second, float(second), streak=streak), Retry)
        answer(triage, 1000, second + 0.5)


def test_p11_no_row_is_quarantined_at_a_tenth_failing() -> None:
    """While a tenth of all calls fails, no row is quarantined, since the server may be the cause."""
    triage = Triage()
    row, others = Row(triage, ServerFault("x")), [Row(triage, ServerFault("x"), number) for number in range(1000)]
    answer(triage, 1000, 0.0)
    for second in range(1, MAX_ATTEMPTS + 1):
        decision = row.fails(float(second))
        assert not (isinstance(decision, GiveUp) and decision.quarantined)
        for _ in range(20):
            others.pop().fails(float(second))
        answer(triage, 180, second + 0.5)


def denied(may_be_row: bool = True) -> EndpointRefused:
    error = EndpointRefused("HTTP 403: no", status=403, fix="check the key")
    error.may_be_row = may_be_row
    error.park_reason = ParkReason.KEY_REFUSED
    return error


def test_a_denied_prompt_fails_once_a_later_call_was_answered() -> None:
    """An answer to an earlier call proves nothing."""
    triage = Triage()
    row = Row(triage, denied())
    assert isinstance(row.fails(1.0), Retry)
    answer(triage, 100, sent_s=0.5)  # they were sent before: the key may be revoked since
    assert isinstance(row.fails(3.0), Retry)
    answer(triage, 1, sent_s=3.5)
    decision = row.fails(7.0)
    assert isinstance(decision, GiveUp)
    assert decision.quarantined


def test_several_denied_prompts_in_a_row_park_the_run() -> None:
    """When enough different prompts are denied in succession, the run parks as `key refused`."""
    triage = Triage()
    answer(triage, 100, sent_s=0.0)
    rows = [Row(triage, denied(), payload) for payload in range(DENIED_PROMPTS)]
    decisions = [row.fails(1.0) for row in rows]
    assert all(isinstance(decision, Retry) for decision in decisions[:-1])
    assert Park(ParkReason.KEY_REFUSED, "HTTP 403: no", "check the key") == decisions[-1]


def test_repeats_of_one_prompt_count_as_one() -> None:
    """Denials of the same prompt, however many, count as one and don't park the run."""
    triage = Triage()
    for _ in range(3 * DENIED_PROMPTS):
        assert isinstance(Row(triage, denied(), payload=7).fails(1.0), Retry)


@pytest.mark.parametrize("answered", [False, True])
def test_the_last_denied_row_fails_where_others_were_answered(
    answered: bool,
) -> None:
    """Where nobody was, the run parks."""
    triage = Triage()
    answer(triage, 100 * answered, sent_s=0.0)
    row = Row(triage, denied())
    if not answered:
        assert isinstance(row.fails(1.0, NOBODY), Park)
        return
    assert isinstance(row.fails(1.0, NOBODY), Retry)
    assert isinstance(row.fails(3.0, NOBODY), GiveUp)


def test_a_refusal_of_the_account_or_model_parks_at_once() -> None:
    """A denial that can't be the row's own fault parks the run at the first one."""
    triage = Triage()
    answer(triage, 100, sent_s=0.0)
    assert isinstance(Row(triage, denied(may_be_row=False)).fails(1.0), Park)


# -- whole runs, in virtual time -----------------------------------------------------------------------------------


def rig_of(script: Callable[[Rig], Script], **options: object) -> Rig:
    """A rig whose script knows it."""

    async def run_script(prompt: str, attempt: int) -> None:
        await script(rig)(prompt, attempt)

    rig = Rig(run_script, **options)  # type: ignore[arg-type]
    return rig


def quarantined(rig: Rig) -> list[dict[str, object]]:
    return [failure for failure in map(loads, rig.journal.failures) if failure.get("quarantined")]


def test_p11_poison_among_good_rows_is_quarantined() -> None:
    """After k attempts, with its reason."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.05)
            if "a 40-year-old man" in prompt:
                raise ServerFault("HTTP 500: boom", status=500, request_id=f"r{attempt}")

        # Enough others for the longest waits of the row, few enough a second for its shortest.
        rig = Rig(script, values=1000, concurrency=16)
        await rig.run()
        (failure,) = map(loads, rig.journal.failures)
        attempts = len(failure["attempts"])
        assert failure["quarantined"] is True
        assert POISON_AFTER <= attempts <= 7
        assert failure["reason"].startswith(f"server {attempts} times in a row, while ")
        assert (1999, 1, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)

    run_virtual(main())


@pytest.mark.parametrize("failing_share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("latency_s", [0.2, 5.0])
def test_p11_half_a_minute_of_trouble_for_all_quarantines_nobody(failing_share: float, latency_s: float) -> None:
    """Calls that are under way when it begins are answered during it; those that are sent fail at once."""
    chance = random.Random(1)

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if 20 < rig.clock.now() < 50 and chance.random() < failing_share:
                raise ServerFault("HTTP 503: overloaded", status=503)
            await asyncio.sleep(latency_s)

        rig = Rig(script, values=int(45 / latency_s * 4), concurrency=8)
        await rig.run()
        assert rig.counters.errors["server"] > 5
        assert [] == quarantined(rig)

    run_virtual(main())


def test_a_firewall_that_denies_one_prompt_costs_that_prompt_alone() -> None:
    """... even if it is the very first of the run."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if "a 20-year-old man" in prompt:
                raise denied()
            await asyncio.sleep(3)

        rig = Rig(script, values=40, concurrency=8)
        await rig.run()
        assert (79, 1, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        (failure,) = quarantined(rig)
        assert ("endpoint_refused", 403) == (failure["kind"], failure["status"])

    run_virtual(main())


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_a_key_that_is_revoked_in_mid_run_parks_it_and_gives_no_row_up(concurrency: int) -> None:
    """The calls that were sent before are answered long after the first denial."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            if rig.clock.now() > 30:
                raise denied()
            await asyncio.sleep(9)

        rig = Rig(script, values=200, concurrency=concurrency)
        await rig.run()
        assert rig.engine.stopped is not None
        assert ("parked", 0) == (rig.engine.stopped.state, rig.counters.failed)
        assert rig.endpoint.asked.total() < rig.counters.done + concurrency + 2 * DENIED_PROMPTS + 1

    run_virtual(main())


def test_a_wrong_url_parks_even_a_small_run_at_once() -> None:
    """A run of few rows that are all denied parks within a second."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(0.1)
            raise denied()

        rig = Rig(script, values=2, concurrency=16)
        assert await rig.run() < 1
        assert rig.engine.stopped is not None

    run_virtual(main())


# -- hanging rows --------------------------------------------------------------------------------------------------

HANGING = Deadline(floor_s=30.0, ceiling_s=600.0)


def test_p11_a_row_that_always_hangs_is_quarantined() -> None:
    """A row that always times out is quarantined as such, and the other 799 complete."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1e9 if "a 30-year-old man" in prompt else 1.0)

        rig = Rig(script, values=400, concurrency=4, deadline=HANGING)
        await rig.run()
        (failure,) = quarantined(rig)
        assert ("timeout", POISON_AFTER) == (failure["kind"], len(failure["attempts"]))  # type: ignore[arg-type]
        assert (799, 1) == (rig.counters.done, rig.counters.failed)

    run_virtual(main())


def test_a_tail_of_hanging_rows_ends_in_two_deadlines() -> None:
    """When only hanging rows remain, the run ends within two deadlines of the last answer."""

    async def main() -> None:
        async def script(prompt: str, attempt: int) -> None:
            await asyncio.sleep(1e9 if any(f"a {age}-year-old" in prompt for age in range(116, 120)) else 1.0)

        rig = Rig(script, values=100, concurrency=16, deadline=HANGING)
        last_s: list[float] = []
        rig.journal.on_row = lambda: last_s.append(rig.clock.now())
        took_s = await rig.run()
        assert (192, 8, None) == (rig.counters.done, rig.counters.failed, rig.engine.stopped)
        assert took_s - last_s[-1] < 2 * HANGING.floor_s + 2

    run_virtual(main())
