"""How fast a run is and what it waits for, from samples of its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from herogen_async.generation.engine import Counters
from herogen_async.generation.report.eta import Eta, ceiling_per_s
from herogen_async.generation.report.figure import LaneHead, SessionMoment

RATE_WINDOW_S = 10.0
# Of a window at least, and more than are in flight: slots that began together end together, and within one such turn
# there is nothing, or all of it.
RATE_ROWS = 8
PERMITTED_WINDOW_S = 60.0


class RateWindow:
    """How fast it is now, from samples of the counters."""

    def __init__(self, lanes: Mapping[str, LaneHead] | None = None) -> None:
        """`lanes` is whom each of several lanes asks."""
        self._lanes = lanes or {}
        self._samples: list[tuple[float, int, int, int]] = []
        self._accounts: list[tuple[float, dict[str, tuple[float, float]]]] = []
        self._eta: Eta | None = None
        self._settled_before = 0

    def moment(self, counters: Counters, now: float, earlier_s: float) -> SessionMoment:
        """All that the figures of a report are read from; called once a report."""
        rows_per_s, tokens_per_s, calls_per_s = self.sample(counters, now)
        before = self._accounts_before(counters, now)
        return SessionMoment(
            counters,
            now,
            earlier_s,
            rows_per_s,
            tokens_per_s,
            permitted_pct(counters.accounts, before),
            self._remaining_s(counters, now),
            calls_per_s,
            before,
            self._lanes,
        )

    def _remaining_s(self, counters: Counters, now: float) -> float | None:
        if self._eta is None:
            self._eta = Eta(counters.started_s)
            self._settled_before = counters.settled_calls - counters.session_calls
        # By calls, also where a row has several: rows end late, the first ones not before each column had its turn.
        # Those in flight end in bursts of their column, so only as many as whole rows are say how fast it is.
        return self._eta.seconds(
            now,
            counters.settled_calls - self._settled_before,
            counters.pending_calls,
            in_flight=counters.in_flight * counters.calls_a_row,
            ceiling_per_s=ceiling_per_s(
                counters.limits, counters.usage, counters.settled_calls, requests=counters.answered_calls
            ),
            is_paused=counters.binds_now == "paused",
        )

    def sample(self, counters: Counters, now: float) -> tuple[float, float, float]:
        """(rows/s, completion tokens/s, calls/s) of the last RATE_WINDOW_S and RATE_ROWS, the longer; at most all."""
        tokens = counters.session_tokens("completion_tokens")
        if not self._samples:
            self._samples.append((counters.started_s, 0, 0, 0))
        if len(self._samples) > 1 and self._samples[-2][1] == self._samples[-1][1]:
            del self._samples[-1]  # nothing had come: a window begins when rows came, so that it holds whole turns
        self._samples.append((now, counters.session_rows, tokens, counters.session_calls))
        fewest = max(RATE_ROWS, counters.in_flight + 1)
        while (
            len(self._samples) > 2
            and self._samples[1][0] < now - RATE_WINDOW_S
            and counters.session_rows - self._samples[1][1] >= fewest
        ):
            del self._samples[0]
        since, rows, counted, calls = self._samples[0]
        seconds = max(now - since, 1e-9)
        return (
            (counters.session_rows - rows) / seconds,
            (tokens - counted) / seconds,
            (counters.session_calls - calls) / seconds,
        )

    def _accounts_before(self, counters: Counters, now: float) -> Mapping[str, tuple[float, float]]:
        """The accounts at the begin of the last PERMITTED_WINDOW_S."""
        if not self._accounts or now >= self._accounts[-1][0] + 1.0:
            self._accounts.append((now, counters.accounts))
        while len(self._accounts) > 2 and self._accounts[1][0] < now - PERMITTED_WINDOW_S:
            del self._accounts[0]
        return self._accounts[0][1]


def permitted_pct(
    accounts: Mapping[str, tuple[float, float]], before: Mapping[str, tuple[float, float]] | None = None
) -> float | None:
    """The share of what was permitted that was taken, since `before`, of the limit that came nearest; in percent."""
    shares = []
    for name, (taken, permitted) in accounts.items():
        taken_before, permitted_before = (before or {}).get(name, (0.0, 0.0))
        if permitted > permitted_before:
            shares.append((taken - taken_before) / (permitted - permitted_before))
    return round(100 * max(shares), 1) if shares else None


def binding_of(samples: Counter[str]) -> str | None:
    """What bound a session: what most of its samples say."""
    return samples.most_common(1)[0][0] if samples else None


def shares_of(samples: Counter[str]) -> dict[str, float]:
    """What a session waited for, in % of its time, the most first."""
    return {what: round(100 * count / samples.total(), 1) for what, count in samples.most_common()}


def latency_quantiles(counters: Counters) -> dict[str, float]:
    """Milliseconds that an answer took; empty before the first one."""
    found = {name: counters.latencies.quantile(q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {name: round(1000 * seconds, 1) for name, seconds in found.items() if seconds is not None}
