"""The bench: what a sweep measures, what it says, how long a grid takes in virtual time, and nothing left behind."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herogen_async.cli.bench_command import bench
from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import InputError
from herogen_async.generation.report import RunReport
from herogen_async.lab.bench import (
    Bench,
    Cell,
    Measured,
    MeasuredEndpoint,
    Moment,
    Setting,
    Simulated,
    bench_endpoint,
    bench_simulated,
    cells_of,
    foresee,
    raises,
    recommend,
)
from herogen_async.lab.bench.bench_rows import repeated, varied
from herogen_async.lab.bench.figures import measured_from, moment_of, permitted_per_s, steady_rate
from herogen_async.lab.bench.grid_forecast import FirstAnswers, changes, forecast_from
from herogen_async.lab.bench.server_process import _arguments
from herogen_async.lab.bench.signals import all_as_ctrl_c, signals_later
from herogen_async.lab.bench.summary import (
    HEADINGS,
    advice_lines,
    bench_run_command,
    best_raise,
    forecast_lines,
    plain_table,
    tables,
)
from herogen_async.lab.bench.virtual_time import VirtualFuse
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from herogen_async.view.terminal.lane_lines import BINDS
from support.runs import command, environment, last_json, small_spec

RUN = ("herogen-async", "run")
SETTING = Setting(rpm=3000.0, latency_ms=500.0)


def measured(concurrency: Any, rows_per_s: float, binding: str = "concurrency", **more: Any) -> Measured:
    figures: dict[str, Any] = {
        "cell": Cell(concurrency, SETTING),
        "seconds": 10.0,
        "rows": int(10 * rows_per_s),
        "rows_per_s": rows_per_s,
        "permitted_pct": 2 * rows_per_s,
        "permitted_per_s": 50.0,
        "refused": 0,
        "refused_pct": 0.0,
        "retries": 0,
        "given_up": 0,
        "latency_ms": {"p50": 500.0, "p95": 510.0, "p99": 520.0},
        "in_flight": 8.0,
        "reached": concurrency if isinstance(concurrency, int) else 31,
        "binding": binding,
        "binding_shares": {binding: 90.0, "cpu": 10.0},
        "moments": tuple(
            Moment(0.2 * tick, int(0.2 * tick * rows_per_s), 10.0 * tick, 8, 0, 8, binding) for tick in range(1, 50)
        ),
        **more,
    }
    return Measured(**figures)


def sweep(*cells: Measured, **more: Any) -> Bench:
    return Bench(cells, recommend(cells), {"simulated": {}}, len(cells), **more)


def report(**figures: Any) -> RunReport:
    return RunReport(**{"run": "r", "state": "running", "total": 9, "done": 0, "failed": 0, "pending": 9, **figures})


# -- a sweep's cells -----------------------------------------------------------------------------------------------


def test_a_sweep_is_every_combination_once_concurrency_fastest() -> None:
    """Duplicate settings are measured once, and concurrency varies fastest within each rate."""
    found = cells_of([8, "auto", 8], rpm=[60, 600], latency_ms=[100.0])
    expected = [(8, 60), ("auto", 60), (8, 600), ("auto", 600)]
    assert expected == [(cell.concurrency, cell.setting.rpm) for cell in found]


@pytest.mark.parametrize(
    ("concurrency", "rpm", "word"),
    [([], [], "nothing to sweep"), ([0], [], "0"), ([1], [-5.0], "rpm"), ([1], [0.0], "rpm")],
)
def test_a_sweep_that_means_nothing_is_a_sentence_with_a_fix(
    concurrency: list[Any], rpm: list[float], word: str
) -> None:
    """An empty sweep, zero concurrency or non-positive rate raises an error that names it and has a fix."""
    with pytest.raises(InputError, match=word) as caught:
        cells_of(concurrency, rpm=rpm)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"virtual": True, "base_url": "http://127.0.0.1:9/v1"}, "--virtual uses no server"),
        ({"rows": 5}, "--rows works only with --virtual"),
        ({"virtual": True, "limit": 5}, "--limit works only for measured"),
        ({"model": "m"}, "--model and --endpoint"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "no --limit was given"),
        ({"base_url": "http://127.0.0.1:9/v1", "limit": 3, "latency_ms": [5.0]}, "--latency-ms can't be used"),
        ({"base_url": "http://127.0.0.1:9/v1", "limit": 3, "headers": "none"}, "--headers can't be used"),
        ({"enforce": "hourly"}, "unknown enforce 'hourly'"),
        ({"headers": "google"}, "unknown headers 'google'"),
        ({"virtual": True, "enforce": "hourly"}, "unknown enforce 'hourly'"),
        ({"slots": 0}, "slots"),
        ({"latency_ms": [-1.0]}, "latency"),
        ({"concurrency": ["many"]}, "concurrency can't be 'many'"),
        ({"seconds": 0.0}, "seconds"),
        ({"seconds": float("nan")}, "nan"),
        ({"virtual": True, "rows": 0}, "0 rows"),
        ({"limit": 0}, "limit"),
        ({"virtual": True, "latency_ms": [0.0]}, "takes no time"),
        ({"virtual": True, "tpm": [10.5]}, "no answers within 2 min with concurrency 16, 10.5 tpm"),
        ({"out_folder": Path("/proc/none")}, "can't write to --out '/proc/none'"),
    ],
)
def test_meaningless_options_are_refused_before_anything_starts(
    options: dict[str, Any], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that make no sense give one sentence with a fix before anything is started."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a server was started"))
    with pytest.raises(InputError, match=word) as caught:
        bench(**options)
    assert caught.value.fix


def test_a_grid_that_is_too_small_gets_further_prompts() -> None:
    """A grid with too few rows is extended by distinct prompts, and a large enough one is left alone."""
    spec = small_spec(values=2, repeats=1)
    plan = Plan(varied(spec, 10), endpoint="completions", model="m")
    assert 12 == plan.size == len({plan.call(index).prompt for index in range(plan.size)})
    assert spec is varied(spec, 4)


def test_a_real_server_gets_the_specs_own_prompts() -> None:
    """On a real server a small grid is repeated under its own prompts, and an absurd number is refused."""
    spec = small_spec(values=2, repeats=1)
    plan = Plan(repeated(spec, 10), endpoint="completions", model="m")
    assert 12 == plan.size
    assert {"Describe a 20-year-old man.", "Describe a 21-year-old woman."} <= {plan.call(i).prompt for i in range(12)}
    with pytest.raises(InputError, match="too many"):
        repeated(spec, 10**8)


# -- figures -------------------------------------------------------------------------------------------------------


def test_answers_that_come_in_batches_are_counted_in_whole_batches() -> None:
    """The steady rate of answers that arrive in bursts counts whole bursts only."""
    batches = [(0.2 * tick, 16 * int(0.2 * tick / 2.0 + 1e-9)) for tick in range(1, 55)]
    assert 16 / 2.0 == pytest.approx(steady_rate(batches))


def test_the_rate_is_that_of_the_second_half() -> None:
    """A run that speeds up is measured by its second half, so warm-up doesn't count."""
    slow_then_fast = [(0.2 * tick, tick if tick <= 25 else 25 + 10 * (tick - 25)) for tick in range(1, 51)]
    assert 50.0 == pytest.approx(steady_rate(slow_then_fast), rel=0.05)


def test_without_answers_in_the_second_half_there_is_no_steady_rate() -> None:
    """The steady rate is None when no answers arrive, or none in the second half."""
    assert steady_rate([]) is None
    assert steady_rate([(1.0, 5), (9.0, 5)]) is None


def test_the_permitted_rate_is_the_lowest_of_those_set_and_those_told() -> None:
    """The permitted rate is the lowest of the limits set and those told by the server, or None without any."""
    told = report(limits={"requests_per_minute": 1200.0, "requests_per_day": 100.0})
    assert 20.0 == permitted_per_s(told, Setting())
    assert 10.0 == permitted_per_s(told, Setting(rpm=600.0))
    assert permitted_per_s(report(), Setting()) is None


def test_what_tokens_permit_follows_from_the_share_that_was_taken() -> None:
    """A token limit becomes a row rate by the share of it used so far, or by tokens per row when given."""
    half = report(limits={"tokens_per_minute": 6000.0}, permitted_pct=50.0, done=15, in_flight=5, elapsed_s=10.0)
    assert 4.0 == permitted_per_s(half, Setting(tpm=6000.0))
    assert 0.2 == permitted_per_s(half, Setting(tpm=6000.0), 500)
    assert 0.1 == permitted_per_s(half, Setting(rpm=6.0, tpm=6000.0), 500)


def test_a_cells_figures_are_of_the_time_before_it_was_stopped() -> None:
    """Rate, concurrency and binding limit are taken before the stop; totals include the answers after it."""
    live = report(
        done=100, elapsed_s=10.0, in_flight=6, concurrency=8, binding_shares={"requests": 75.0, "concurrency": 25.0}
    )
    final = report(
        done=104, elapsed_s=10.4, errors={"rate_limit": 26, "server": 5}, retries=31, latency_ms={"p50": 9.0}
    )
    moments = [moment_of(report(done=tick, elapsed_s=tick / 10, in_flight=6), SETTING) for tick in range(1, 101)]
    found = measured_from(Cell(8, SETTING), moments, live, final)
    assert (104, 10.0, 26, 31) == (found.rows, found.seconds, found.refused, found.retries)
    assert 10.0 == pytest.approx(found.rows_per_s)
    assert 20.0 == found.permitted_pct
    assert round(100 * 26 / 135, 2) == found.refused_pct
    assert ("requests", 6.0, 8) == (found.binding, found.in_flight, found.reached)
    assert (500.0, 100) == (found.moments[-1].permitted, found.moments[-1].rows)


# -- advice --------------------------------------------------------------------------------------------------------


def test_the_least_concurrency_within_two_percent_is_enough() -> None:
    """The smallest concurrency within two percent of the best is called enough."""
    found = sweep(
        measured(16, 30.0), measured(32, 49.2, "requests"), measured(64, 50.0, "requests"), measured("auto", 40.0)
    )
    (advice,) = found.advice
    assert (32, True, False) == (advice.concurrency, advice.limit_binds, advice.is_edge)
    enough, auto = advice_lines(found)
    assert "--concurrency 32 is enough: 49.2 rows/s, 98.4 % of the rate limit" in enough
    assert "The rate limit binds" in enough
    assert "auto reached 31 in flight and 40.0 rows/s in 10.0 s, 80 % of the best." in auto
    assert "herogen-async run --rpm 3000 --concurrency 32" == bench_run_command(found, RUN)


def test_a_binding_largest_concurrency_is_not_called_enough() -> None:
    """The largest concurrency tried is not called enough when it is what binds."""
    found = sweep(measured(8, 10.0), measured(16, 20.0))
    assert (16, True, False) == (found.advice[0].concurrency, found.advice[0].is_edge, found.advice[0].limit_binds)
    assert "Higher is faster: try --concurrency 32." in advice_lines(found)[0]


def test_where_only_auto_came_near_the_best_a_larger_number_is_advised() -> None:
    """When only `auto` comes near the best rate, the largest number tried is advised and marked as the edge."""
    (advice,) = recommend([measured(8, 10.0, "cpu"), measured("auto", 40.0)])
    assert (8, True) == (advice.concurrency, advice.is_edge)


def test_a_burst_above_the_permitted_rate_makes_no_concurrency_better() -> None:
    """A higher concurrency isn't preferred for a burst above the permitted rate."""
    (advice,) = recommend([measured(32, 49.5, "requests"), measured(64, 60.0, "requests")])
    assert 32 == advice.concurrency


def test_auto_alone_is_advised_as_auto() -> None:
    """A sweep of `auto` alone advises `auto`, says what it reached, and puts it into the run command."""
    found = sweep(measured("auto", 40.0, "endpoint"))
    assert found.advice[0].concurrency is None
    assert "auto reached 31 in flight and 40.0 rows/s" in advice_lines(found)[0]
    assert bench_run_command(found, [*RUN, "--base-url", "http://h/v1"]).endswith(
        "--base-url http://h/v1 --rpm 3000 --concurrency auto"
    )


def test_a_cell_without_answers_says_to_give_it_more_time() -> None:
    """Measuring no answers in a cell advises a longer `--seconds`."""
    assert "set --seconds to more than twice the latency" in advice_lines(sweep(measured(8, 0.0)))[0]


def test_an_interrupted_sweep_says_how_far_it_came() -> None:
    """An interrupted sweep says how many cells were measured and suggests the same command again."""
    found = replace(sweep(measured(8, 10.0)), planned=4, interrupted=True)
    assert "Interrupted: 1 of 4 cells measured." == advice_lines(found)[0]
    assert "run the same command again" == bench_run_command(replace(found, advice=()), RUN)


def test_the_shape_of_the_json_holds_every_figure_and_is_plain() -> None:
    """The JSON of a sweep has every figure under its fixed keys and only plain values."""
    value = json.loads(json.dumps(sweep(measured(16, 30.0), measured("auto", 40.0)).as_dict()))
    assert {"server", "planned", "interrupted", "measured", "advice"} == set(value)
    assert {"concurrency": 16, "rpm": 3000.0, "tpm": None, "latency_ms": 500.0} == value["measured"][0]["cell"]
    assert {"at_s", "rows", "permitted", "in_flight", "refused", "concurrency", "binding", "cpu_s"} == set(
        value["measured"][0]["moments"][0]
    )
    assert {"rows_per_s": 40.0, "reached": 31} == value["advice"][0]["auto"]


def test_the_plain_table_has_a_line_a_cell_in_columns() -> None:
    """Table columns are padded to their widest cell, and no line passes 80 characters."""
    lines = plain_table(("a", "bound by"), [("long", "x"), ("s", "y")])
    assert ["a     bound by", "long  x", "s     y"] == lines
    ((name, rows),) = tables([measured(16, 30.0), measured("auto", 40.0, refused=7, refused_pct=1.5)])
    assert "3,000 rpm, 500 ms" == name
    assert ("auto (31)", "40.0", "80.0 %", "7 (2 %)", "500/510/520", "8", "concurrency") == rows[1]
    assert all(len(line) <= 80 for line in plain_table(HEADINGS, rows))


# -- virtual time --------------------------------------------------------------------------------------------------


def lasts(rows: int, concurrency: Any, simulated: Simulated | None = None, **setting: Any) -> Any:
    cell = Cell(concurrency, Setting(**{"latency_ms": 1000.0, **setting}))
    return foresee(Spec.builtin(), rows, cell, simulated or Simulated(enforce="bucket-minute"))


def test_600_rows_of_a_second_each_ten_at_a_time_take_a_minute() -> None:
    """The virtual run of 600 one-second rows at concurrency 10 lasts exactly sixty seconds."""
    found = lasts(600, 10)
    assert 60.0 == pytest.approx(found.duration_s)
    assert (False, "concurrency", 10) == (found.is_extrapolated, found.binding, found.peak_in_flight)


def test_the_seed_grid_takes_6_s_where_a_minute_is_saved_up() -> None:
    """At 3,000 a minute the seed grid takes 6 s where the server has saved up a minute and says so."""
    assert 6.25 == pytest.approx(lasts(294, 512, rpm=3000.0, latency_ms=3000.0).duration_s, abs=0.2)
    silent = Simulated(enforce="bucket-minute", headers="none")
    assert 294 / 50 + 3 == pytest.approx(lasts(294, 512, silent, rpm=3000.0, latency_ms=3000.0).duration_s, abs=0.2)


def test_a_large_grid_is_extrapolated_from_its_steady_rate() -> None:
    """Sixty thousand rows are extrapolated from at most 410 simulated ones, and the output says so."""
    found = lasts(60_000, 10)
    assert 6000.0 == pytest.approx(found.duration_s)
    assert found.is_extrapolated
    assert found.simulated <= 400 + 10
    assert "extrapolated from the first 4" in forecast_lines(found, [])[0]


@pytest.mark.parametrize("enforce", ["bucket-minute", "bucket-second", "sliding-minute", "window-minute"])
def test_in_the_long_run_no_server_gives_more_than_its_limit(enforce: str) -> None:
    """Under every kind of rate limiter, an hour's worth of requests takes an hour within one percent."""
    found = lasts(180_000, 64, Simulated(enforce=enforce), rpm=3000.0)
    assert 3600.0 == pytest.approx(found.duration_s, rel=0.01)
    assert "requests" == found.binding


def test_tokens_a_minute_bind_by_what_a_request_reserves() -> None:
    """A token limit is charged by each request's max_tokens, which caps the row rate within five percent."""
    found = lasts(10_000, 64, tpm=90_000.0)
    max_tokens = 500  # of the built-in spec, more than its prompts have
    assert "tokens" == found.binding
    assert 90_000 / 60 / max_tokens == pytest.approx(found.rows_per_s, rel=0.05)


def test_a_slow_small_grid_costs_no_more_than_two_minutes_of_virtual_time() -> None:
    """Slow rows in a small grid are extrapolated, so the forecast stays exact without simulating them all."""
    found = lasts(294, 1, latency_ms=60_000.0)
    assert 294 * 60.0 == pytest.approx(found.duration_s)
    assert found.is_extrapolated


def test_no_server_is_taken_to_refuse_the_very_first_row() -> None:
    """Forecasts begin with an accepted row, even where the limit allows one row in a thousand minutes."""
    assert 0 == lasts(294, 16, rpm=10.0).refused
    assert 293_000 * 60.0 == pytest.approx(lasts(294, 16, rpm=0.001).duration_s, rel=0.01)


def test_a_raise_buys_what_it_buys() -> None:
    """Doubling each setting forecasts the time it saves, and the best raise becomes the run command."""
    cell = Cell(10, Setting(rpm=6000.0, latency_ms=1000.0))
    simulated = Simulated(enforce="bucket-second")
    outlook = foresee(Spec.builtin(), 300, cell, simulated)
    found = {each.what: each for each in raises(Spec.builtin(), outlook, simulated)}
    assert 0.0 == pytest.approx(found["12,000 requests a minute"].saved_s, abs=0.5)
    assert 15.0 == pytest.approx(found["a concurrency of 20"].saved_s, abs=0.5)
    assert 15.0 == pytest.approx(found["a latency of 500 ms"].saved_s, abs=0.5)
    lines = forecast_lines(outlook, list(found.values()))
    assert f"Limited by: {BINDS['concurrency']}." in lines
    assert any(line.startswith("With 12,000 requests a minute: ") and line.endswith(" (no gain).") for line in lines)
    # Half the latency would save as much, and nobody can ask for it.
    raised = [found["a latency of 500 ms"], found["a concurrency of 20"]]
    expected = "herogen-async run 'my spec.yaml' --rpm 6000 --concurrency 20"
    assert expected == best_raise(outlook, raised, [*RUN, "my spec.yaml"])
    assert expected.replace("20", "10") == best_raise(outlook, raised[:1], [*RUN, "my spec.yaml"])


def test_twice_a_concurrency_that_was_never_in_use_is_not_even_tried() -> None:
    """A concurrency that was never fully used isn't doubled in the search for gains."""
    outlook = forecast_from(Cell(64, SETTING), 10, FirstAnswers((1.0, 2.0), True, 5, 0, {"requests": 100.0}))
    assert {"a concurrency of 128": None} == {what: cell for what, cell in changes(outlook) if cell is None}


def test_what_is_waited_for_is_not_the_tail_and_a_burst_is_no_promise() -> None:
    """The forecast names the limit behind the tail and never extrapolates faster than that limit allows."""
    seen = FirstAnswers(tuple(float(i) for i in range(1, 101)), False, 4, 0, {"tail": 60.0, "concurrency": 40.0})
    assert "concurrency" == forecast_from(Cell(4, SETTING), 1000, seen).binding
    capped = forecast_from(Cell(4, SETTING), 1000, replace(seen, most_per_s={"requests": 0.5}))
    assert ("requests", 100 + 900 / 0.5) == (capped.binding, capped.duration_s)


def test_the_virtual_fuse_lets_a_windows_worth_through_in_any_window() -> None:
    """The virtual fuse starts at most three requests in any one-second window."""

    async def starts() -> list[float]:
        clock, found = VirtualClock(), []
        fuse = VirtualFuse(clock, 3.0, 1.0)
        for _ in range(8):
            async with fuse:
                found.append(clock.now())
            await asyncio.sleep(0.1)
        return found

    assert [0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 2.0, 2.1] == pytest.approx(run_virtual(starts()))


def test_the_virtual_command_prints_the_answer_and_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bench --virtual --json` prints outlooks, best cell and raises, and writes the same JSON to bench.json."""
    bench(virtual=True, rows=60, rpm=[6000.0], concurrency=["8", "16"], out_folder=tmp_path / "new", json=True)
    printed = capsys.readouterr()
    value = last_json(printed.out)
    assert [8, 16] == [each["cell"]["concurrency"] for each in value["outlooks"]]
    assert 16 == value["quickest"]["cell"]["concurrency"]
    assert 3 == len(value["raises"])
    assert value == json.loads((tmp_path / "new" / "bench.json").read_bytes())
    assert printed.err.splitlines()[-1].startswith("Next: herogen-async run --rpm 6000 --concurrency")


# -- pictures ------------------------------------------------------------------------------------------------------


def test_the_pictures_are_drawn_where_matplotlib_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep with refusals is drawn as four PNG charts: binding, latency, refusals and throughput."""
    pytest.importorskip("matplotlib")
    from herogen_async.data import charts
    from herogen_async.lab.bench import plots

    monkeypatch.setattr(charts, "_DPI", 20)  # of pictures that nobody looks at
    refused = measured(64, 50.0, "gate", refused=7, refused_pct=1.5)
    found = plots.draw_bench(sweep(measured(16, 30.0), refused, measured("auto", 40.0)))
    assert ["binding.png", "latency.png", "refusals.png", "throughput.png"] == sorted(found)
    assert {b"\x89PNG"} == {data[:4] for data in found.values()}


def test_pictures_can_be_drawn_of_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell without answers or refusals is still drawn, just without the refusals chart."""
    pytest.importorskip("matplotlib")
    from herogen_async.data import charts
    from herogen_async.lab.bench import plots

    monkeypatch.setattr(charts, "_DPI", 20)  # of a picture that nobody looks at
    found = plots.draw_bench(sweep(measured(16, 0.0, latency_ms={}, permitted_per_s=None, moments=())))
    assert "refusals.png" not in found


def test_a_rate_over_time_is_over_the_second_before() -> None:
    """Each point of the rate curve covers the second before it and matches the steady rate."""
    from herogen_async.lab.bench.plots import rates_over_time

    times, rates = rates_over_time(measured(16, 30.0))
    assert [0.4, 9.8] == pytest.approx([times[0], times[-1]])
    assert [30.0] * len(rates) == pytest.approx(rates, rel=0.02)


def test_without_matplotlib_bench_writes_only_json_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without matplotlib the JSON is written, and a line says how to get the pictures."""
    from herogen_async.cli.bench_command import _write

    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    _write(tmp_path, sweep(measured(16, 30.0)))
    assert ["bench.json"] == [path.name for path in tmp_path.iterdir()]
    assert "pip install 'herogen-async[plot]'" in capsys.readouterr().err


# -- real cells ----------------------------------------------------------------------------------------------------


def processes_below(pid: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if "simulate" in line]


@pytest.mark.slow
def test_real_cells_have_figures_that_make_sense_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real cells give consistent figures, advise the faster one, and leave no file, process or variable behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limits = os.environ.get("HEROGEN_LIMITS_DIR")
    cells = cells_of([2, 64], rpm=[3000.0], latency_ms=[100.0])
    seen: list[tuple[int, bool]] = []
    found = bench_simulated(
        Spec.builtin(),
        cells,
        Simulated(),
        seconds=1.6,
        limit=None,
        on_cell=lambda number, each: seen.append((number, each is None)),
    )
    few, many = found.measured
    assert [(1, True), (1, False), (2, True), (2, False)] == seen
    # Not how fast this machine is while it does other work: what no figure can pass.
    assert few.binding in ("concurrency", "cpu")
    assert 0.0 <= few.in_flight <= 2.0
    assert 0 < few.rows_per_s < 2.25 / 0.1  # two in flight, 100 ms each; of a moment: a row more or less
    assert few.latency_ms["p50"] >= 99.0
    assert many.binding in ("requests", "cpu")
    assert few.permitted_pct is not None
    assert many.permitted_pct is not None
    assert few.permitted_pct < many.permitted_pct < 112.0
    assert (64, 0) == (found.advice[0].concurrency, many.refused)
    assert len(many.moments) >= 6
    assert [] == list(tmp_path.iterdir())
    assert [] == processes_below(os.getpid())
    assert limits == os.environ.get("HEROGEN_LIMITS_DIR")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_signal_is_a_ctrl_c_and_can_be_deferred(number: signal.Signals) -> None:
    """Every ending signal acts as Ctrl-C, and one that must wait takes effect later."""
    done = []

    def sweep() -> None:
        with all_as_ctrl_c():
            with signals_later():
                signal.raise_signal(number)
                done.append("cleaned up")
            done.append("went on")

    with pytest.raises(KeyboardInterrupt):
        sweep()
    assert ["cleaned up"] == done


def test_a_server_ends_with_its_bench_even_when_that_is_killed() -> None:
    """See `--until-eof` in test_simulator_command."""
    assert "--until-eof" in _arguments(SETTING, Simulated())


@pytest.mark.slow
def test_a_signal_ends_server_and_sweep_and_prints_what_was_measured(tmp_path: Path) -> None:
    """SIGTERM exits 130 with what was measured as JSON, and leaves no simulator or temporary file."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    options = ["--latency-ms", "50", "--concurrency", "4", "--concurrency", "8", "--seconds", "0.5", "--json"]
    child = subprocess.Popen(
        command("bench", *options, "--concurrency", "16", "--rpm", "60000"),
        cwd=tmp_path,
        env=environment(TMPDIR=str(temporary)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "3 cells, at most 0.5 s each.\n" == child.stderr.readline()
    assert child.stderr.readline().startswith("1/3 concurrency 4")
    child.send_signal(signal.SIGTERM)
    told, noise = child.communicate(timeout=30)
    assert (130, "") == (child.returncode, "Traceback" if "Traceback" in noise else "")
    value = last_json(told)
    assert (True, 3, 4) == (value["interrupted"], value["planned"], value["measured"][0]["cell"]["concurrency"])
    assert "Interrupted: " in noise
    assert [] == list(temporary.iterdir())
    assert [] == [each for each in _simulators() if str(tmp_path) in each]


@pytest.mark.slow
def test_an_endpoint_is_measured_to_its_row_limit_or_found_dead(tmp_path: Path) -> None:
    """An endpoint is measured up to the row limit, and a dead one gives one sentence with a fix."""
    from herogen_async.lab.bench.server_process import serving

    (cell,) = cells_of([8])
    with serving(Setting(latency_ms=20.0), Simulated()) as url:
        found = bench_endpoint(
            small_spec(), [cell], MeasuredEndpoint(url, "m"), seconds=5.0, limit=40, on_cell=lambda *_: None
        )
    (each,) = found.measured
    assert (40, None, {"base_url": url, "seconds": 5.0, "limit": 40}) == (each.rows, each.permitted_pct, found.server)
    assert each.seconds < 2.0
    with pytest.raises(InputError, match="can't measure this endpoint") as caught:
        bench_endpoint(small_spec(), [cell], MeasuredEndpoint(url, "m"), seconds=5.0, limit=4, on_cell=lambda *_: None)
    assert f"doctor --base-url {url}" in str(caught.value.fix)


def _simulators() -> list[str]:
    """The working folder of every simulator that runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"simulate" in (process / "cmdline").read_bytes():
                found.append(str((process / "cwd").readlink()))
        except OSError:
            continue
    return found
