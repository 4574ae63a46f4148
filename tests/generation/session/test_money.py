"""Whole runs with a price: a hard budget, a ledger over all sessions, and what failed attempts may have cost."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.generation.forecast.costs import common_price, longest_prompt, most_answer_tokens, prices_for
from herogen_async.generation.limits.budget import TEMPLATE_TOKENS
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder, read_lock
from herogen_async.generation.run_request import Ready, new_request
from herogen_async.generation.session import Watch
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from herogen_async.view.terminal import summary_lines
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import assert_exact_grid, herogen, last_json, small_spec, write_spec

AT = datetime(2026, 11, 22, tzinfo=UTC)
PRICE = "0.4,1.6"
MOST = 50  # the spec's max_tokens


def usd(prompt: float, tokens: float) -> float:
    return (prompt * 0.4 + tokens * 1.6) / 1e6


WORST = usd(len("Describe a 20-year-old man.") + 2 + TEMPLATE_TOKENS, MOST)  # of any row, to some tokens


class Provider:
    """Answers, fails or says nothing, and bills as much as it may; `billed` is in USD."""

    def __init__(self, failing: float = 0.0, silent: float = 0.0, seed: int = 7) -> None:
        self.billed = 0.0
        self.failing = failing
        self.silent = silent
        self.chance = random.Random(seed)

    def __call__(self, asked: Asked) -> Reply:
        if self.chance.random() < self.failing:
            kind = self.chance.choice(("500", "reset", "html", "400", "429"))
            if kind == "400":
                return error(400, message="this row is not to my taste")
            if kind == "429":
                return error(429, retry_after="0.01")
            self.billed += usd(len(asked.prompt) + TEMPLATE_TOKENS, MOST)
            return {"500": error(500), "reset": Reply(reset=True), "html": Reply(b"<html>")}[kind]
        reply = answer(asked)
        assert isinstance(reply.body, dict)
        if self.chance.random() < self.silent:
            self.billed += usd(len(asked.prompt) + TEMPLATE_TOKENS, MOST)
            return replace(reply, body={**reply.body, "usage": None})
        prompt, tokens = self.chance.randint(5, len(asked.prompt)), self.chance.randint(1, MOST)
        self.billed += usd(prompt, tokens)
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
        return replace(reply, body={**reply.body, "usage": usage})


def page_usd(run: Path) -> float:
    return read_lock(RunFolder(run)).charged / 1e6


@pytest.mark.parametrize(("budget_usd", "concurrency"), [(0.0001, 4), (0.0011, "auto"), (0.002, 16), (0.0025, 64)])
def test_a_run_stops_below_its_budget_and_a_raise_finishes_it(
    tmp_path: Path, budget_usd: float, concurrency: int | Literal["auto"]
) -> None:
    """Spending ends below the budget, and a higher budget completes the exact grid."""
    spec, run, provider = small_spec(values=20), tmp_path / "run", Provider()
    with FakeServer(provider) as server:
        report = herogen_async.run(
            spec, run=run, base_url=server.url, model="m", price=PRICE, concurrency=concurrency, budget_usd=budget_usd
        )
        assert ("parked", 3) == (report.state, report.exit_code)
        assert f"the budget of {budget_usd} USD is used up" in (report.reason or "")
        assert "--budget" in (report.fix or "")
        assert report.cost is not None
        assert budget_usd - 2 * WORST < report.cost <= budget_usd
        assert pytest.approx(provider.billed, abs=1e-6) == report.cost
        report = herogen_async.resume(run, budget_usd=1.0)
    assert ("done", 1.0) == (report.state, report.budget)
    assert pytest.approx(provider.billed, abs=1e-6) == report.cost
    assert_exact_grid(run, spec)
    assert 0.0 == page_usd(run), "every call is in a row"
    assert report.cost == herogen_async.status(run).cost


@pytest.mark.parametrize("seed", range(2))
def test_failed_attempts_are_charged_their_worst_case_over_all_sessions(tmp_path: Path, seed: int) -> None:
    """Five hundreds, lost connections and answers that are none; refusals and 429s cost nothing."""
    spec, run, provider = small_spec(values=10), tmp_path / "run", Provider(failing=0.2, silent=0.1, seed=seed)
    budgets = [0.001, 0.002, 0.003, 1.0]
    with FakeServer(provider) as server:
        for budget_usd in budgets:
            report = herogen_async.run(
                spec, run=run, base_url=server.url, model="m", price=PRICE, concurrency=8, budget_usd=budget_usd
            )
            assert report.cost is not None
            assert provider.billed <= min(budget_usd, report.cost + 1e-6)
            assert report.cost <= budget_usd + 1e-6
            if report.state != "parked":
                break
        assert report.state in ("done", "failed_rows")
    assert page_usd(run) > 0
    assert report.cost is not None
    assert report.cost <= provider.billed * 1.001 + 1e-5, "no more than what may have been billed"


def test_without_usage_every_row_is_charged_at_its_worst_case(tmp_path: Path) -> None:
    """Where the server reports no usage, every row is charged at its worst case."""
    spec, run, provider = small_spec(values=5), tmp_path / "run", Provider(silent=1.0)
    with FakeServer(provider) as server:
        report = herogen_async.run(spec, run=run, base_url=server.url, model="m", price=PRICE, budget_usd=6 * WORST)
        assert "parked" == report.state
        assert 5 <= report.done <= 6
        report = herogen_async.resume(run, budget_usd=1.0)
    assert "done" == report.state
    assert pytest.approx(provider.billed, abs=1e-5) == report.cost
    assert_exact_grid(run, spec)


def test_a_call_cut_off_by_a_timeout_is_charged(tmp_path: Path) -> None:
    """A call that timed out is booked at its worst case, since the server may have billed it."""
    spec, run = small_spec(values=1, repeats=1), tmp_path / "run"

    def slow_at_first(asked: Asked) -> Reply:
        return Reply(hang=True) if asked.number == 0 else answer(asked)

    with FakeServer(slow_at_first) as server:
        report = herogen_async.run(
            spec, run=run, base_url=server.url, model="m", price=PRICE, timeout_s=0.3, min_timeout_s=0.3, budget_usd=1
        )
    assert "done" == report.state
    timed_out = usd(len("Describe a 20-year-old man.") + TEMPLATE_TOKENS, MOST)
    assert report.cost is not None
    assert timed_out - 1e-6 <= report.cost - 2 * usd(10, 20) <= timed_out + usd(2, 0) + 2e-6


def test_a_refusal_before_any_work_costs_nothing(tmp_path: Path) -> None:
    """A run parked by a refused key has a cost of zero."""
    with FakeServer(lambda _: error(401)) as server:
        report = herogen_async.run(small_spec(), run=tmp_path / "run", base_url=server.url, model="m", price=PRICE)
    assert ("parked", 0.0) == (report.state, report.cost)
    assert 0.0 == page_usd(tmp_path / "run")


def test_calls_in_flight_when_a_run_is_cancelled_are_charged(tmp_path: Path) -> None:
    """Four calls in flight at a cancel are booked at their worst case."""
    spec, run = small_spec(values=2), tmp_path / "run"

    async def drop(server: FakeServer) -> None:
        started = asyncio.create_task(
            herogen_async.arun(spec, run=run, base_url=server.url, model="m", price=PRICE, concurrency=4)
        )
        while server.in_flight < 4:
            await asyncio.sleep(0.01)
        started.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started

    with FakeServer(lambda _: Reply(hang=True)) as server:
        asyncio.run(drop(server))
    cost = herogen_async.status(run).cost
    assert cost is not None
    assert 3.5 * WORST < cost <= 4 * WORST + 1e-6


def test_what_flies_at_a_kill_stands_in_the_page_before_it_is_sent(tmp_path: Path) -> None:
    """Read by another process at that moment: it is what a SIGKILL would leave."""
    spec, run = small_spec(values=2), tmp_path / "run"
    seen: list[float] = []

    def look(asked: Asked) -> Reply:
        seen.append(page_usd(run))
        return answer(asked)

    with FakeServer(look) as server:
        report = herogen_async.run(spec, run=run, base_url=server.url, model="m", price=PRICE, concurrency=1)
    assert all(cost >= 0.9 * WORST for cost in seen)
    assert 8 == len(seen)
    assert (0.0, "done") == (page_usd(run), report.state)


def test_an_unknown_cost_is_none(tmp_path: Path) -> None:
    """Without a price, cost and budget are None and the summary has no cost line."""
    with FakeServer() as server:
        report = herogen_async.run(small_spec(), run=tmp_path / "run", base_url=server.url, model="m")
    assert (None, None) == (report.cost, report.budget)
    assert not [line for line in summary_lines(report) if "Cost" in line]
    assert herogen_async.status(tmp_path / "run").cost is None


def test_the_price_is_announced_once_and_cost_reported(tmp_path: Path) -> None:
    """One notice states the price and budget, and every report carries the cost so far."""
    notices: list[str] = []
    reports: list[RunReport] = []
    with FakeServer(lambda asked: answer(asked, delay_s=0.1)) as server:
        report = herogen_async.run(
            small_spec(),
            run=tmp_path / "run",
            base_url=server.url,
            model="m",
            price=PRICE,
            budget_usd=1.5,
            concurrency=5,
            watch=Watch(on_notice=notices.append, on_report=reports.append),
        )
    told = "m costs 0.4 / 1.6 USD per million prompt / answer tokens (--price); the budget is 1.5 USD."
    assert [told] == [line for line in notices if "costs" in line]
    assert reports
    assert all(each.cost is not None for each in reports)
    assert pytest.approx(20 * usd(10, 20)) == report.cost
    assert "Cost: 0.00072 USD of 1.5 USD." in summary_lines(report)


@pytest.mark.parametrize(
    ("options", "said", "fix"),
    [
        ({"budget_usd": 1.0}, "a model on this machine has none", "--price IN,OUT"),
        ({"budget_usd": 1.0, "base_url": "https://gw.example.com/v1", "api_key": "k"}, "is unknown", "--price IN,OUT"),
        ({"budget_usd": -1.0, "price": PRICE}, "budget can't be -1.0", "above zero"),
        ({"budget_usd": math.nan, "price": PRICE}, "budget can't be nan", "above zero"),
        ({"price": "cheap"}, "price can't be 'cheap'", "IN,OUT"),
    ],
)
def test_an_unenforceable_budget_is_an_input_error(
    tmp_path: Path, options: dict[str, object], said: str, fix: str
) -> None:
    """A budget that is invalid or lacks a price is refused with a fix, before a folder is created."""
    given = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "run": tmp_path / "run", **options}
    with pytest.raises(InputError) as raised:
        herogen_async.run(small_spec(), **given)  # type: ignore[arg-type]
    assert said in raised.value.message
    assert fix in (raised.value.fix or "")
    assert not (tmp_path / "run").exists()


def test_a_budget_requires_max_tokens_in_the_spec(tmp_path: Path) -> None:
    """A budget without max_tokens is refused, because a call's worst case would be unknown."""
    with pytest.raises(InputError, match="max_tokens") as raised:
        herogen_async.run(
            small_spec(sampling={}),
            run=tmp_path / "run",
            base_url="http://127.0.0.1:1/v1",
            model="m",
            price=PRICE,
            budget_usd=1.0,
        )
    assert "max_tokens" in (raised.value.fix or "")


def test_the_command_parks_at_its_budget_with_code_3(tmp_path: Path) -> None:
    """A run that reaches --budget exits with code 3, offers a higher budget, and resumes to completion."""
    spec = write_spec(tmp_path, small_spec())
    with FakeServer() as server:
        where = ("--run", "r", "--base-url", server.url, "--model", "m", "--json")
        ended = herogen("run", spec, *where, "--price", PRICE, "--budget", "0.0005", cwd=tmp_path)
        assert 3 == ended.returncode
        assert "--budget" in last_json(ended.stdout)["fix"]
        assert "herogen-async resume r --budget 0.001" == last_json(ended.stdout)["next"]
        later = last_json(herogen("status", "r", "--json", cwd=tmp_path).stdout)
        assert "herogen-async resume r --budget 0.001" == later["next"]
        assert "park_reason" not in later
        ended = herogen("resume", "r", "--budget", "1", "--json", cwd=tmp_path)
    assert 0 == ended.returncode
    assert pytest.approx(20 * usd(10, 20)) == last_json(ended.stdout)["cost"]
    assert_exact_grid(tmp_path / "runs" / "r", small_spec())


def test_a_park_for_another_reason_asks_for_no_larger_budget(tmp_path: Path) -> None:
    """Nothing is decided on the sentence: this one has the words of a budget that is used up."""
    spec, refusal = write_spec(tmp_path, small_spec()), error(402, None, "the budget of your project is used up")
    with FakeServer(lambda _: refusal) as server:
        where = ("--run", "r", "--base-url", server.url, "--model", "m", "--json")
        ended = herogen("run", spec, *where, "--price", PRICE, "--budget", "5", cwd=tmp_path)
    later = herogen("status", "r", "--json", cwd=tmp_path)
    assert ["herogen-async resume r"] * 2 == [last_json(each.stdout)["next"] for each in (ended, later)]


def ready_for(**sampling: object) -> Ready:
    spec = small_spec(endpoint="chat", sampling={"max_tokens": MOST, **sampling})
    order = new_request(
        spec,
        run=None,
        base_url="https://api.openai.com/v1",
        endpoint=None,
        model="gpt-5-mini",
        api_key="k",
        timeout_s=None,
        settings=Settings(),
    )
    return Ready(order, "gpt-5-mini")


def test_a_service_tier_in_the_spec_has_its_own_price() -> None:
    """The flex tier in a spec halves the price that the run reckons with."""
    ready, flex = ready_for(), ready_for(extra={"service_tier": "flex"})
    plan = Plan(ready.request.spec, endpoint="chat", model="gpt-5-mini")
    flex_plan = Plan(flex.request.spec, endpoint="chat", model="gpt-5-mini")
    standard_price, flex_price = (common_price(prices_for(*each, AT)) for each in ((ready, plan), (flex, flex_plan)))
    assert standard_price is not None
    assert flex_price is not None
    assert standard_price.output_usd / 2 == flex_price.output_usd


def test_best_of_multiplies_the_worst_case() -> None:
    """With best_of 3, the worst case counts three answers' worth of tokens."""
    assert 3 * MOST == most_answer_tokens(ready_for(extra={"best_of": 3}).request.spec.sampling)
    assert MOST == most_answer_tokens(ready_for().request.spec.sampling)


def test_the_longest_prompt_bounds_all_others() -> None:
    """The computed longest prompt equals the maximum over all prompts of the plan."""
    spec = small_spec(values=9)
    plan = Plan(spec, endpoint="chat", model="m")
    assert max(len(plan.call(index).prompt) for index in range(plan.size)) == longest_prompt(plan)


def test_a_rerun_without_a_budget_keeps_the_old_one(tmp_path: Path) -> None:
    """A run started again without --budget keeps its budget and parks at it again."""
    spec = small_spec(values=20)
    with FakeServer() as server:
        options = {"run": tmp_path / "r", "base_url": server.url, "model": "m", "concurrency": 4}
        first = herogen_async.run(spec, **options, price=PRICE, budget_usd=12 * WORST)  # type: ignore[arg-type]
        again = herogen_async.run(spec, **options)  # type: ignore[arg-type]
        assert ("parked", "parked") == (first.state, again.state)
        assert first.done <= again.done < 80
        assert again.budget == first.budget == 12 * WORST


def test_a_lower_price_does_not_reduce_past_cost(tmp_path: Path) -> None:
    """Cost already booked at a higher price is kept, and booked only once, after the price falls."""
    spec = small_spec(values=10)
    with FakeServer() as server:
        options = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        dear = herogen_async.run(spec, **options, price="400,1600", limit=10)  # type: ignore[arg-type]
        assert dear.cost is not None
        cheap = herogen_async.resume(tmp_path / "r", price="0.4,1.6", limit=20)
        assert cheap.cost is not None
        assert dear.cost < cheap.cost < 1.01 * dear.cost
        assert cheap.cost == pytest.approx(herogen_async.status(tmp_path / "r").cost, rel=1e-4)
        again = herogen_async.resume(tmp_path / "r")
        assert again.cost == pytest.approx(cheap.cost, rel=1e-4), "and it is booked once"
