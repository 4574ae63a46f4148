"""How many rows more a run is likely to ask for the accepted ones that it wants, and how sure that is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.forecast.wanted_forecast import wanted_forecast
from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows
from support.fake_server import FakeServer, answer
from support.runs import herogen, write_spec


def ended(count: int, share: float, wanted: int, chance: random.Random) -> WantedRows:
    rows = WantedRows(wanted, 10**9)
    for number in range(count):
        rows.add(number, RowOutcome.ACCEPTED if chance.random() < share else RowOutcome.REJECTED)
    return rows


@pytest.mark.parametrize(("share", "seen"), [(0.14, 200), (0.5, 60), (0.9, 100)])
def test_the_rows_that_it_takes_lie_between_the_bounds(share: float, seen: int) -> None:
    """In about 95 of 100 runs, and about as often above the likely number as below it."""
    chance = random.Random(7)
    inside = above = 0
    for _ in range(400):
        rows = ended(seen, share, 300, chance)
        told = wanted_forecast(rows)
        more = 0
        missing = 300 - rows.accepted
        while missing:
            more += 1
            missing -= chance.random() < share
        inside += told.fewest <= more <= told.most
        above += more > told.likely
    assert 0.91 <= inside / 400 <= 0.99
    assert 0.35 <= above / 400 <= 0.65


def test_nothing_is_known_before_a_row_was_accepted() -> None:
    """At least as many rows as are wanted, at most all that may be asked."""
    rows = WantedRows(20, 500)
    told = wanted_forecast(rows)
    assert (None, 500, 20, 500) == (told.share, told.likely, told.fewest, told.most)
    rows.add(0, RowOutcome.REJECTED)
    told = wanted_forecast(rows)
    assert (0.0, 499, 20, 499) == (told.share, told.likely, told.fewest, told.most)


def test_no_more_is_forecast_than_may_be_asked() -> None:
    """Nor anything once there are enough."""
    rows = WantedRows(20, 30)
    for number in range(10):
        rows.add(number, RowOutcome.ACCEPTED if number == 3 else RowOutcome.FAILED)
    told = wanted_forecast(rows)
    assert (20, 20, 30, False) == (told.likely, told.most, told.rows, told.is_met)
    rows = WantedRows(1, 30)
    rows.add(0, RowOutcome.ACCEPTED)
    assert (0, 0, True) == (wanted_forecast(rows).likely, wanted_forecast(rows).most, wanted_forecast(rows).is_met)


def test_rows_before_those_that_are_there_are_forecast() -> None:
    """Enough accepted rows behind a gap are not enough: what lies in the gap comes first."""
    rows = WantedRows(20, 1000)
    for number in range(400, 480):
        rows.add(number, RowOutcome.ACCEPTED if number % 4 == 0 else RowOutcome.REJECTED)
    told = wanted_forecast(rows)
    assert (20, False) == (told.accepted, told.is_met)
    assert (80, 80) == (told.likely, told.rows)
    assert told.fewest < 80 < told.most <= 400


def test_plan_says_what_the_accepted_rows_take(tmp_path: Path) -> None:
    """Before the run all that may be asked, then what is likely, with bounds; the estimates are for that."""
    spec = herogen_async.Spec(
        name="s",
        attributes={"n": [str(number) for number in range(900)]},
        columns={"grade": {"prompt": "{n}", "answer": {"one_of": ["yes", "no"]}}},
        keep="grade == 'yes'",
        want={"accepted": 100, "at_most": 600},
    )
    found = herogen_async.plan(spec)
    assert found.wanted is not None
    assert (600, 600) == (found.new.requests, found.wanted.likely)
    with FakeServer(lambda asked: answer(asked, "yes" if int(asked.prompt.split()[0]) % 4 == 0 else "no")) as server:
        herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", limit=80)
        found = herogen_async.plan(spec, tmp_path / "r", base_url=server.url, model="m")
    assert found.wanted is not None
    assert 80 == found.wanted.ended
    assert found.wanted.likely == found.new.requests
    assert found.wanted.fewest < found.wanted.likely < found.wanted.most <= 520
    told = herogen("plan", write_spec(tmp_path, spec), tmp_path / "r", cwd=tmp_path).stdout
    assert f"About {found.wanted.likely} rows more, with 95 % certainty {found.wanted.fewest} to" in told
    assert found.as_dict()["wanted"]["likely"] == found.wanted.likely
