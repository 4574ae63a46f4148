"""A bench as text: the table, the advice and the next command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from herogen_async.core.units import count, duration, rate
from herogen_async.lab.bench.grid_forecast import GridForecast, Raise
from herogen_async.lab.bench.records import Advice, Bench, FormCost, Measured, Setting
from herogen_async.view.terminal.lane_lines import BINDS

HEADINGS = ("concurrency", "rows/s", "of limit", "429s", "p50/p95/p99 ms", "in flight", "limited by")
FORECAST_HEADINGS = ("limits, latency", "concurrency", "takes", "rows/s", "limited by", "simulated")
_LITTLE_S = 0.005  # of time saved: less is rounding
_LITTLE = 0.01  # ... or 1 % of the total


def tables(measured: Sequence[Measured]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """For each setting, its name and one line of texts per cell, under HEADINGS; fits in 80 columns."""
    found: dict[Setting, list[tuple[str, ...]]] = {}
    for each in measured:
        found.setdefault(each.cell.setting, []).append(_row(each))
    return [(setting.text, rows) for setting, rows in found.items()]


def _row(each: Measured) -> tuple[str, ...]:
    latencies = "/".join(f"{milliseconds:.0f}" for milliseconds in each.latency_ms.values())
    return (
        concurrency_text(each),
        rate(each.rows_per_s),
        "-" if each.permitted_pct is None else f"{each.permitted_pct:.1f} %",
        f"{count(each.refused)} ({each.refused_pct:.0f} %)" if each.refused else "0",
        latencies or "-",
        f"{each.in_flight:,.0f}",
        each.binding or "-",
    )


def concurrency_text(each: Measured) -> str:
    """`64`, or what `auto` reached: `auto (61)`."""
    if each.cell.concurrency != "auto":
        return str(each.cell.concurrency)
    return f"auto ({each.reached})" if each.reached else "auto"


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart, for output without a terminal."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (headings, *rows)
    ]


def advice_lines(bench: Bench) -> list[str]:
    """The advice for each setting, as sentences."""
    lines = [line for advice in bench.advice for line in _sentences(advice)]
    lines += [_form_text(each) for each in bench.forms]
    if bench.interrupted:
        lines.insert(0, f"Interrupted: {len(bench.measured)} of {bench.planned} cells measured.")
    return lines


def bench_run_command(bench: Bench, run: Sequence[str]) -> str:
    """The run command for the last advice; `run` is its beginning, including the server."""
    if not bench.advice:
        return "run the same command again"
    advice = bench.advice[-1]
    wanted = "auto" if advice.concurrency is None else str(advice.concurrency)
    return shlex.join([*run, *_limits(advice.setting), "--concurrency", wanted])


def forecast_rows(outlooks: Sequence[GridForecast]) -> list[tuple[str, ...]]:
    """One line of texts per cell, under FORECAST_HEADINGS."""
    return [
        (
            each.cell.setting.text,
            str(each.cell.concurrency),
            duration(each.duration_s),
            rate(each.rows_per_s),
            each.binding or "-",
            f"first {count(each.simulated)}" if each.is_extrapolated else "all",
        )
        for each in outlooks
    ]


def forecast_lines(outlook: GridForecast, raises: Sequence[Raise]) -> list[str]:
    """How long it takes, what limits it, and what raising each limit would gain."""
    requests = f" ({several(outlook.requests, 'request')})" if outlook.requests_a_row != 1 else ""
    head = f"{count(outlook.rows)} rows{requests} take {duration(outlook.duration_s)} with {outlook.cell.text}"
    lines = [f"{head} ({rate(outlook.rows_per_s)} rows/s; {_known(outlook)})."]
    if outlook.binding is not None:
        lines.append(f"Limited by: {BINDS.get(outlook.binding, outlook.binding)}.")
    if outlook.refused:
        lines.append(f"{several(outlook.refused, 'request')} would be refused (429) and retried.")
    return lines + [_raise_text(outlook, each) for each in raises]


def best_raise(outlook: GridForecast, raises: Sequence[Raise], run: Sequence[str]) -> str:
    """The run command for the forecast; with more calls in flight if that saves time, as it costs nothing."""
    better = (each for each in raises if each.outlook.cell.setting == outlook.cell.setting and _saves(outlook, each))
    cell = next((each.outlook.cell for each in better), outlook.cell)
    return shlex.join([*run, *_limits(cell.setting), "--concurrency", str(cell.concurrency)])


def several(number: int, what: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def _saves(outlook: GridForecast, each: Raise) -> bool:
    return each.saved_s > _little_s(outlook)


def _little_s(outlook: GridForecast) -> float:
    return max(_LITTLE_S, _LITTLE * outlook.duration_s)


def _raise_text(outlook: GridForecast, each: Raise) -> str:
    if abs(each.saved_s) <= _little_s(outlook):
        return f"With {each.what}: {duration(each.outlook.duration_s)} (no gain)."
    word = "saves" if each.saved_s > 0 else "adds"
    takes, change = duration(each.outlook.duration_s), duration(abs(each.saved_s))
    return f"With {each.what}: {takes} ({word} {change})."


def _known(outlook: GridForecast) -> str:
    if not outlook.is_extrapolated:
        return "all simulated in virtual time"
    return f"extrapolated from the first {count(outlook.simulated)}, simulated in virtual time"


def _sentences(advice: Advice) -> list[str]:
    where = f"{advice.setting.text}:"
    share = "" if advice.permitted_pct is None else f", {advice.permitted_pct:.1f} % of the rate limit"
    reached = f"{rate(advice.rows_per_s)} rows/s{share}"
    if not advice.best_rows_per_s:
        return [f"{where} no answers in time; set --seconds to more than twice the latency."]
    if advice.concurrency is None:
        return [f"{where} auto reached {_auto_in_flight(advice)} in flight and {reached}.{_limit_text(advice)}"]
    if advice.is_edge:
        more = f"{where} {count(advice.concurrency)} in flight, the highest tried, reached {reached}."
        lines = [f"{more} Higher is faster: try --concurrency {2 * advice.concurrency}."]
    else:
        lines = [f"{where} --concurrency {advice.concurrency} is enough: {reached}.{_limit_text(advice)}"]
    if advice.auto is not None:
        pct = 100 * advice.auto.rows_per_s / advice.best_rows_per_s
        came = f"{_auto_in_flight(advice)} in flight and {rate(advice.auto.rows_per_s)} rows/s"
        lines.append(f"{where} auto reached {came} in {duration(advice.auto.seconds)}, {pct:.0f} % of the best.")
    return lines


def _form_text(cost: FormCost) -> str:
    checked, bare = (
        f"{rate(each.rows_per_s)} rows/s" + ("" if each.cpu_ms is None else f" and {each.cpu_ms:.3f} ms of CPU a row")
        for each in (cost.checked, cost.unchecked)
    )
    return f"Forms, {cost.checked.cell.text}: {checked}; with the same answers unchecked {bare}."


def _limit_text(advice: Advice) -> str:
    if advice.limit_binds:
        return " The rate limit binds: more calls in flight gain nothing, a higher limit would."
    return " More calls in flight gain nothing."


def _auto_in_flight(advice: Advice) -> str:
    return "?" if advice.auto is None or advice.auto.reached is None else count(advice.auto.reached)


def _limits(setting: Setting) -> list[str]:
    given = (("--rpm", setting.rpm), ("--tpm", setting.tpm))
    return [text for name, value in given if value is not None for text in (name, f"{value:g}")]
