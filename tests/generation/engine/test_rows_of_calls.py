"""Rows of several calls and lanes: whatever fails, stops or fills up, a run ends, and no answer is lost or asked twice.

A randomized history, and single cases of which each went wrong once.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from herogen_async.core.clock import run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import (
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RowRefused,
    ServerFault,
)
from herogen_async.generation.engine import Engine
from herogen_async.generation.journal import Recovered
from herogen_async.generation.session.selection import to_ask
from herogen_async.specs.plan.open_row import OpenRow
from herogen_async.specs.spec import Spec
from support.column_rig import ColumnRig, Script

pytestmark = pytest.mark.usefixtures("both_ways")

VALUES = 12
SHAPES: tuple[dict[str, Any], ...] = (
    {
        "q": {"prompt": "q {n}"},
        "s": {"prompt": "s [{q}]", "samples": 2, "model": "b"},
        "v": {"prompt": "v [{q}] [{s}]"},
        "best": {"prompt": "best [{s.all}]", "model": "c"},
    },
    {
        "q": {"prompt": "q {n}"},
        "w": {"prompt": "w {n}", "model": "b"},
        "r": {"prompt": "r [{q}] [{w}]", "model": "c", "when": "n < 5"},
        "t": {"prompt": "t [{r}]"},
        "f": {"prompt": "f [{r|q}]", "model": "b"},
    },
    {
        "q": {"prompt": "q {n}", "samples": 2},
        "r": {"prompt": "r [{q}]", "when": "n == '3'"},
        "t": {"prompt": "t [{r.all}]"},
        "u": {"prompt": "u [{w}]", "when": "q == 'x'"},
        "w": {"prompt": "w {n}"},
    },
    {
        "q": {"prompt": "q {n}", "when": "n == 'none'"},
        "s": {"prompt": "s [{q}]", "model": "b"},
        "t": {"prompt": "t {n}", "when": "s != null", "model": "c"},
    },
)


def spec_of(columns: dict[str, Any], values: int = VALUES, **more: Any) -> Spec:
    attributes = {"n": [str(each) for each in range(values)]}
    return Spec(**{"name": "s", "attributes": attributes, "columns": columns, **more})


async def answering(prompt: str) -> str:
    """Every prompt after a second: a text that says which prompt it answers."""
    await asyncio.sleep(1)
    return f"<{prompt}>"


@functools.cache
def whole(shape: int) -> Counter[str]:
    """The prompts of a run that nothing disturbs."""
    rig = ColumnRig(spec_of(SHAPES[shape]))
    run_virtual(rig.session(answering))
    return rig.answered


def denied() -> EndpointError:
    error = EndpointRefused("denied")
    error.may_be_row = True
    return error


def refused() -> EndpointError:
    error = RowRefused("refused")
    error.may_be_run = True
    return error


def lost() -> EndpointError:
    error = ConnectionFailed("connection refused")
    error.sent = False
    return error


def used_up() -> EndpointError:
    error = EndpointRefused("used up")
    error.park_reason = ParkReason.DAY_LIMIT
    return error


ERRORS: tuple[Callable[[], EndpointError], ...] = (
    denied,
    refused,
    refused,
    lost,
    used_up,
    lambda: RowRefused("no"),
    lambda: RowRefused("no"),
    lambda: ServerFault("fault"),
    lambda: RateLimited("slow"),
)


def pause(engine: Engine) -> None:
    """For three seconds."""
    engine.pause(True)
    asyncio.get_running_loop().call_later(3, engine.pause, False)


EVENTS: tuple[Callable[[Engine], object], ...] = (
    lambda engine: engine.interrupt("stop"),
    lambda engine: engine.cancel(),
    lambda engine: engine.resize(1),
    lambda engine: engine.resize(5),
    pause,
)


# Few, so that many answers, refusals, ticks and events share a turn of the loop.
MOMENTS_S = (0.1, 0.2, 0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0)


def troubled(dice: random.Random, share: float) -> Script:
    async def script(prompt: str) -> str:
        await asyncio.sleep(dice.choice(MOMENTS_S))
        if dice.random() < share:
            raise dice.choice(ERRORS)()
        return f"<{prompt}>"

    return script


@settings(max_examples=80, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
@given(
    shape=st.integers(0, len(SHAPES) - 1),
    seed=st.integers(0, 10_000),
    concurrency=st.integers(1, 4),
    sessions=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.05, 0.3, 0.9]),
            st.lists(st.tuples(st.integers(0, 60).map(lambda half: half / 2), st.sampled_from(EVENTS)), max_size=3),
            st.booleans(),
            st.sampled_from([None, None, 2, 7]),
        ),
        max_size=4,
    ),
)
def test_no_history_of_sessions_loses_an_answer_or_asks_for_one_twice(
    shape: int, seed: int, concurrency: int, sessions: list[Any]
) -> None:
    """Failures, parks, pauses, resizes, stops and limits, in one to three lanes: in the end all is there, once."""
    rig, dice = ColumnRig(spec_of(SHAPES[shape]), concurrency=concurrency), random.Random(seed)
    before = random.getstate()
    random.seed(seed)
    was_cancelled = False
    try:
        for share, at, retries, limit in sessions:
            was_cancelled |= any(happens is EVENTS[1] for _, happens in at)
            run_virtual(rig.session(troubled(dice, share), at=at, retries=retries, limit=limit))
            answers = Counter(each["prompt"] for each in rig.records() if "skipped" not in each)
            assert was_cancelled or answers == rig.answered
        engine = run_virtual(rig.session(answering, retries=True))
    finally:
        random.setstate(before)
    assert engine.stopped is None
    assert (VALUES, 0, VALUES) == (engine.counters.done, engine.counters.failed, engine.counters.total)
    assert whole(shape) == Counter(each["prompt"] for each in rig.records() if "skipped" not in each)


# -- single cases, each of which went wrong once ------------------------------------------------------------------

Q_AND_S = {"q": {"prompt": "q {n}"}, "s": {"prompt": "s [{q}]", "model": "b"}}
Q_AND_W = {"q": {"prompt": "q {n}"}, "w": {"prompt": "w {n}", "model": "b"}}


def asked(rig: ColumnRig, start: str) -> int:
    return sum(count for prompt, count in rig.answered.items() if prompt.startswith(start))


@pytest.mark.parametrize("model", ["m", "b"])
def test_rows_of_which_nothing_is_asked_wait_for_the_journal_and_can_be_stopped(model: str) -> None:
    """Their lines are no more at once than the journal takes; a stop is heard, whatever the grid still holds."""
    columns = {"q": {"prompt": "q {n}", "when": "n == 'x'"}, "s": {"prompt": "s [{q}]", "model": model}}
    rig = ColumnRig(spec_of(columns, 500))
    engine = run_virtual(rig.session(answering, at=[(2, lambda engine: engine.interrupt("stop"))]))
    assert "stop" == (engine.stopped and engine.stopped.reason)
    assert 0 < len(rig.lines) < 100
    assert rig.journal.most_waiting <= 4 + 2 + 1
    assert 500 == run_virtual(rig.session(answering)).counters.done


def test_what_is_in_flight_in_a_lane_that_parks_is_followed_in_the_others() -> None:
    """A question comes home after its lane was closed: its solution is asked, since its own lane is open."""

    async def script(prompt: str) -> str:
        if prompt == "q 0":
            await asyncio.sleep(5)
        elif prompt == "q 1":
            await asyncio.sleep(1)
            raise used_up()
        return f"<{prompt}>"

    rig = ColumnRig(spec_of(Q_AND_S))
    engine = run_virtual(rig.session(script))
    assert "parked" == (engine.stopped and engine.stopped.state)
    assert Counter(["q 0", "s [<q 0>]"]) == rig.answered


def test_rows_that_are_held_as_refused_keep_no_others_from_being_begun() -> None:
    """A server refuses more rows in a row than may be open, and says no reason: the next one shows that they are bad.

    It has refused eleven of twelve before: so many more are no sign that it refuses all.
    """

    async def script(prompt: str) -> str:
        await asyncio.sleep(0.1)
        kind, _, number = prompt.partition(" ")
        if kind == "q" and (int(number) % 12 if int(number) < 60 else int(number) < 100):
            raise refused()
        return f"<{prompt}>"

    rig = ColumnRig(spec_of(Q_AND_S, 110), concurrency=1)
    engine = run_virtual(rig.session(script))
    assert engine.stopped is None
    assert (15, 95) == (engine.counters.done, engine.counters.failed)


THREE = {"q": {"prompt": "q {n}"}, "s": {"prompt": "s [{q}]", "model": "b"}, "t": {"prompt": "t [{s}]"}}


def denied_key() -> EndpointError:
    error = EndpointRefused("HTTP 401: no")
    error.status = 401
    return error


@pytest.mark.parametrize("refused_s", [1.0, 0.5])
def test_a_lane_that_closes_in_the_turn_of_its_answers_loses_none_of_what_they_make_ready(refused_s: float) -> None:
    """Whether a refusal in the same turn closes it, or what is in flight comes home in the turn of a tick."""

    async def script(prompt: str) -> str:
        if prompt == "s [<q 0>]":
            await asyncio.sleep(refused_s)
            raise denied_key()
        await asyncio.sleep(1)
        return f"<{prompt}>"

    rig = ColumnRig(spec_of(THREE), concurrency=4)
    run_virtual(rig.session(script))
    columns = Counter(each["column"] for each in rig.records())
    assert columns["s"] == columns["t"] > 0
    run_virtual(rig.session(answering))
    assert Counter(dict.fromkeys(rig.answered, 1)) == rig.answered
    assert 3 * VALUES == rig.answered.total()


def test_rows_denied_in_the_turn_of_an_answer_are_their_own_failures() -> None:
    """What the answer makes ready shows that the run is served: it does not park."""
    released = asyncio.Event()

    async def script(prompt: str) -> str:
        if not prompt.startswith("q"):
            return await answering(prompt)
        if prompt == "q 3":
            released.set()
        await released.wait()
        if prompt != "q 0":
            raise denied()
        return f"<{prompt}>"

    columns = {name: {"prompt": column["prompt"]} for name, column in THREE.items()}
    rig = ColumnRig(spec_of(columns, 4), concurrency=4)
    engine = run_virtual(rig.session(script))
    assert (None, 1, 3) == (engine.stopped, engine.counters.done, engine.counters.failed)


def test_p11_a_mistake_of_ours_behind_an_answer_costs_only_its_own_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is kept, what builds on it fails with the class `internal`, and the run ends."""
    whole_step = OpenRow.step

    def step(row: OpenRow, place: int) -> Any:
        if place and row.cell["n"] == "3":
            raise ZeroDivisionError("Bearer sk-secret")
        return whole_step(row, place)

    monkeypatch.setattr(OpenRow, "step", step)
    rig = ColumnRig(spec_of({"q": {"prompt": "q {n}"}, "r": {"prompt": "r [{q}]"}, "t": {"prompt": "t [{r}]"}}))
    engine = run_virtual(rig.session(answering))
    assert (VALUES - 1, 1, None) == (engine.counters.done, engine.counters.failed, engine.stopped)
    (failure,) = map(loads, rig.failures)
    assert ("r", "internal", {"n": "3"}) == (failure["column"], failure["kind"], failure["cell"])
    assert "ZeroDivisionError in test_rows_of_calls.py" in failure["message"]
    assert "sk-secret" not in str(failure)
    assert {"internal": 1} == engine.counters.errors
    monkeypatch.undo()
    run_virtual(rig.session(answering, retries=True))
    assert rig.answered == Counter(dict.fromkeys(rig.answered, 1))
    assert 3 * VALUES == rig.answered.total()


def test_p11_a_mistake_behind_a_skipped_call_fails_what_waits_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is told as failed, though what failed in it names the answer by way of a column that was skipped."""
    whole_step = OpenRow.step

    def step(row: OpenRow, place: int) -> Any:
        if place == 2 and row.cell["n"] == "3":
            raise ZeroDivisionError
        return whole_step(row, place)

    monkeypatch.setattr(OpenRow, "step", step)
    skipped = {"prompt": "r [{q}]", "when": "n == 'none'"}
    rig = ColumnRig(spec_of({"q": {"prompt": "q {n}"}, "r": skipped, "t": {"prompt": "t [{r|n}]"}}))
    engine = run_virtual(rig.session(answering))
    assert (VALUES - 1, 1) == (engine.counters.done, engine.counters.failed)
    assert ["t"] == [loads(line)["column"] for line in rig.failures]


def test_of_rows_with_many_samples_few_are_open() -> None:
    """What their answers make ready is bounded, too, while a slow lane is waited for."""

    async def script(prompt: str) -> str:
        await asyncio.sleep(1 if prompt.startswith("s") else 0.001)
        return f"<{prompt}>"

    most = 0

    def look(engine: Engine) -> None:
        nonlocal most
        del engine
        most = max(most, rig.lanes["b"].held)

    columns = {"q": Q_AND_S["q"], "s": {**Q_AND_S["s"], "samples": 200}}
    rig = ColumnRig(spec_of(columns, 20), batch=1000)
    stop = [(60.0, lambda engine: engine.interrupt("enough"))]
    run_virtual(rig.session(script, at=[*((second / 2, look) for second in range(100)), *stop]))
    assert 0 < most <= 2 * 200
    assert asked(rig, "s") >= 2 * 55


def test_more_calls_at_once_open_more_rows() -> None:
    """`ctl` sets another concurrency in the middle: what may be open goes by what it is now."""
    rig = ColumnRig(spec_of(Q_AND_W, 2000), concurrency=1, batch=99)

    def more(engine: Engine) -> None:
        engine.resize(100)

    run_virtual(rig.session(answering, at=[(2, more), (30, lambda engine: engine.interrupt("enough"))]))
    assert asked(rig, "q") > 1500


def test_a_row_that_is_asked_again_beyond_the_limit_is_finished() -> None:
    """What was never asked of it is asked with it: a total of rows is one that is reached."""

    async def script(prompt: str) -> str:
        if prompt == "q 5":
            raise RowRefused("no")
        if prompt.startswith("w"):
            raise used_up()
        return f"<{prompt}>"

    rig = ColumnRig(spec_of({**Q_AND_S, "w": {"prompt": "w {n}", "model": "c"}}))
    assert 1 == run_virtual(rig.session(script)).counters.failed
    counters = run_virtual(rig.session(answering, retries=True, limit=2)).counters
    assert (3, 3, 0) == (counters.total, counters.done, counters.failed)
    assert 3 == asked(rig, "w")


def test_a_row_of_which_another_call_stays_failed_is_counted_once() -> None:
    """One class of failures is asked again, beyond the limit."""
    rig, found = ColumnRig(spec_of(Q_AND_W)), Recovered(calls_a_row=2)
    found.failed.add(10)
    found.failed.add(11)
    wanted = to_ask(rig.plan, found, [10], rig.plan.rows_asked(2))
    assert ([0, 1, 2, 3, 10], 3, 1) == (list(wanted.indices()), wanted.total, wanted.failed)
