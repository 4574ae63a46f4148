"""Computes the figures of a cell from its samples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, linear_regression

from herogen_async.core.limits import MINUTE_S, per_s
from herogen_async.generation.report import RunReport
from herogen_async.lab.bench.records import Cell, Measured, Moment, Setting

_PER_S = {"minute": 1 / MINUTE_S, "second": 1.0}  # limits over longer windows may be spent at once


def moment_of(report: RunReport, setting: Setting, row_tokens: int | None = None, *, cpu_s: float = 0.0) -> Moment:
    """The sample in a live report; `row_tokens` as in `permitted_per_s`, `cpu_s` as in `Moment`."""
    return Moment(
        at_s=round(report.elapsed_s, 3),
        rows=_rows_so_far(report),
        permitted=_permitted_so_far(report, setting, row_tokens),
        in_flight=report.in_flight,
        refused=report.errors.get("rate_limit", 0),
        concurrency=report.concurrency,
        binding=report.binding,
        cpu_s=round(cpu_s, 4),
    )


def measured_from(
    cell: Cell, moments: Sequence[Moment], live: RunReport, final: RunReport, *, row_tokens: int | None = None
) -> Measured:
    """The figures of a cell. `live` is the last report before it was stopped, `final` the one after.

    Binding shares and rate limits come from `live`: at the end there is only the tail.
    """
    answered, ended = _answered(final), sum(final.errors.values())
    refused = final.errors.get("rate_limit", 0)
    rate = steady_rate([(each.at_s, each.rows) for each in moments])
    late = [each for each in moments if each.at_s >= live.elapsed_s / 2]
    shares = {what: share for what, share in live.binding_shares.items() if share}
    return Measured(
        cell=cell,
        seconds=round(live.elapsed_s, 3),
        rows=final.done,
        rows_per_s=round(final.done / max(final.elapsed_s, 1e-9) if rate is None else rate, 3),
        permitted_pct=_permitted_pct(live, cell.setting, rate, row_tokens),
        permitted_per_s=permitted_per_s(live, cell.setting, row_tokens),
        refused=refused,
        refused_pct=round(100 * refused / (answered + ended), 2) if answered + ended else 0.0,
        retries=final.retries,
        given_up=final.failed,
        latency_ms=dict(final.latency_ms),
        in_flight=round(fmean(each.in_flight for each in late), 1) if late else 0.0,
        reached=live.concurrency,
        binding=next(iter(shares), None),
        binding_shares=shares,
        moments=tuple(moments),
        cpu_ms=cpu_ms_a_row(moments),
    )


def steady_rate(points: Sequence[tuple[float, float]]) -> float | None:
    """Rows/s in the second half of `points` (seconds, rows so far); None if too few rows came in it.

    It is the slope of the line through the samples with new rows. If all calls take the same time, answers come in
    batches, and samples between two batches would only measure the time since the last one.
    """
    if not points:
        return None
    half = points[-1][0] / 2
    steps = [
        (at, rows) for (at, rows), (_, before) in zip(points[1:], points, strict=False) if rows > before and at >= half
    ]
    if len(steps) < 2:
        return None
    return linear_regression(*zip(*steps, strict=True)).slope


def cpu_ms_a_row(moments: Sequence[Moment]) -> float | None:
    """What the process used for a row in the second half of `moments`; None if no row came in it."""
    late = [each for each in moments if each.at_s >= moments[-1].at_s / 2]
    rows = late[-1].rows - late[0].rows if late else 0
    return round(1000 * (late[-1].cpu_s - late[0].cpu_s) / rows, 4) if rows else None


def permitted_per_s(report: RunReport, setting: Setting, row_tokens: int | None = None) -> float | None:
    """The rate limit in rows/s, None if no limit is known; from the limits set and those in headers.

    A token limit is converted to rows by the charge per row: `row_tokens`, or derived from the used share. Where a row
    has several calls, a limit of requests allows as many fewer rows.
    """
    requests = requests_a_row(report)
    rates = [
        value * _PER_S[per] / requests
        for name, value in report.limits.items()
        if name.startswith("requests") and (per := name.partition("_per_")[2]) in _PER_S
    ]
    if setting.rpm is not None:
        rates.append(per_s("rpm", setting.rpm) / requests)
    if setting.tpm is not None and row_tokens is not None:
        rates.append(per_s("tpm", setting.tpm) / row_tokens)
    elif _counts_tokens(report, setting):
        return _by_share(report)
    return min(rates) if rates else None


def requests_a_row(report: RunReport) -> float:
    """How many requests a row takes, less those that its conditions spare; 1 where it is one call.

    By column, since some are ahead of others; one of which nothing is known yet is asked in each row.
    """
    if not report.columns:
        return 1.0
    found = 0.0
    for column in report.columns.values():
        settled = column["total"] - column["pending"]
        sent = (column["done"] + column["failed"]) / settled if settled else 1.0
        found += sent * column["total"] / max(report.total, 1)
    return max(found, 1e-9)


def _answered(report: RunReport) -> int:
    """Calls that were answered or failed."""
    return report.calls["done"] + report.calls["failed"] if report.calls else report.done + report.failed


def _rows_so_far(report: RunReport) -> float:
    """Rows that are done; of several calls also the begun ones, by their share: a cell may be short for whole rows."""
    calls = report.calls
    if not calls:
        return report.done
    return round((calls["total"] - calls["pending"]) * report.total / max(calls["total"], 1), 3)


def _by_share(report: RunReport) -> float | None:
    if not report.permitted_pct or not report.elapsed_s:
        return None
    taken = (_answered(report) + report.in_flight) / requests_a_row(report)
    return round(taken * 100 / report.permitted_pct / report.elapsed_s, 3)


def _permitted_pct(live: RunReport, setting: Setting, rows_per_s: float | None, row_tokens: int | None) -> float | None:
    """The used share of the rate limit, over the same time as `rows_per_s` if the limit is known in rows."""
    permitted = permitted_per_s(live, setting, row_tokens)
    if rows_per_s is None or permitted is None or (row_tokens is None and _counts_tokens(live, setting)):
        return live.permitted_pct
    return round(100 * rows_per_s / permitted, 1)


def _permitted_so_far(report: RunReport, setting: Setting, row_tokens: int | None) -> float | None:
    per_s = permitted_per_s(report, setting, row_tokens)
    return None if per_s is None else round(per_s * report.elapsed_s, 1)


def _counts_tokens(report: RunReport, setting: Setting) -> bool:
    return setting.tpm is not None or any("tokens" in name for name in report.limits)
