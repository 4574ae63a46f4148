"""What one more row costs, by pairs of a short and a long run: the arithmetic and the questions. Nothing is timed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from herogen_async.specs.forms import form_of


@pytest.fixture
def marginal(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("marginal")


@pytest.fixture
def throughput(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("throughput")


@pytest.fixture
def works(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("works")


def run(system: str, pair: int, rows: int, cpu_s: float, **more: Any) -> Any:
    found = {"delay_ms": 0.0, "persisted": rows, "failed": 0, "requests": rows, "doubled": 0, "peak_mb": 1.0}
    found |= {"steady_rows_per_s": 1.0, "client_rows_per_s": 1.0, "wall_s": 1.0, "first_request_s": 1.0}
    found |= {"server_busy_pct": 10.0, "in_flight_peak": 64, "connections": 64, **more}
    return importlib.import_module("systems").Run(system=system, round=pair, rows=rows, cpu_s=cpu_s, **found)


def pairs(system: str, *costs_us: float, start_s: float = 1.0) -> list[Any]:
    """Runs of 2,000 and 24,000 rows, a pair for each cost; the long ones come first, as in half of the pairs."""
    return [
        run(system, pair, rows, start_s + rows * cost / 1e6)
        for pair, cost in enumerate(costs_us, start=1)
        for rows in (24_000, 2_000)
    ]


def asked(marginal: ModuleType, *runs: Any, **most: float) -> Any:
    question = marginal.Question("after", "before", **most)
    return marginal.answer(question, list(runs), unit="row", delay_ms=0.0)


def test_what_a_row_costs_holds_no_start_up(marginal: ModuleType) -> None:
    """A process that starts in ten seconds has the rows of one that starts in none."""
    slow, quick = pairs("after", 50, 60, start_s=10.0), pairs("before", 50, 60, start_s=0.0)
    assert [50.0, 60.0] == pytest.approx(marginal.costs(slow + quick, "after"))
    assert [50.0, 60.0] == pytest.approx(marginal.costs(slow + quick, "before"))


def test_two_costs_are_compared_within_each_pair(marginal: ModuleType) -> None:
    """The median of after / before and of after less before, with their intervals, not ratios of medians."""
    found = asked(marginal, *pairs("after", 50, 120, 30), *pairs("before", 100, 200, 100))
    assert (0.5, 0.3, 0.6) == pytest.approx((found.ratio.median, found.ratio.low, found.ratio.high))
    assert (-70.0, -80.0, -50.0) == pytest.approx((found.extra_us.median, found.extra_us.low, found.extra_us.high))
    assert (50.0, 100.0) == pytest.approx(found.costs)
    assert (
        "CPU a row, after / before: 0.500 (0.300 to 0.600); -70.0 (-80.0 to -50.0) us; 50.0 and 100.0 us; 3 pairs"
        == found.sentence()
    )


def test_a_side_that_lacks_a_pair_has_no_figure(marginal: ModuleType) -> None:
    """A run that is missing is an error, never a shorter list."""
    with pytest.raises(ValueError, match="longer"):
        asked(marginal, *pairs("after", 50), *pairs("before", 50, 60))
    with pytest.raises(ValueError, match="no pairs"):
        asked(marginal)


@pytest.mark.parametrize(
    ("most", "found"),
    [
        ({}, []),
        ({"most_ratio": 1.1, "most_us": 10.0}, []),
        ({"most_ratio": 1.09}, ["a row of after costs 1.100 times that of before, above 1.09"]),
        ({"most_us": 9.5}, ["a row of after costs 10.0 us more than that of before, above 9.5"]),
    ],
)
def test_what_costs_more_than_it_may_is_told(marginal: ModuleType, most: dict[str, float], found: list[str]) -> None:
    """By the ratio, and by microseconds, each where it has a bound."""
    assert found == asked(marginal, *pairs("after", 110.0), *pairs("before", 100.0), **most).shortfalls()


def test_long_runs_of_a_pair_are_neighbours(marginal: ModuleType) -> None:
    """And the side that comes first turns, so that a drifting machine favours neither."""
    order = importlib.import_module("paired").long_together
    assert [("a", False), ("b", False), ("b", True), ("a", True)] == order(["a", "b"], 1)
    assert [("b", False), ("a", False), ("a", True), ("b", True)] == order(["a", "b"], 2)


def test_no_pair_but_the_first_begins_when_time_is_up(
    marginal: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A short look at a slow machine is one pair, not none."""

    def run_once(system: Any, rows: int, _: Any, *, delay_ms: float, round_number: int) -> Any:
        return run(system.name, round_number, rows, rows / 1e4, delay_ms=delay_ms)

    monkeypatch.setattr(marginal, "run_once", run_once)
    systems = [marginal.ours_system(name=name) for name in ("after", "before")]
    one, five = (
        marginal.measure_pairs(systems, tmp_path, rows=24_000, pairs=5, delay_ms=0, until=until)
        for until in (0.0, float("inf"))
    )
    assert (4, 20) == (len(one), len(five))
    assert [100.0] == pytest.approx(marginal.costs(one, "after"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--marginal", "--marginal belongs to --against; fix: --against REV"),
        ("--seconds 5", "--seconds belongs to --marginal and --cost-of"),
        ("--against HEAD --peer floor", "fix: leave --peer and --skip-ours out"),
        ("--against HEAD --marginal --peer flexllm", "fix: leave --peer and --skip-ours out"),
        ("--against HEAD --delay-ms 0 20", "--against measures at one delay; fix: --marginal"),
        ("--cost-of form --against HEAD", "fix: leave --against and --work out"),
        ("--cost-of text", "invalid choice: 'text'"),
        ("--cost-of columns --rows 24000", "2000 calls are no rows of 3; fix: ask for 36000, say"),
        ("--rows 20001", "are no product of three numbers up to 100"),
        ("--pairs 0 --against HEAD", "--pairs 0: at least 1"),
    ],
)
def test_what_can_not_be_measured_together_is_an_error(
    throughput: ModuleType, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """Before anything is started, with the fix."""
    with pytest.raises(SystemExit):
        throughput.parse(words.split())
    assert said in capsys.readouterr().err


def test_each_question_has_lengths_and_delays_of_its_own(throughput: ModuleType) -> None:
    """What isn't said follows from the question."""
    peers, whole, own, cost = (
        throughput.parse(words.split())
        for words in ("", "--against HEAD", "--against HEAD --marginal --peer floor", "--cost-of form limits")
    )
    assert (20_000, [0.0, 20.0]) == (peers.rows, peers.delay_ms)
    assert (50_000, [0.0], 15) == (whole.rows, whole.delay_ms, whole.pairs)
    assert (24_000, [0.0], 15) == (own.rows, own.delay_ms, own.pairs)
    assert (36_000, [0.0], 5) == (cost.rows, cost.delay_ms, cost.pairs)
    assert 10_000 == throughput.parse(["--concurrency", "10000"]).work.concurrency


def test_a_warning_is_no_failure(
    throughput: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --warn a slower row and a revision that isn't there are told, and the exit code stays 0."""
    monkeypatch.setattr("sys.argv", ["throughput.py", "--against", "HEAD", "--marginal", "--warn"])
    slower: dict[str, Any] = {"problems": [], "shortfalls": ["a row of after costs 2.000 times that of before"]}
    monkeypatch.setattr(throughput, "chosen", lambda _: (lambda *_: slower, lambda _: None))
    throughput.main()
    assert "WARNING: a row of after costs 2.000 times that of before\n" == capsys.readouterr().out

    def unknown(*_: Any) -> Any:
        raise throughput.against.WrongRevisionError("git rev-parse HEAD: unknown revision")

    monkeypatch.setattr(throughput, "chosen", lambda _: (unknown, lambda _: None))
    throughput.main()
    assert "WARNING: the speed was not measured: git rev-parse HEAD: unknown revision\n" == capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["throughput.py", "--against", "HEAD", "--marginal"])
    with pytest.raises(SystemExit, match="unknown revision"):
        throughput.main()


def test_a_kind_of_work_is_as_long_for_all(works: ModuleType) -> None:
    """Each has as many distinct prompts as calls; those of columns are as long as those beside them."""
    for work in works.WORKS.values():
        prompts = list(work.prompts(3_000))
        assert 3_000 == len(set(prompts))
        cells = [len(values) for values in work.spec(3_000)["attributes"].values()]
        assert 3_000 == cells[0] * cells[1] * cells[2] * work.columns
    assert works.WORKS["columns"].prompt == works.WORKS["long"].prompt


def test_every_work_with_a_cost_has_one_beside_it_and_a_bound(works: ModuleType) -> None:
    """`--cost-of` compares two kinds on one route, by a ratio or by microseconds at most."""
    assert {"columns", "form", "limits", "tls", "in-flight"} <= set(works.COSTLY)
    for name in works.COSTLY:
        work = works.WORKS[name]
        beside = works.WORKS[work.beside]
        assert beside.endpoint == work.endpoint
        assert work.most_ratio is None or work.most_us is None


def test_the_server_s_answer_fits_the_form_that_is_asked_for(works: ModuleType) -> None:
    """Else every call of that work would be asked again."""
    server = importlib.import_module("fast_server")
    form = form_of(works.WORKS["form"].spec(1)["columns"]["verdict"]["answer"])
    assert {"score": 4, "why": server.TEXT} == form.read(server.FORM_ANSWER).value
    assert form.read(server.TEXT).value is None


def test_rate_headers_change_with_each_answer_and_never_bind(works: ModuleType) -> None:
    """Six lines, so that every reading is a new one."""
    server = importlib.import_module("fast_server")
    answers = server.Answers(rate_headers=True)
    first, second = (answers.numbered(answers.completion, number).partition(b"\r\n\r\n")[0] for number in (1, 2))
    assert first != second
    lines = [line for line in first.split(b"\r\n") if line.startswith(b"x-ratelimit-")]
    assert 6 == len(lines)
    assert b"x-ratelimit-remaining-requests: 5999999" in lines
    assert b"x-ratelimit" not in server.Answers().numbered(server.Answers().chat, 1)
