"""What a run is and was, as one record: folded from counters or from a folder, drawn by `view`, printed as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from herogen_async.generation.engine import Counters, Straggler
from herogen_async.generation.journal import Recovered

RATE_WINDOW_S = 10.0
PERMITTED_WINDOW_S = 60.0
MOST_WORDS_SHOWN = 64  # of the server's own words a report lists the most frequent


@dataclass(frozen=True, slots=True)
class RunReport:
    """One moment of a run.

    Rates are of the running session, `elapsed_s` is the time of all sessions together. `permitted_pct` is the share of
    the permitted rate that was reached, over the last minute while it runs and over the whole session at its end: of
    the limit that comes nearest, None where none is known. `binding` is what the run mostly waits for, `binding_shares`
    the % of the time that each thing was waited for. `limits` are those that hold: given, and told by the server.
    `concurrency` is how many calls may be in flight, `latency_ms` holds `p50`, `p95` and `p99` of the last
    thousands of calls.
    `cost` is in USD, over all sessions, with what attempts that brought no answer may have cost; None where the price
    is not known: unknown is not zero. `budget` is what it may come to.
    `grid` is the number of tasks without a limit. `stragglers` are the rows that are out for the longest, once nothing
    new is sent. A parked run can go on by itself at `wake_at` (ISO 8601, UTC), in `wake_in_s` seconds, where that is
    known; one that is running and has it sleeps until then.
    `state` is one of `running`, `done`, `failed_rows`, `interrupted`, `parked`, `stopped`.
    """

    run: str
    state: str
    total: int
    done: int
    failed: int
    pending: int
    grid: int = 0
    in_flight: int = 0
    elapsed_s: float = 0.0
    rows_per_s: float = 0.0
    tokens_per_s: float = 0.0
    permitted_pct: float | None = None
    binding: str | None = None
    binding_shares: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    concurrency: int | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    cost: float | None = None
    budget: float | None = None
    retries: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    finish_reasons: dict[str, int] = field(default_factory=dict)
    eta_s: float | None = None
    model: str | None = None
    endpoint: str | None = None
    base_url: str | None = None
    stragglers: tuple[Straggler, ...] = ()
    reason: str | None = None
    fix: str | None = None
    wake_at: str | None = None
    wake_in_s: float | None = None
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `--json`."""
        return asdict(self)

    @property
    def exit_code(self) -> int:
        """0 done; 1 done, but rows were given up; 3 parked; 130 interrupted."""
        return {"failed_rows": 1, "parked": 3, "interrupted": 130}.get(self.state, 0)


class RateWindow:
    """How fast it goes now, from samples of the counters."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int, int]] = []
        self._accounts: list[tuple[float, dict[str, tuple[float, float]]]] = []

    def sample(self, progress: Counters, now: float) -> tuple[float, float]:
        """(rows/s, completion tokens/s) over the last RATE_WINDOW_S, over the session while that is shorter."""
        tokens = progress.session_usage["completion_tokens"]
        if not self._samples:
            self._samples.append((progress.started_s, 0, 0))
        self._samples.append((now, progress.session_rows, tokens))
        while len(self._samples) > 2 and self._samples[1][0] < now - RATE_WINDOW_S:
            del self._samples[0]
        since, rows, counted = self._samples[0]
        seconds = max(now - since, 1e-9)
        return (progress.session_rows - rows) / seconds, (tokens - counted) / seconds

    def permitted_pct(self, progress: Counters, now: float) -> float | None:
        """The share of the permitted rate that was taken over the last PERMITTED_WINDOW_S."""
        if not self._accounts or now >= self._accounts[-1][0] + 1.0:
            self._accounts.append((now, progress.accounts))
        while len(self._accounts) > 2 and self._accounts[1][0] < now - PERMITTED_WINDOW_S:
            del self._accounts[0]
        return permitted_pct(progress.accounts, self._accounts[0][1])


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


def live_report(
    head: Mapping[str, Any], progress: Counters, pace: RateWindow, *, now: float, earlier_s: float
) -> RunReport:
    """The report of a running session; `head` holds the run's name, model, endpoint and base URL."""
    rows_per_s, tokens_per_s = pace.sample(progress, now)
    elapsed_s = now - progress.started_s
    pending = progress.total - progress.done - progress.failed
    return RunReport(
        **head,
        state="running",
        total=progress.total,
        done=progress.done,
        failed=progress.failed,
        pending=pending,
        in_flight=progress.in_flight,
        elapsed_s=earlier_s + elapsed_s,
        rows_per_s=rows_per_s,
        tokens_per_s=tokens_per_s,
        permitted_pct=pace.permitted_pct(progress, now),
        binding=progress.binds_now,
        binding_shares=shares_of(progress.binding),
        limits=dict(progress.limits),
        concurrency=progress.concurrency or None,
        latency_ms=latency_quantiles(progress),
        usage=_listed(progress.usage),
        retries=progress.retries,
        errors=dict(progress.errors),
        finish_reasons=_listed(progress.finish_reasons),
        eta_s=pending / rows_per_s if rows_per_s > 0 and progress.binds_now != "paused" else None,
        stragglers=progress.stragglers,
    )


def session_summary(progress: Counters, *, now: float) -> dict[str, Any]:
    """What the `stopped` event keeps of a session, so that `status` can tell it later."""
    elapsed_s = max(now - progress.started_s, 1e-9)
    return {
        "session_s": round(elapsed_s, 3),
        "rows": progress.session_rows,
        "rows_per_s": round(progress.session_rows / elapsed_s, 3),
        "tokens_per_s": round(progress.session_usage["completion_tokens"] / elapsed_s, 3),
        "permitted_pct": permitted_pct(progress.accounts),
        "binding": binding_of(progress.binding),
        "binding_shares": shares_of(progress.binding),
        "limits": dict(progress.limits),
        "concurrency": progress.concurrency or None,
        "latency_ms": latency_quantiles(progress),
        "retries": progress.retries,
        "errors": dict(progress.errors),
    }


def folded_report(
    head: Mapping[str, Any],
    found: Recovered,
    *,
    total: int,
    sessions: Mapping[str, Any],
    live: Mapping[str, Any],
) -> RunReport:
    """The report of a folder. `sessions` are the folded events, `live` the figures of a process that runs it now."""
    done, failed = len(found.done), len(found.failed)
    last = {**sessions.get("last", {}), **live}
    finished = "failed_rows" if failed else "done"
    stopped = sessions.get("state", "stopped")
    if stopped in ("done", "failed_rows"):  # it was, before a recovery or an extension left more to ask
        stopped = "stopped"
    return RunReport(
        **head,
        state="running" if live else finished if done + failed >= total else stopped,
        total=total,
        done=done,
        failed=failed,
        pending=max(total - done - failed, 0),
        in_flight=int(last.get("in_flight", 0)),
        elapsed_s=float(live.get("elapsed_s", sessions.get("elapsed_s", 0.0))),
        rows_per_s=float(last.get("rows_per_s", 0.0)),
        tokens_per_s=float(last.get("tokens_per_s", 0.0)),
        permitted_pct=last.get("permitted_pct"),
        binding=last.get("binding"),
        binding_shares=dict(last.get("binding_shares", {})),
        limits=dict(last.get("limits", {})),
        concurrency=last.get("concurrency"),
        latency_ms=dict(last.get("latency_ms", {})),
        usage=_listed(found.usage),
        retries=int(last.get("retries", 0)),
        errors=dict(last.get("errors", {})),
        finish_reasons=_listed(found.finish_reasons),
        eta_s=live.get("eta_s"),
        stragglers=tuple(Straggler(**each) for each in live.get("stragglers", ())),
        reason=live.get("reason") if live else sessions.get("reason"),
        fix=None if live else sessions.get("fix"),
        wake_at=live.get("wake_at") if live else sessions.get("wake_at"),
    )


def binding_of(samples: Counter[str]) -> str | None:
    """What bound a session: what most of its samples say."""
    return samples.most_common(1)[0][0] if samples else None


def shares_of(samples: Counter[str]) -> dict[str, float]:
    """What a session waited for, in % of its time, the most first."""
    return {what: round(100 * count / samples.total(), 1) for what, count in samples.most_common()}


def latency_quantiles(progress: Counters) -> dict[str, float]:
    """Milliseconds that an answer took; empty before the first one."""
    found = {name: progress.latencies.quantile(q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {name: round(1000 * seconds, 1) for name, seconds in found.items() if seconds is not None}


def _listed(counter: Counter[str]) -> dict[str, int]:
    return dict(counter) if len(counter) <= MOST_WORDS_SHOWN else dict(counter.most_common(MOST_WORDS_SHOWN))
