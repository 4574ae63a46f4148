"""What a run is and was, as one record: folded from counters or from a folder, drawn by `view`, printed as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from herogen_async.admission import Bucket
from herogen_async.engine import Progress
from herogen_async.journal import Recovered

RATE_WINDOW_S = 10.0
MOST_WORDS = 64  # of the server's own words a report lists the most frequent


@dataclass(frozen=True, slots=True)
class RunReport:
    """One moment of a run.

    Rates are of the running session, `elapsed_s` is the time of all sessions together. `permitted_pct` is the share of
    the permitted rate that was reached and None where no rate is set; `cost` is None: unknown is not zero.
    `grid` is the number of tasks without a limit.
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
    usage: dict[str, int] = field(default_factory=dict)
    cost: float | None = None
    retries: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    finish_reasons: dict[str, int] = field(default_factory=dict)
    eta_s: float | None = None
    model: str | None = None
    endpoint: str | None = None
    base_url: str | None = None
    reason: str | None = None
    fix: str | None = None
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `--json`."""
        return asdict(self)

    @property
    def exit_code(self) -> int:
        """0 done; 1 done, but rows were given up; 3 parked; 130 interrupted."""
        return {"failed_rows": 1, "parked": 3, "interrupted": 130}.get(self.state, 0)


class Pace:
    """Rows and tokens a second over the last RATE_WINDOW_S, from samples of the counters."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int, int]] = []

    def sample(self, progress: Progress, now: float) -> tuple[float, float]:
        """(rows/s, completion tokens/s) now; over the whole session while that is shorter than the window."""
        tokens = progress.session_usage["completion_tokens"]
        if not self._samples:
            self._samples.append((progress.started_s, 0, 0))
        self._samples.append((now, progress.session_rows, tokens))
        while len(self._samples) > 2 and self._samples[1][0] < now - RATE_WINDOW_S:
            del self._samples[0]
        since, rows, counted = self._samples[0]
        seconds = max(now - since, 1e-9)
        return (progress.session_rows - rows) / seconds, (tokens - counted) / seconds


def live_report(
    head: Mapping[str, Any], progress: Progress, pace: Pace, *, now: float, earlier_s: float, rpm: float | None
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
        permitted_pct=_permitted_pct(progress, elapsed_s, rpm),
        binding=progress.binds_now,
        usage=_listed(progress.usage),
        retries=progress.retries,
        errors=dict(progress.errors),
        finish_reasons=_listed(progress.finish_reasons),
        eta_s=pending / rows_per_s if rows_per_s > 0 else None,
    )


def session_summary(progress: Progress, *, now: float, rpm: float | None) -> dict[str, Any]:
    """What the `stopped` event keeps of a session, so that `status` can tell it later."""
    elapsed_s = max(now - progress.started_s, 1e-9)
    return {
        "session_s": round(elapsed_s, 3),
        "rows": progress.session_rows,
        "rows_per_s": round(progress.session_rows / elapsed_s, 3),
        "tokens_per_s": round(progress.session_usage["completion_tokens"] / elapsed_s, 3),
        "permitted_pct": _permitted_pct(progress, elapsed_s, rpm),
        "binding": binding_of(progress.binding),
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
    return RunReport(
        **head,
        state="running" if live else finished if done + failed >= total else sessions.get("state", "stopped"),
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
        usage=_listed(found.usage),
        retries=int(last.get("retries", 0)),
        errors=dict(last.get("errors", {})),
        finish_reasons=_listed(found.finish_reasons),
        eta_s=live.get("eta_s"),
        reason=None if live else sessions.get("reason"),
        fix=None if live else sessions.get("fix"),
    )


def binding_of(samples: Counter[str]) -> str | None:
    """What bound a session: what most of its samples say."""
    return samples.most_common(1)[0][0] if samples else None


def _listed(counter: Counter[str]) -> dict[str, int]:
    return dict(counter) if len(counter) <= MOST_WORDS else dict(counter.most_common(MOST_WORDS))


def _permitted_pct(progress: Progress, elapsed_s: float, rpm: float | None) -> float | None:
    if rpm is None or elapsed_s <= 0:
        return None
    permitted = Bucket(rpm / 60, 0.0).burst + elapsed_s * rpm / 60
    return round(100 * progress.attempts / permitted, 1)
