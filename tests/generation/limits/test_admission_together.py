"""The calls of a turn are admitted and settled in one step as they would be one by one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from herogen_async.core.limits import Limits, Reading
from herogen_async.generation.limits import Admission, Budget, Charge, Rates, Ticket, TokenEstimate, Used
from herogen_async.generation.limits.adaptive import AdaptiveConcurrency


@dataclass(frozen=True)
class ACall:
    size: int
    answer: int | None


def an_admission(random: Random) -> Admission:
    """Of whatever is limited: requests, tokens, money, all or nothing."""
    given: dict[str, Any] = {}
    if random.random() < 0.5:
        given["rpm"] = random.choice((60, 6_000, 600_000, 60_000_000))
    if random.random() < 0.5:
        given["tpm"] = random.choice((600, 60_000, 60_000_000))
    budget = None
    if random.random() < 0.5:
        limit_usd = random.choice((None, 0.0005, 0.01, 100.0))
        budget = Budget(Rates(1.0, 2.0), answer_tokens=50, limit_usd=limit_usd)
    return Admission(
        0.0,
        Limits(**given),
        estimate=TokenEstimate(random.choice((None, 50))),
        ramp=random.random() < 0.5,
        window_s=random.choice((None, None, 1.0)),
        budget=budget,
    )


def state(admission: Admission, now: float) -> list[Any]:
    """All that decides what is granted next."""
    for entry in admission.table.buckets:  # whoever has looked has done so
        entry.bucket.refill(now)
    budget = admission.budget
    money = [] if budget is None else [budget._purse.in_flight, budget._purse.rows, budget._purse.lost]
    levels = [(entry.limit, f"{entry.bucket.level_at(now):.6g}") for entry in admission.table.buckets]
    return [
        admission.outstanding,
        admission.in_flight_limit,
        f"{admission.tokens.prompt(100):.6g}",
        levels,
        money,
        [f"{amount:.6g}" for amount in admission.table._reserved],
    ]


def shown(ticket: Ticket) -> tuple[Any, ...]:
    return ticket.size, ticket.prompt, ticket.answer, ticket.at, ticket.worst, ticket.most


@pytest.mark.parametrize("part", range(8))
def test_what_is_granted_and_given_back_is_what_it_is_one_by_one(part: int) -> None:
    """Over random limits, budgets, calls, answers and readings: the same tickets, levels, money and counts."""
    for seed in range(150):
        random = Random(part * 1_000 + seed)
        together, single = an_admission(Random(seed + part)), an_admission(Random(seed + part))
        now, out = 0.0, list[tuple[Ticket, Ticket]]()
        for _ in range(30):
            now += random.choice((0.0, 0.001, 0.1, 2.0))
            if random.random() < 0.5:
                calls = [ACall(random.choice((1, 40, 400, 4_000)), random.choice((None, 10, 50))) for _ in range(9)]
                calls = calls[: random.randrange(1, 10)]
                mine = together.reserve_together(calls, now)
                others: list[Ticket] = []
                for call in calls:
                    granted = single.reserve(call.size, now, call.answer)
                    if not isinstance(granted, Ticket):
                        break
                    others.append(granted)
                assert list(map(shown, mine)) == list(map(shown, others)), seed
                out += zip(mine, others, strict=True)
            else:
                ended = [out.pop(random.randrange(len(out))) for _ in range(random.randrange(len(out) + 1))]
                usages = [random.choice((None, Used(10, 20), Used(0, 5), Used(90, 0, 30))) for _ in ended]
                said: list[tuple[Reading, ...]] = [()] * len(ended)
                if ended and random.random() < 0.3:
                    said[-1] = (Reading("requests", 1_000.0, 900.0, 6.0, None),)
                together.settle_together([mine for mine, _ in ended], usages, said, now)
                for (_, other), used, readings in zip(ended, usages, said, strict=True):
                    single.settle(other, Charge.ANSWERED, now, used=used, readings=readings)
            assert state(single, now) == state(together, now), seed


def test_what_is_not_limited_is_settled_at_a_glance() -> None:
    """Where nothing depends on what a call used the tokens of prompts are all that is learnt; elsewhere nothing is
    settled so.
    """
    free, limited = Admission(0.0), Admission(0.0, Limits(rpm=60_000))
    tickets = free.reserve_together([ACall(100, None)] * 3, 0.0)
    assert [(1.0, 0.0, 0.0), (2.0, 0.0, 0.0), (3.0, 0.0, 0.0)] == [ticket.sent for ticket in tickets]
    assert free.settle_plainly(tickets, [50, None, -1])
    assert 0 == free.outstanding
    single = TokenEstimate(None)
    single.observed(100, 50)
    assert pytest.approx(single.prompt(100)) == free.tokens.prompt(100)
    with pytest.raises(RuntimeError, match="settled once"):
        free.settle_plainly(tickets, [50, None, None])
    assert limited.settle_plainly(limited.reserve_together([ACall(1, None)], 1.0), [1])
    assert 0 == limited.outstanding
    for counts_use in (
        Admission(0.0, Limits(tpm=60_000)),
        Admission(0.0, budget=Budget(Rates(1.0, 1.0), answer_tokens=10)),
        Admission(0.0, adaptive=AdaptiveConcurrency(initial=10)),
    ):
        assert not counts_use.settle_plainly(counts_use.reserve_together([ACall(1, None)], 1.0), [1])
        assert 1 == counts_use.outstanding
