"""The till: what all workers spend together never passes the run's limits, whoever dies."""

from __future__ import annotations

from random import Random

import pytest

from herogen_async.core.clock import run_virtual
from herogen_async.core.limits import Limits, Reading
from herogen_async.generation.cluster.messages import LaneOrders
from herogen_async.generation.cluster.till import Till
from herogen_async.generation.limits import (
    BlockAdmission,
    Budget,
    CallsWanted,
    Charge,
    GrantedAdmission,
    Rates,
    Ticket,
    Told,
    Used,
)
from herogen_async.generation.limits.blocks import VALID_S
from support.cluster_rig import Cluster
from support.runs import small_spec

EVERY_S = 0.05


def exchanged(till: Till, worker: int, told: Told, want: CallsWanted, now: float) -> LaneOrders:
    """What `worker` is granted when it tells that, and wants that."""
    till.take_in(worker, told, now)
    return till.grant(worker, want, now)


class Spender:
    """A worker that sends as much as it may, and gets each answer at once."""

    def __init__(self, till: Till, number: int, budget: Budget | None = None, prompt: int = 100) -> None:
        self.admission = GrantedAdmission(0.0, budget=budget)
        self.sent: list[float] = []
        self._till = till
        self._number = number
        self._prompt = prompt
        till.open(number)
        self.admission.terms = till.orders(number, 0.0).terms

    def exchange(self, now: float) -> None:
        told, want = self.admission.tell(now, 64)
        orders = exchanged(self._till, self._number, told, want, now)
        self.admission.take(orders.grant, orders.terms, now)

    def spend(self, now: float, most: int = 64) -> int:
        """Send what may be sent now, `most` calls at most; how many that were."""
        for sent in range(most):
            granted = self.admission.reserve(self._prompt, now)
            if not isinstance(granted, Ticket):
                return sent
            self.sent.append(now)
            self.admission.settle(granted, Charge.ANSWERED, now, used=Used(25, 10))
        return most


def run_for(
    seconds: float, spenders: list[Spender], *, kills: float = 0.0, random: Random | None = None
) -> list[float]:
    """When requests were sent, by workers that exchange one after the other; `kills` of them a second are lost."""
    now, random = 0.0, random or Random(1)
    sent: list[float] = []
    number = len(spenders)
    till = spenders[0]._till
    while now < seconds:
        for place, each in enumerate(spenders):
            now += EVERY_S / len(spenders)
            each.exchange(now)
            if random.random() < kills * EVERY_S:
                sent += each.sent
                till.lose(each._number)
                number += 1
                spenders[place] = Spender(till, number)
                continue
            each.spend(now)
    return sorted(sent + [at_s for each in spenders for at_s in each.sent])


@pytest.mark.parametrize("rpm", [60, 6_000, 60_000])
@pytest.mark.parametrize("workers", [4, 16])
def test_s4_workers_together_reach_a_limit_and_never_pass_it(workers: int, rpm: int) -> None:
    """Together they use at least 98 % of a limit, and no second gets more than a bucket's quarter beyond its share."""
    till = Till(BlockAdmission(0.0, Limits(rpm=rpm)), 64 * workers)
    seconds = 60.0 if rpm < 10_000 else 10.0
    sent = run_for(seconds, [Spender(till, number) for number in range(1, workers + 1)])
    assert 0.98 * rpm * seconds / 60 <= len(sent) <= rpm * (seconds + 0.25) / 60 + 1
    for first in range(0, len(sent), max(len(sent) // 50, 1)):
        within = sum(sent[first] <= at_s < sent[first] + 1.0 for at_s in sent[first:])
        assert within <= rpm / 60 * 1.25 + 1


def test_s4_a_limit_holds_through_deaths() -> None:
    """With a worker killed every second the limit is never passed, and nine tenths of it are used."""
    till = Till(BlockAdmission(0.0, Limits(rpm=6_000)), 256)
    sent = run_for(30.0, [Spender(till, number) for number in range(1, 5)], kills=0.25)
    assert 0.9 * 3_000 <= len(sent) <= 100 * 30.25 + 1


def test_tokens_are_granted_and_what_was_not_used_comes_back() -> None:
    """Under a limit of tokens workers send what answers really use, not what was reserved for them."""
    till = Till(BlockAdmission(0.0, Limits(tpm=60_000)), 64)
    spenders = [Spender(till, number) for number in (1, 2)]
    sent = run_for(60.0, spenders)
    assert 0.9 <= len(sent) * 35 / 60_000 <= 1.01


def test_a_block_lapses_and_goes_back() -> None:
    """What was granted and not spent within a second can't be spent later, and comes back with the next frame."""
    admission = BlockAdmission(0.0, Limits(rpm=6_000))
    till = Till(admission, 64)
    one = Spender(till, 1)
    one.spend(0.0)
    one.exchange(1.0)
    held = one.admission.left.requests
    assert held > 0
    assert 0 == one.spend(1.0 + VALID_S)
    bucket = admission.table.find("requests")
    assert bucket is not None
    before = bucket.granted
    told, want = one.admission.tell(3.0, 64, gives_back=True)
    exchanged(till, 1, told, want, 3.0)
    assert before - held == bucket.granted


def test_a_budget_is_never_passed_and_a_dead_workers_block_counts_as_spent() -> None:
    """Money that a lost worker held is spent; what one gives back can be granted to the others."""
    rates = Rates(1.0, 1.0)
    budget = Budget(rates, answer_tokens=10, limit_usd=0.02)
    till = Till(BlockAdmission(0.0, budget=budget), 64)
    spenders = [Spender(till, number, Budget(rates, answer_tokens=10)) for number in (1, 2)]
    for each in spenders:
        each.spend(0.0)  # they learn what they lack
        each.exchange(0.0)
    first, second = spenders
    held = first.admission.left.pico
    assert held > 0
    spent = budget.spent_usd
    till.lose(1)
    assert spent + held / 10**12 == pytest.approx(budget.spent_usd)
    told, want = second.admission.tell(0.1, 64, gives_back=True)
    exchanged(till, 2, told, want, 0.1)
    till.close(2)
    assert spent + held / 10**12 == pytest.approx(budget.spent_usd)
    assert not budget.is_reserved


def test_what_is_in_the_rows_is_not_remembered_beside_them() -> None:
    """When a run by workers has ended, all that its answers cost is in its rows: no later session counts it twice."""
    spec = small_spec(values=40, repeats=2)
    cluster = Cluster(Random(1), spec, budget_usd=1e9, longest_s=0.05)

    async def whole_run() -> None:
        await cluster.start_home()
        assert cluster.home is not None
        assert cluster.plan.rows == cluster.home.counters.done == len(cluster.disk)
        await cluster.end()

    run_virtual(whole_run())
    assert 0 == cluster.page


def test_a_refusal_closes_the_gate_for_all() -> None:
    """What one worker is told by a 429 holds the others with their next frame."""
    till = Till(BlockAdmission(0.0), 64)
    one, other = Spender(till, 1), Spender(till, 2)
    for each in (one, other):
        each.spend(0.0)
        each.exchange(0.0)
        assert each.admission.terms.is_free
    ticket = one.admission.reserve(100, 0.1)
    assert isinstance(ticket, Ticket)
    news: list[str] = []
    one.admission.on_news = lambda: news.append("home should know at once")
    one.admission.refused(ticket, 0.2, wait_s=5.0)
    one.admission.settle(ticket, Charge.NOT_CHARGED, 0.2)
    assert news
    one.exchange(0.2)
    other.exchange(0.25)
    assert 0 == other.spend(0.3)
    assert 5.2 == pytest.approx(other.admission.gate_until)
    assert 5.2 == pytest.approx(till.admission.gate_until)


def test_a_limit_that_a_server_tells_one_worker_holds_for_all() -> None:
    """From the headers of one answer on, all workers spend blocks of the limit that they tell."""
    till = Till(BlockAdmission(0.0), 64)
    one, other = Spender(till, 1), Spender(till, 2)
    for each in (one, other):
        each.spend(0.0)
        each.exchange(0.0)
    ticket = one.admission.reserve(100, 0.1)
    assert isinstance(ticket, Ticket)
    reading = Reading("requests", limit=600, remaining=500, reset_s=10.0)
    one.admission.settle_together([ticket], [None], [(reading,)], 0.2)
    one.exchange(0.2)
    other.exchange(0.25)
    assert not other.admission.terms.is_free
    assert {"requests_per_minute": 600.0} == till.admission.table.limits()


def test_few_calls_go_at_first_where_no_limit_is_known() -> None:
    """A server that nobody knows gets 16 calls in flight, one more for each answer, up to the concurrency."""
    till = Till(BlockAdmission(0.0), 100)
    for worker in (1, 2):
        till.open(worker)
    assert [8, 8] == [till.share(worker) for worker in (1, 2)]
    till.take_in(1, Told(answered=200), 0.0)
    assert [50, 50] == [till.share(worker) for worker in (1, 2)]


def test_the_concurrency_is_shared_to_the_last_call() -> None:
    """10 calls over 4 workers are 3, 3, 2 and 2, and those of a lost one go to the others."""
    till = Till(BlockAdmission(0.0, Limits(rpm=60)), 10)
    for worker in range(1, 5):
        till.open(worker)
    assert [3, 3, 2, 2] == [till.share(worker) for worker in range(1, 5)]
    till.lose(1)
    assert [4, 3, 3] == [till.share(worker) for worker in range(2, 5)]


def test_what_was_lacking_while_a_block_was_on_its_way_is_no_reason_to_give_it_back() -> None:
    """A worker keeps of a block what it may soon send, also if a call had to wait until the block came."""
    till = Till(BlockAdmission(0.0, Limits(rpm=6_000)), 64)
    one = Spender(till, 1)
    assert 0 == one.spend(0.0)
    told, want = one.admission.tell(0.5, 64)
    assert 0 == one.spend(0.5)  # the frame is on its way
    orders = exchanged(till, 1, told, want, 0.5)
    assert orders.grant.requests > 3
    one.admission.take(orders.grant, orders.terms, 0.5)
    assert 1 == one.spend(0.5, most=1)
    told, _ = one.admission.tell(0.55, 64)
    assert 2 == one.admission.left.requests
    assert orders.grant.requests - 3 == told.back.requests


def test_what_tokens_were_used_is_told_of_each_call() -> None:
    """Where tokens are granted no call is settled without saying what it used; where they are not, it is."""
    for limits, is_settled in ((Limits(tpm=60_000), False), (Limits(rpm=6_000), True)):
        till = Till(BlockAdmission(0.0, limits), 64)
        one = Spender(till, 1)
        one.spend(0.0)
        one.exchange(1.0)
        ticket = one.admission.reserve(100, 1.0)
        assert isinstance(ticket, Ticket)
        assert is_settled == one.admission.settle_plainly([ticket], [25])
