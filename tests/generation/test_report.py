"""Reports: what a folder's journal and events come to, and that each figure is declared once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import ParkReason
from herogen_async.generation.engine import ColumnCounts, Counters, Straggler
from herogen_async.generation.journal import Recovered, Words
from herogen_async.generation.prices import Price
from herogen_async.generation.report import (
    GivenFigures,
    RateWindow,
    Remembered,
    RunReport,
    SessionMoment,
    folded_report,
    kept_figures,
    last_report,
    live_report,
    one_session,
    published_figures,
)

# The keys of `--json` as release 0.1.0 prints them, in its order.
KEYS = (
    "run state total done failed pending grid in_flight elapsed_s rows_per_s tokens_per_s permitted_pct binding "
    "binding_shares limits concurrency latency_ms usage cost budget retries errors finish_reasons eta_s model endpoint "
    "base_url stragglers reason fix wake_at wake_in_s next"
)
# What its lock page shows of a run that is at work, and what its `stopped` event keeps, before the state.
PUBLISHED = (
    "in_flight elapsed_s rows_per_s tokens_per_s permitted_pct binding binding_shares limits concurrency latency_ms "
    "retries errors eta_s cost"
)
KEPT = (
    "session_s rows rows_per_s tokens_per_s permitted_pct binding binding_shares limits concurrency latency_ms retries "
    "errors"
)


def _moment(**counts: Any) -> SessionMoment:
    counters = Counters(**{"total": 10, "done": 4, "started_s": 100.0, "session_rows": 4, **counts})
    return SessionMoment(
        counters, now=102.0, earlier_s=5.0, rows_per_s=3.0, tokens_per_s=30.0, permitted_pct=50.0, eta_s=2.0
    )


def _remembered(found: Recovered, *, total: int, **known: Any) -> Remembered:
    return Remembered(found, total, known.get("sessions", {}), known.get("live", {}))


def test_the_keys_of_json_are_those_of_release_0_1_0() -> None:
    """Scripts read them by name, people by place."""
    assert KEYS.split() == list(RunReport("r", "done").as_dict())
    assert KEYS.split() == list(live_report({"run": "r"}, _moment(), RunReport).as_dict())


def test_what_nobody_counts_is_given_by_each_who_reports() -> None:
    """By its name in the report; a running session and a folder give the same, so neither can leave one out."""
    told = RunReport("r", "done").as_dict()
    assert {each.name for each in fields(GivenFigures)} - {"shard", "servers"} <= set(told)
    given = GivenFigures("r", 4, "m", "chat", "http://here/v1", 0.5, 2.0, "1/2")
    report = live_report(given.by_name(), _moment(), RunReport)
    assert ("m", 4, 0.5, 2.0) == (report.model, report.grid, report.cost, report.budget)
    assert "1/2" == report.as_dict()["shard"]


def test_the_keys_on_disk_are_those_of_release_0_1_0() -> None:
    """`status` of another version reads the lock's page and the events."""
    assert PUBLISHED.split() == list(published_figures(live_report({"run": "r"}, _moment(), RunReport)))
    assert KEPT.split() == list(kept_figures(_moment(), RunReport))


def test_a_live_report_has_rates_of_now_and_a_last_one_of_the_session() -> None:
    """The last minute matters while it runs; afterwards nobody asks for it."""
    live = live_report({"run": "r"}, _moment(in_flight=2), RunReport)
    assert (3.0, 2.0, 50.0, 2) == (live.rows_per_s, live.eta_s, live.permitted_pct, live.in_flight)
    assert (7.0, "running") == (live.elapsed_s, live.state)
    last = last_report({"run": "r", "state": "done"}, _moment(in_flight=2), RunReport)
    assert (2.0, None, None, 0) == (last.rows_per_s, last.eta_s, last.permitted_pct, last.in_flight)


def _rates(*arrivals_s: float, until_s: int, in_flight: int = 1) -> list[float]:
    """Rows/s at every second of a session whose rows came at these seconds."""
    window = RateWindow()
    return [
        window.sample(
            Counters(total=99, started_s=0.0, in_flight=in_flight, session_rows=sum(at <= now for at in arrivals_s)),
            now,
        )[0]
        for now in range(1, until_s + 1)
    ]


def test_answers_slower_than_the_window_have_a_rate() -> None:
    """16 slots of 20 s each: neither nothing between two bursts, nor all of one within ten seconds."""
    bursts = [20.0 * turn for turn in range(1, 6) for _ in range(16)]
    assert all(0.5 <= rate <= 0.9 for rate in _rates(*bursts, until_s=100, in_flight=16)[40:])
    alone = _rates(70.0, until_s=100)
    assert (1 / 70, 1 / 100) == pytest.approx((alone[69], alone[99]))


def test_a_rate_falls_when_nothing_comes_and_follows_a_fast_server_within_seconds() -> None:
    """What hangs is seen, and takes no memory; where rows come fast, only the last ten seconds count."""
    fast = [second / 10 for second in range(200)]
    rates = _rates(*fast, until_s=2000)
    assert 10.0 == pytest.approx(rates[18], rel=0.05)
    assert 0.0 < rates[-1] < 0.01
    slower = _rates(*fast, *(20.0 + second for second in range(20)), until_s=40)
    assert 1.0 == pytest.approx(slower[-1], rel=0.15)


@dataclass(frozen=True)
class _Wider(RunReport):
    """A report with one figure more."""

    attempts: int = one_session(0, lambda moment: moment.counters.attempts)


def test_a_new_figure_of_a_run_is_one_edit() -> None:
    """One field, and it is live, published, kept, remembered, and printed."""
    moment = _moment(attempts=6)
    live = live_report({"run": "r"}, moment, _Wider)
    assert (6, 6) == (live.attempts, live.as_dict()["attempts"])
    page, event = published_figures(live), kept_figures(moment, _Wider)
    assert (6, 6) == (page["attempts"], event["attempts"])
    assert 6 == last_report({"run": "r", "state": "done"}, moment, _Wider).attempts
    for known in ({"live": page}, {"sessions": {"last": event}}):
        assert 6 == folded_report({"run": "r"}, _remembered(Recovered(), total=10, **known), _Wider).attempts


@pytest.mark.parametrize("state", ["done", "failed_rows"])
def test_a_run_that_was_done_and_has_more_to_ask_now_is_stopped(state: str) -> None:
    """After `recover`, or an extension that was agreed to and not yet asked for."""
    report = folded_report({"run": "r"}, _remembered(Recovered(), total=1, sessions={"state": state}), RunReport)
    assert ("stopped", 1) == (report.state, report.pending)


def test_the_reason_of_a_park_is_for_code_and_json_stays_as_it_was() -> None:
    """Scripts get the sentence, as they always did."""
    report = RunReport("r", "parked", park_reason=ParkReason.BUDGET)
    assert KEYS.split() == list(report.as_dict())


# -- rows of several calls ---------------------------------------------------------------------------------------------


def _columns(count: int = 2) -> dict[str, ColumnCounts]:
    usage = Words({"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500})
    first = ColumnCounts(total=10, done=6, failed=2, usage=usage, price=Price(1.0, 4.0, "by hand"))
    blocked = Counter({"column_0": 3})
    rest = [ColumnCounts(in_row=2, total=20, done=4, skipped=1, blocked_by=blocked) for _ in range(count - 1)]
    return {f"column_{number}": each for number, each in enumerate([first, *rest])}


def test_calls_and_columns_are_told_beside_rows_live_and_from_a_folder() -> None:
    """By the same two figures, whoever counted; what a column cost is told by its own model's price."""
    columns = _columns()
    live = live_report({"run": "r"}, _moment(columns=columns), RunReport)
    kept = folded_report({"run": "r"}, Remembered(Recovered(), 10, {}, {}, columns), RunReport)
    assert (live.calls, live.columns) == (kept.calls, kept.columns)
    assert {"total": 30, "done": 10, "skipped": 1, "failed": 2, "not_asked": 3, "pending": 14} == live.calls
    first, second = live.columns.values()
    assert (2, 0.003, 1500) == (first["failed"], first["cost"], first["usage"]["total_tokens"])
    assert ({"column_0": 3}, None, 12) == (second["blocked_by"], second["cost"], second["pending"])


def test_where_a_row_is_one_call_nothing_is_told_of_columns() -> None:
    """Neither in JSON nor on disk: the keys are those that they always were."""
    plain, several = _moment(), _moment(columns=_columns())
    for moment, keys in ((plain, set()), (several, {"calls", "columns"})):
        told = live_report({"run": "r"}, moment, RunReport)
        assert keys == set(told.as_dict()) - set(KEYS.split())
        assert PUBLISHED.split() == list(published_figures(told))
        assert KEPT.split() == list(kept_figures(moment, RunReport))


def test_the_page_of_a_run_is_as_long_with_64_columns_as_with_one() -> None:
    """The lock's page has room for so much: what the journal knows does not stand there."""
    pages = [
        codec.dumps(published_figures(live_report({"run": "r"}, _moment(**more), RunReport)))
        for more in ({}, {"columns": _columns(64)})
    ]
    assert len(pages[0]) == len(pages[1])


def test_a_straggler_names_its_column_only_where_there_are_several() -> None:
    """Its JSON is otherwise what it was."""
    one = Straggler(12, {"age": "30"}, out_s=65.0, attempt=1)
    told = RunReport("r", "running", stragglers=(one, Straggler(3, {}, 1.0, 1, column="solution.2"))).as_dict()
    assert ["index", "cell", "out_s", "attempt", "retry_in_s", "after"] == list(told["stragglers"][0])
    assert "solution.2" == told["stragglers"][1]["column"]


def test_what_is_left_is_reckoned_by_calls() -> None:
    """Rows of several calls end late: there is an estimate before the first of them did."""
    window = RateWindow()
    columns = {name: ColumnCounts(total=100) for name in ("question", "solution", "verdict")}
    counters = Counters(total=100, started_s=0.0, columns=columns, in_flight=4)
    told = None
    for second in range(1, 41):
        columns["question"].done += 2
        columns["solution"].done += 1
        told = window.moment(counters, float(second), 0.0)
    assert told is not None
    assert 0.0 == told.rows_per_s
    assert told.calls_per_s == pytest.approx(3.0, rel=0.01)
    assert told.eta_s == pytest.approx(180 / 3, rel=0.05)


def test_a_limit_of_requests_counts_each_call_of_a_row_that_is_sent() -> None:
    """A row of three calls takes three of it; one whose third is skipped takes two."""
    window = RateWindow()
    columns = {name: ColumnCounts(total=1000) for name in ("question", "solution", "rewrite")}
    counters = Counters(total=1000, started_s=0.0, columns=columns, limits={"requests_per_second": 2.0})
    told = None
    for second in range(1, 101):
        for name in ("question", "solution"):
            columns[name].done += 4  # four rows a second: what was saved up is spent, and the limit allows one
        columns["rewrite"].skipped += 4
        counters.done += 4
        told = window.moment(counters, float(second), 0.0)
    assert told is not None
    assert told.eta_s == pytest.approx(600, rel=0.05)
