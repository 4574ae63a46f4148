"""The parts of a report: small frozen records, each figure in one of them and nowhere else.

A report inherits them all, so `report.done` is typed, and a function may take one part; so they have no slots. The
order of the parts, and of the figures in them, is that of `--json`. No part is made alone, so none has an `__init__`.
"""

# ruff: noqa: RUF009 - what is called here makes the fields

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from herogen_async.core.errors import ParkReason
from herogen_async.generation.engine import Straggler
from herogen_async.generation.report.columns import calls_figure, columns_figure
from herogen_async.generation.report.figure import all_sessions, drawn, given, one_session
from herogen_async.generation.report.lanes import lanes_at_end, lanes_now
from herogen_async.generation.report.rates import binding_of, latency_quantiles, permitted_pct, shares_of
from herogen_async.generation.report.wanted import accepted_of, most_of, outcomes_of, wanted_of


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunHead:
    """Which run, and how it stands: `running`, `done`, `failed_rows`, `too_few_accepted`, `interrupted`, `parked` or
    `stopped`.
    """

    run: str
    state: str


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunCounts:
    """Tasks, over all sessions. `grid` is their number without a limit; `shard` which part of them the run is, if it is
    one, as `2/4`: not in JSON where it is None.
    """

    total: int = all_sessions(0, lambda moment: moment.counters.total, lambda run: run.total)
    done: int = all_sessions(0, lambda moment: moment.counters.done, lambda run: run.found.rows_done)
    failed: int = all_sessions(0, lambda moment: moment.counters.failed, lambda run: run.found.rows_failed)
    pending: int = all_sessions(
        0,
        lambda moment: moment.counters.pending,
        lambda run: max(run.total - run.found.rows_done - run.found.rows_failed, 0),
    )
    grid: int = given(0)
    shard: str | None = given(None, is_optional=True)
    in_flight: int = one_session(0, lambda moment: moment.counters.in_flight, at_end=lambda _: 0, is_kept=False)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunWanted:
    """If the spec has a `want`: how many of the `wanted` rows are `accepted` so far, of `at_most` rows.

    `total` is the number of rows begun so far then. `outcomes` counts the rows that have ended: `accepted`, `rejected`,
    `undecided` (their `keep` can't be decided), `failed`. None and empty, and not in JSON, if the spec has none.
    """

    accepted: int | None = all_sessions(
        None, lambda moment: accepted_of(moment.counters.wanted), lambda run: accepted_of(run.wanted), is_optional=True
    )
    wanted: int | None = all_sessions(
        None, lambda moment: wanted_of(moment.counters.wanted), lambda run: wanted_of(run.wanted), is_optional=True
    )
    at_most: int | None = all_sessions(
        None, lambda moment: most_of(moment.counters.wanted), lambda run: most_of(run.wanted), is_optional=True
    )
    outcomes: dict[str, int] = all_sessions(
        {}, lambda moment: outcomes_of(moment.counters.wanted), lambda run: outcomes_of(run.wanted), is_optional=True
    )


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunColumns:
    """Counts of a run's calls, in total and by column, over all sessions, if a row has several calls.

    They are read from the journal, so neither the lock's page nor an event has to hold them. Empty, and not in JSON, if
    a row is one call: the counts of rows then say the same.
    """

    calls: dict[str, int] = all_sessions(
        {},
        lambda moment: calls_figure(moment.counters.columns),
        lambda run: calls_figure(run.columns),
        is_optional=True,
    )
    columns: dict[str, dict[str, Any]] = all_sessions(
        {},
        lambda moment: columns_figure(moment.counters.columns),
        lambda run: columns_figure(run.columns),
        is_optional=True,
    )


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunSeen:
    """What a display shows besides. `out` are the tasks that were sent and are neither answered nor failed.

    `silent_s` is how long the session has waited for its first answer, None once it came; `streamed` counts the tokens
    of answers still being written, if the server streams them. `latest` is the cell and the text of the latest answer,
    `latest_column` its column if a row has several calls. `calls_per_s` is the current rate of answers and failures.
    """

    out: int = drawn(0, lambda moment: moment.counters.in_flight + moment.counters.waiting)
    silent_s: float | None = drawn(None, lambda moment: None if moment.counters.latest else moment.session_s)
    streamed: int = drawn(0, lambda moment: moment.counters.streamed)
    latest: tuple[dict[str, str], str] | None = drawn(None, lambda moment: moment.latest)
    latest_column: str | None = drawn(None, lambda moment: moment.latest_column)
    calls_per_s: float = drawn(0.0, lambda moment: moment.calls_per_s)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunRates:
    """How fast the running session is; `elapsed_s` is the time of all sessions together.

    `permitted_pct` is the share of the permitted rate that was reached, over the last minute while it runs and over the
    whole session at its end: of the limit that comes nearest, None where none is known. `binding` is what the run
    mostly waits for, `binding_shares` the % of the time that each thing was waited for.
    """

    elapsed_s: float = one_session(
        0.0,
        lambda moment: moment.earlier_s + (moment.now - moment.counters.started_s),
        folded=lambda run: float(run.live.get("elapsed_s", run.sessions.get("elapsed_s", 0.0))),
        is_kept=False,
    )
    rows_per_s: float = one_session(
        0.0,
        lambda moment: moment.rows_per_s,
        at_end=lambda moment: round(moment.counters.session_rows / moment.session_s, 3),
    )
    tokens_per_s: float = one_session(
        0.0,
        lambda moment: moment.tokens_per_s,
        at_end=lambda moment: round(moment.counters.session_tokens("completion_tokens") / moment.session_s, 3),
    )
    permitted_pct: float | None = one_session(
        None, lambda moment: moment.permitted_pct, at_end=lambda moment: permitted_pct(moment.counters.accounts)
    )
    binding: str | None = one_session(
        None, lambda moment: moment.counters.binds_now, at_end=lambda moment: binding_of(moment.counters.binding)
    )
    binding_shares: dict[str, float] = one_session({}, lambda moment: shares_of(moment.counters.binding))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunLimits:
    """The limits that hold, given and told by the server; how many calls may be in flight; how long they take.

    `latency_ms` holds `p50`, `p95` and `p99` of the last thousands of calls.
    """

    limits: dict[str, float] = one_session({}, lambda moment: dict(moment.counters.limits))
    concurrency: int | None = one_session(None, lambda moment: moment.counters.concurrency or None)
    latency_ms: dict[str, float] = one_session({}, lambda moment: latency_quantiles(moment.counters))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunLanes:
    """The lanes of a run that uses several models or servers, one for each, under the names of its columns; of several
    servers of one model, under their addresses.

    Each has `model`, `base_url` (None: embedded) and `columns`; `in_flight`, `concurrency`, and the session's
    `requests` so far with `errors` by class and `refused`, those refused for a rate limit; its own `limits`,
    `permitted_pct`, `binding` and `binding_shares`, as for a run; its `state` (`running`, `parked`, or `down` where
    other servers go on), and the `reason` why nothing more is sent to it, None while requests are sent. Empty, and not
    in JSON, if there is only one lane.
    """

    lanes: dict[str, dict[str, Any]] = one_session({}, lanes_now, at_end=lanes_at_end, is_optional=True)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunWorkers:
    """The worker processes of a session: `count` at work at once, `lost` and `replaced`, `asked_again` requests
    that lost ones had in flight, `paid_twice` answers that came a second time. Empty, and not in JSON, without any.
    """

    workers: dict[str, int] = one_session({}, lambda moment: dict(moment.counters.workers), is_optional=True)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunMoney:
    """Tokens as the servers count them, and USD, over all sessions; unknown is None, and not zero.

    `cost` has in it what attempts that brought no answer may have cost. `budget` is what it may come to.
    """

    usage: dict[str, int] = all_sessions(
        {}, lambda moment: dict(moment.counters.usage), lambda run: dict(run.found.usage)
    )
    cost: float | None = given(None, is_published=True)
    budget: float | None = given(None)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunAnswers:
    """What came back: errors by class, the servers' words for how answers ended; and in how many seconds the rest."""

    retries: int = one_session(0, lambda moment: moment.counters.retries)
    errors: dict[str, int] = one_session({}, lambda moment: dict(moment.counters.errors))
    finish_reasons: dict[str, int] = all_sessions(
        {}, lambda moment: dict(moment.counters.finish_reasons), lambda run: dict(run.found.finish_reasons)
    )
    eta_s: float | None = one_session(
        None,
        lambda moment: moment.eta_s,
        at_end=lambda _: None,
        folded=lambda run: run.live.get("eta_s"),
        is_kept=False,
    )


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunTarget:
    """Who answers. `servers` are the addresses of several servers of the model: not in JSON where it has one."""

    model: str | None = given(None)
    endpoint: str | None = given(None)
    base_url: str | None = given(None)
    servers: tuple[str, ...] = given((), is_optional=True)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class RunEnd:
    """What it still waits for, why it stopped, and what comes next.

    `stragglers` are the rows that are out for the longest, once nothing new is sent. A parked run can go on by itself
    at `wake_at` (ISO 8601, UTC), in `wake_in_s` seconds, where that is known; one that is running and has it sleeps
    until then. `next` is the command that a person wants next. `park_reason` is the reason for code, where it is known;
    of a run that was read from its folder, only that its budget is used up.
    """

    stragglers: tuple[Straggler, ...] = one_session(
        (),
        lambda moment: moment.counters.stragglers,
        at_end=lambda _: (),
        folded=lambda run: tuple(Straggler(**each) for each in run.live.get("stragglers", ())),
        is_published=False,  # not with the others: the lock's page takes as many as it has room for
        is_kept=False,
    )
    reason: str | None = given(None)
    fix: str | None = given(None)
    wake_at: str | None = given(None)
    wake_in_s: float | None = given(None)
    next: str | None = given(None)
    park_reason: ParkReason | None = given(None, is_shown=False)
