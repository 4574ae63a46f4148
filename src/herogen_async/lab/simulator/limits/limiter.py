"""All limits of a policy, taken together or not at all. Pure: functions of (state, now)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading
from herogen_async.lab.simulator.limits.dialect import ROUNDING, resets_a_s, rounded_up
from herogen_async.lab.simulator.limits.meters import FixedWindow, Meter, SlidingWindow, TokenBucket
from herogen_async.lab.simulator.policy import Policy

_SECOND_S = 1.0


class LimitDecision(NamedTuple):
    """What the limiter says to one request.

    `wait_s` is how long until this very request would be admitted if no other came: 0 when it is, inf when it is
    larger than the limit of a whole minute. `refused_by` names the limit (`requests`, `tokens`, `input_tokens`,
    `output_tokens`, `requests_per_day`) that is longest in the way, `limit` is its number, `need` what was asked of it.
    `readings` is the state right after this request, as exact as the policy's headers are.
    `taken` belongs to the limiter. (A tuple: it costs a fifth of a frozen dataclass, and each request has one.)
    """

    accepted: bool
    wait_s: float = 0.0
    refused_by: str | None = None
    limit: float = 0.0
    need: float = 0.0
    readings: tuple[Reading, ...] = ()
    taken: tuple[tuple[float, object], ...] = ()


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit as published, and the meter that enforces it. `unit` is its place among a request's needs."""

    name: str
    resource: str
    published: float
    unit: int
    meter: Meter


_KINDS = (
    ("requests", "rpm", 0),
    ("tokens", "tpm", 1),
    ("input_tokens", "input_tpm", 2),
    ("output_tokens", "output_tpm", 3),
)


class Limiter:
    """Admits what a policy permits, and tells how it stands."""

    def __init__(self, policy: Policy) -> None:
        self._limits: list[_Limit] = []
        for resource, name, unit in _KINDS:
            if (published := getattr(policy, name)) is not None:
                meter = _meter(policy, published, MINUTE_S, counts=unit == 0)
                self._limits.append(_Limit(resource, resource, published, unit, meter))
        if policy.rpd is not None:
            meter = _meter(policy, policy.rpd, DAY_S, counts=True)
            self._limits.append(_Limit("requests_per_day", "requests", policy.rpd, 0, meter))
        self._tells = policy.headers not in ("none", "silent")
        self._resets_a_s = resets_a_s(policy.headers)
        self._refunds = policy.charge == "used"

    def arrive(
        self, now: float, *, tokens: float = 0.0, input_tokens: float = 0.0, output_tokens: float = 0.0
    ) -> LimitDecision:
        """Admit a request of that many tokens and charge it, or refuse it."""
        needs = (1.0, tokens, input_tokens, output_tokens)
        longest_s, blocked = 0.0, None
        for limit in self._limits:
            need = needs[limit.unit]
            wait_s = math.inf if need > limit.published >= 1 else limit.meter.wait_s(now, need)
            if wait_s > longest_s:
                longest_s, blocked = wait_s, limit
        if blocked is not None:
            return self._refuse(now, blocked, longest_s, needs[blocked.unit])
        taken = tuple([(needs[limit.unit], limit.meter.take(now, needs[limit.unit])) for limit in self._limits])
        return LimitDecision(True, readings=self.readings(now), taken=taken)

    def settle(
        self,
        now: float,
        verdict: LimitDecision,
        *,
        tokens: float = 0.0,
        input_tokens: float = 0.0,
        output_tokens: float = 0.0,
    ) -> None:
        """The admitted request was answered, and used that many tokens; once a request."""
        if not self._refunds:
            return
        used = (1.0, tokens, input_tokens, output_tokens)
        for limit, (need, taken) in zip(self._limits, verdict.taken, strict=True):
            if need > used[limit.unit]:
                limit.meter.give_back(now, taken, need - used[limit.unit])

    def readings(self, now: float) -> tuple[Reading, ...]:
        """How each resource stands, where the policy tells it. Of two limits on one, the one that has less left."""
        if not self._tells:
            return ()
        found: dict[str, Reading] = {}
        for limit in self._limits:
            left, reset_s = limit.meter.left(now)
            remaining = math.floor(left + ROUNDING)
            known = found.get(limit.resource)
            if known is None or remaining < (known.remaining or 0):
                reset_s = rounded_up(reset_s, self._resets_a_s)
                found[limit.resource] = Reading(limit.resource, limit.published, remaining, reset_s)
        return tuple(found.values())

    def _refuse(self, now: float, blocked: _Limit, wait_s: float, need: float) -> LimitDecision:
        for limit in self._limits:
            limit.meter.refuse(now)
        return LimitDecision(False, wait_s, blocked.name, blocked.published, need, self.readings(now))


def _meter(policy: Policy, limit: float, period_s: float, *, counts: bool) -> Meter:
    """The meter for `limit` units in `period_s`; `counts`: a refused request may be one of its units."""
    if policy.enforce.endswith("-second") and period_s == MINUTE_S:
        limit, period_s = limit * _SECOND_S / MINUTE_S, _SECOND_S
    if policy.enforce.startswith("bucket"):
        return TokenBucket(limit, period_s, policy.saved)
    refused_count = counts and policy.refused_count
    if policy.enforce.startswith("window"):
        return FixedWindow(limit, period_s, refused_count)
    if limit < 1:  # half a request in any minute is one in any two
        limit, period_s = 1.0, period_s / limit
    return SlidingWindow(limit, period_s, refused_count)
