"""The lanes of a run that asks several models or servers: how near each comes to its own limits. Pure."""

from __future__ import annotations

from typing import Any

from herogen_async.generation.report.figure import SessionMoment
from herogen_async.generation.report.rates import binding_of, permitted_pct, shares_of


def lanes_now(moment: SessionMoment) -> dict[str, dict[str, Any]]:
    """Of each lane, by its columns, whom it asks and how; empty where there is one. Counts are of this session."""
    found = {}
    for number, (name, each) in enumerate(_told(moment).items()):
        counters, own = moment.counters.lanes[name], f"{number} "
        before = {key.removeprefix(own): pair for key, pair in moment.accounts_before.items() if key.startswith(own)}
        found[name] = {
            **each,
            "in_flight": counters.in_flight,
            "permitted_pct": permitted_pct(counters.accounts, before),
            "binding": counters.binds_now,
        }
    return found


def lanes_at_end(moment: SessionMoment) -> dict[str, dict[str, Any]]:
    """The same over the whole session, once it has ended."""
    return _told(moment)


def _told(moment: SessionMoment) -> dict[str, dict[str, Any]]:
    found = {}
    for name, counters in moment.counters.lanes.items():
        head = moment.lanes[name]
        found[name] = {
            "model": head.model,
            "base_url": head.base_url,
            "columns": list(head.columns),
            "in_flight": 0,
            "concurrency": counters.concurrency,
            "requests": counters.attempts,
            "refused": counters.errors.get("rate_limit", 0),
            "limits": dict(counters.limits),
            "permitted_pct": permitted_pct(counters.accounts),
            "binding": "parked" if counters.parked else binding_of(counters.binding),
            "binding_shares": shares_of(counters.binding),
            "errors": dict(counters.errors),
            "reason": counters.parked,
            "state": "running" if not counters.parked else "down" if head.is_one_of_several else "parked",
        }
    return found
