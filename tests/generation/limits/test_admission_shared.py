"""Admissions that share a ledger: together they send what one would, and one's refusal is everybody's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.limits import Limits, Reading
from herogen_async.generation.limits import Admission, Charge, LedgerBusy, Ticket, Used, Wait
from support.virtual_runs import SizeIsTokens

SLACK = 1e-6


class MemoryLedger:
    """What all share, in one process. While `busy` somebody else holds it."""

    def __init__(self) -> None:
        self.kept: tuple[float, tuple[float, ...]] | None = None
        self.busy = False
        self.held = False

    def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
        if self.busy:
            raise LedgerBusy
        assert not self.held
        self.held = True
        return None if self.kept is None else (max(now - self.kept[0], 0.0), self.kept[1])

    def release(self, values: tuple[float, ...] | None, now: float) -> None:
        assert self.held
        self.held = False
        if values is not None:
            self.kept = now, values


def sharing(ledger: MemoryLedger, count: int = 2, now: float = 0.0, **limits: float) -> list[Admission]:
    return [Admission(now, Limits(**limits), estimate=SizeIsTokens(), ledger=ledger) for _ in range(count)]


def reserved(admission: Admission, size: int, now: float) -> Ticket:
    granted = admission.reserve(size, now)
    assert isinstance(granted, Ticket)
    return granted


def waits(admission: Admission, size: int, now: float) -> Wait:
    granted = admission.reserve(size, now)
    assert isinstance(granted, Wait)
    return granted


turns = st.lists(
    st.tuples(
        st.integers(0, 2), st.floats(0, 2) | st.just(0.0) | st.just(3600.0), st.integers(0, 30), st.integers(1, 20)
    ),
    min_size=3,
    max_size=30,
)


@settings(max_examples=60)
@given(st.sampled_from([60.0, 600.0, 6000.0]), st.sampled_from([600.0, 6000.0]), turns)
def test_all_who_share_send_together_what_one_would_in_any_window(
    rpm: float, tpm: float, turns: list[tuple[int, float, int, int]]
) -> None:
    """I1, over three processes."""
    admissions = sharing(MemoryLedger(), 3, rpm=rpm, tpm=tpm)
    now = 0.0
    sent: list[tuple[float, float]] = []
    for who, pause_s, size, times in turns:
        now += pause_s
        for _ in range(times):
            if isinstance(admissions[who].reserve(size, now), Ticket):
                sent.append((now, float(size)))
    for kind, limit in enumerate((rpm, tpm)):
        largest = max([size for _, _, size, _ in turns]) if kind else 0
        burst = max(1.0, limit / 60 * 0.25, min(2.0 * largest, limit / 60))
        for first, (start_s, _) in enumerate(sent):
            taken = 0.0
            for at_s, tokens in sent[first:]:
                need = tokens if kind else 1.0
                taken += need
                most = burst + limit / 60 * (at_s - start_s) + max(need - burst, 0.0)
                assert taken <= most + SLACK * max(taken, burst)


@settings(max_examples=30)
@given(turns)
def test_what_all_have_reserved_is_in_the_ledger_less_what_came_back(turns: list[tuple[int, float, int, int]]) -> None:
    """I2, over three processes."""
    ledger = MemoryLedger()
    admissions = sharing(ledger, 3, rpm=6000, tpm=60_000)
    now, requests, tokens = 0.0, 0, 0
    for who, pause_s, size, times in turns:
        now += pause_s
        for number in range(times):
            granted = admissions[who].reserve(size, now)
            if isinstance(granted, Ticket) and number % 3 == 0:
                admissions[who].settle(granted, Charge.NOT_CHARGED, now)
            elif isinstance(granted, Ticket):
                requests, tokens = requests + 1, tokens + size
        assert not ledger.held
    assert ledger.kept is not None
    assert pytest.approx((requests, tokens)) == ledger.kept[1][1:3]


def test_two_runs_that_share_reach_the_rate_together() -> None:
    """Two runs on one ledger together send the shared rate of 600 in a minute, not twice that."""
    admissions = sharing(MemoryLedger(), rpm=600)
    now, sent = 0.0, [0, 0]
    while now < 60:
        shortest_s = math.inf
        for who, admission in enumerate(admissions):
            granted = admission.reserve(0, now)
            if isinstance(granted, Ticket):
                sent[who] += 1
            else:
                shortest_s = min(shortest_s, granted.wait_s)
        now += shortest_s if math.isfinite(shortest_s) else 0.0
    assert 598 <= sum(sent) <= 603


def test_the_gate_of_one_holds_for_the_other_and_no_longer_than_it_says() -> None:
    """I4, over two processes."""
    one, other = sharing(MemoryLedger(), rpm=6000)
    ticket = reserved(one, 0, 0.0)
    one.refused(ticket, 1.0, wait_s=5.0, asked_s=5.0)
    one.settle(ticket, Charge.NOT_CHARGED, 1.0)
    wait_s, why = waits(other, 0, 2.0)
    assert "gate" == why
    assert pytest.approx(4.0) == wait_s
    assert "gate" == waits(other, 0, 5.99).why
    reserved(other, 0, 6.01)


@pytest.mark.parametrize("gate_s", [1e9, math.inf])
def test_a_shared_gate_closes_for_a_minute_at_most(gate_s: float) -> None:
    """An absurd gate time left in the ledger by another run costs at most 60 s."""
    ledger = MemoryLedger()
    one, other = sharing(ledger, rpm=6000)
    reserved(one, 0, 0.0)
    assert ledger.kept is not None
    ledger.kept = 0.0, (gate_s, *ledger.kept[1][1:])
    assert 60.0 >= waits(other, 0, 1.0).wait_s


def test_what_was_not_to_be_saved_up_inside_a_gate_is_saved_up_by_nobody() -> None:
    """Who counts by the second has nothing saved up when its gate opens, for whoever goes first."""
    one, other = sharing(MemoryLedger(), rpm=60_000)
    ticket = reserved(one, 0, 0.0)
    one.refused(ticket, 0.2, wait_s=0.7, asked_s=0.7)
    one.settle(ticket, Charge.ANSWERED, 0.2)
    went = 0
    while isinstance(other.reserve(0, 0.9), Ticket) or isinstance(one.reserve(0, 0.9), Ticket):
        went += 1
    assert went <= 16  # of a burst of 250; the other still uses all of the rate, where `one` leaves a fiftieth


def test_tokens_returned_by_one_run_are_free_for_the_other() -> None:
    """Tokens that one run gives back are available to the other at once."""
    one, other = sharing(MemoryLedger(), rpm=60_000, tpm=6000)
    ticket = reserved(one, 12, 0.0)
    assert "tokens" == waits(other, 20, 0.01).why
    one.settle(ticket, Charge.ANSWERED, 0.02, used=Used(2, 0))
    reserved(other, 20, 0.03)


def test_what_headers_told_one_that_is_left_holds_for_the_other() -> None:
    """I5, over two processes."""
    one, other = sharing(MemoryLedger(), tpm=60_000)
    reserved(other, 1, 0.0)
    ticket = reserved(one, 1, 0.01)
    one.settle(ticket, Charge.ANSWERED, 0.02, readings=[Reading("tokens", 60_000, 0.0)])
    assert "tokens" == waits(other, 200, 0.03).why


def test_a_busy_ledger_is_waited_for_a_second_and_then_left() -> None:
    """A ledger that is busy is waited for in short steps, and after a second the process goes on alone.

    Its holder was stopped in the middle.
    """
    ledger = MemoryLedger()
    one, _ = sharing(ledger, rpm=6000)
    ledger.busy = True
    for now in (0.0, 0.5, 0.99):
        assert (0.01, "ledger") == waits(one, 0, now)
    ticket = reserved(one, 0, 1.0)
    one.settle(ticket, Charge.ANSWERED, 1.5)
    ledger.busy = False
    reserved(one, 0, 2.0)
    ledger.busy = True
    assert "ledger" == waits(one, 0, 3.0).why  # its patience begins anew


def test_a_refusal_with_a_busy_ledger_closes_its_own_gate() -> None:
    """A refusal while the ledger is busy closes the process's own gate at once and the others' soon after."""
    ledger = MemoryLedger()
    one, other = sharing(ledger, rpm=6000)
    ticket = reserved(one, 0, 0.0)
    ledger.busy = True
    one.refused(ticket, 1.0, wait_s=5.0, asked_s=5.0)
    assert "gate" == waits(one, 0, 1.5).why
    ledger.busy = False
    one.settle(ticket, Charge.NOT_CHARGED, 2.0)
    assert "gate" == waits(other, 0, 2.5).why


@pytest.mark.parametrize("values", [(), (0.0,), (0.0,) * 3, (0.0,) * 15, (0.0,) * 17, (0.0,) * 64])
def test_a_record_of_the_wrong_length_is_ignored(values: tuple[float, ...]) -> None:
    """A ledger record with any other number of values than 16 is ignored and replaced."""
    ledger = MemoryLedger()
    ledger.kept = 0.0, values
    one, other = sharing(ledger, rpm=6000, tpm=6000)
    reserved(one, 1, 1.0)
    assert not ledger.held
    assert ledger.kept is not None
    assert 16 == len(ledger.kept[1])
    reserved(other, 1, 1.5)


def test_who_waits_for_what_another_owes_looks_again_soon() -> None:
    """A debt of a minute by the larger limit is hours by the smaller one, and is paid back by the other meanwhile."""
    ledger = MemoryLedger()
    (large,), (small,) = sharing(ledger, 1, tpm=6_000_000), sharing(ledger, 1, tpm=600)
    assert 0 < waits(large, 3_000_000, 0.0).wait_s < 1
    ticket = reserved(large, 3_000_000, 1.0)
    assert (1.0, "tokens") == waits(small, 2, 1.1)
    large.settle(ticket, Charge.ANSWERED, 1.5, used=Used(0, 0))
    reserved(small, 2, 2.1)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf])
def test_invalid_numbers_in_a_ledger_stop_no_run(nonsense: float) -> None:
    """NaN or infinity in the ledger stops no run, and finite values are written back."""
    ledger = MemoryLedger()
    ledger.kept = 0.0, (nonsense,) * 16
    (one,) = sharing(ledger, 1, rpm=6000, tpm=6000)
    for number in range(5):
        ticket = reserved(one, 1, 1.0 + number)
        one.settle(ticket, Charge.ANSWERED, 1.5 + number, readings=[Reading("tokens", 6000, 3000)])
        assert ledger.kept is not None
        assert all(math.isfinite(value) for value in ledger.kept[1][:5])


def test_a_limit_of_one_run_does_not_bind_another() -> None:
    """A token limit that only one run has doesn't hold up another on the same ledger."""
    ledger = MemoryLedger()
    (limited,), (free,) = sharing(ledger, 1, rpm=60), sharing(ledger, 1, rpm=60, tpm=60)
    reserved(free, 60, 0.0)
    reserved(limited, 60, 2.0)


def test_a_ledger_is_released_after_every_operation() -> None:
    """Reserving, waiting, refusing and settling all leave the ledger's lock free."""
    ledger = MemoryLedger()
    one, _ = sharing(ledger, rpm=60, tpm=60)
    ticket = reserved(one, 1, 0.0)
    waits(one, 1, 0.0)
    assert not ledger.held
    one.refused(ticket, 0.0, wait_s=1.0)
    assert not ledger.held
    one.settle(ticket, Charge.NOT_CHARGED, 0.0)
    assert not ledger.held
    waits(one, 1, 0.5)
    assert not ledger.held


class FailingLedger:
    """A ledger on a disk that fails, from the first `acquire` or the first `release` on."""

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
        if self._fails == "acquire":
            raise OSError(5, "Input/output error")
        return None

    def release(self, values: tuple[float, ...] | None, now: float) -> None:
        if self._fails == "release":
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fails", ["acquire", "release"])
def test_a_failing_ledger_ends_sharing_but_not_the_run(fails: str) -> None:
    """When the ledger's disk fails, the run keeps to its own limits and goes on."""
    admission = Admission(0.0, Limits(rpm=600), ledger=FailingLedger(fails))
    first, second = admission.reserve(0, 0.0), admission.reserve(0, 0.0)
    for number in range(1, 30):
        admission.reserve(0, number / 10)
    assert isinstance(first, Ticket)
    assert isinstance(second, Wait)
    assert admission.outstanding >= 29


@pytest.mark.parametrize("what", ["acquire", "release"])
def test_a_run_without_its_ledger_continues_alone(what: str) -> None:
    """A run that can't read or write the ledger still paces itself by its own limit."""

    class Broken(MemoryLedger):
        def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
            if what == "acquire":
                raise OSError(5, "Input/output error")
            return super().acquire(now)

        def release(self, values: tuple[float, ...] | None, now: float) -> None:
            super().release(values, now)
            raise OSError(28, "No space left on device")

    (admission,) = sharing(Broken(), 1, rpm=60)
    reserved(admission, 0, 0.0)
    assert "requests" == waits(admission, 0, 0.0).why
    reserved(admission, 0, 1.0)
