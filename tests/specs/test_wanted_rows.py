"""Which rows are the first accepted ones of a plan's order, whatever order they end in."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows

OUTCOMES = st.lists(st.sampled_from(RowOutcome), min_size=1, max_size=60)


def added(outcomes: list[RowOutcome], order: Iterable[int], wanted: int) -> WantedRows:
    rows = WantedRows(wanted, len(outcomes))
    for number in order:
        rows.add(number, outcomes[number])
    return rows


@given(OUTCOMES, st.integers(1, 10), st.randoms(use_true_random=False))
def test_the_first_accepted_rows_are_taken_in_any_order(
    outcomes: list[RowOutcome], wanted: int, chance: random.Random
) -> None:
    """As a reader of the whole list would choose them."""
    order = list(range(len(outcomes)))
    chance.shuffle(order)
    rows = added(outcomes, order, wanted)
    accepted = [number for number, outcome in enumerate(outcomes) if outcome is RowOutcome.ACCEPTED]
    assert min(wanted, len(accepted)) == rows.accepted
    assert (accepted[wanted - 1] if len(accepted) >= wanted else None) == rows.last
    assert (len(accepted) >= wanted) == rows.is_met
    assert (len(accepted) < wanted) == rows.is_used_up
    assert sum(rows.outcomes.values()) == rows.ended == len(outcomes)


@given(OUTCOMES, st.integers(1, 5), st.data())
def test_enough_means_that_no_row_can_change_the_choice(
    outcomes: list[RowOutcome], wanted: int, data: st.DataObject
) -> None:
    """With some rows missing, `is_met` holds if and only if all outcomes of these leave the same last row."""
    there = sorted(data.draw(st.sets(st.integers(0, len(outcomes) - 1))))
    rows = added(outcomes, there, wanted)
    best, worst = (
        added(
            [outcomes[number] if number in there else other for number in range(len(outcomes))],
            range(len(outcomes)),
            wanted,
        )
        for other in (RowOutcome.ACCEPTED, RowOutcome.FAILED)
    )
    assert rows.is_met == (best.last is not None and best.last == worst.last)
    if worst.last is not None:
        assert all(rows.needs(number) for number in range(len(outcomes)) if number not in there and number < worst.last)


def test_what_is_paid_beyond_the_most_that_is_asked_counts() -> None:
    """With a lower `at_most`, or in another order: rows are taken from there once none before may be asked."""
    rows = WantedRows(2, 3)
    for number, outcome in enumerate([RowOutcome.ACCEPTED, RowOutcome.REJECTED]):
        rows.add(number, outcome)
    rows.add(7, RowOutcome.ACCEPTED)
    assert (7, False, False) == (rows.last, rows.is_met, rows.is_used_up)
    rows.add(2, RowOutcome.FAILED)
    assert (True, False) == (rows.is_met, rows.is_used_up)


def test_a_row_behind_the_last_one_that_is_taken_is_not_needed() -> None:
    """One before it is."""
    rows = added([RowOutcome.REJECTED, RowOutcome.ACCEPTED, RowOutcome.ACCEPTED, RowOutcome.FAILED], [0, 2, 3], 1)
    assert (2, False) == (rows.last, rows.is_met)
    assert (True, False) == (rows.needs(1), rows.needs(4))
    rows.add(1, RowOutcome.ACCEPTED)
    assert (1, True) == (rows.last, rows.is_met)


def test_rows_are_begun_ahead_by_the_share_that_is_accepted() -> None:
    """As many as are likely to bring what is missing, at least as many as may be in flight."""
    rows = WantedRows(100, 10_000)
    assert 100 == rows.ahead(16)
    for number in range(999):
        rows.add(number, RowOutcome.ACCEPTED if number % 20 == 0 else RowOutcome.REJECTED)
    assert 50 == rows.accepted
    assert 50 * 1000 // 51 <= rows.ahead(16) <= 50 * 1000 // 51 + 1
    assert 2000 == rows.ahead(2000)


def test_a_row_ends_once() -> None:
    """A second outcome is a mistake of the caller."""
    rows = added([RowOutcome.FAILED], [0], 1)
    with pytest.raises(ValueError, match="row 0"):
        rows.add(0, RowOutcome.ACCEPTED)


def test_the_time_that_is_left_knows_how_many_rows_are() -> None:
    """Not more are expected than `at_most` and the limit leave."""
    rows = WantedRows(100, 300)
    for number in range(280):
        rows.add(number, RowOutcome.ACCEPTED if number % 50 == 0 else RowOutcome.REJECTED)
    assert 20 == rows.expected
    rows.within = 290
    assert 10 == rows.expected
