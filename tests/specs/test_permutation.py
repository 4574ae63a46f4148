"""A seeded order of numbers, computed place by place."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.specs.sources.permutation import Permutation

SEEDS = st.integers(0, 2**63 - 1)


@given(st.integers(1, 400), SEEDS)
def test_each_number_has_one_place(size: int, seed: int) -> None:
    """PM1: every number comes once, and is found where it is."""
    order = Permutation(size, seed)
    numbers = [order.number(place) for place in range(size)]
    assert list(range(size)) == sorted(numbers)
    assert list(range(size)) == [order.place(number) for number in numbers]


@given(st.integers(1, 10**30), SEEDS, st.integers(0))
def test_any_size_is_ordered_place_by_place(size: int, seed: int, place: int) -> None:
    """PM2: of sizes far beyond what could be held, too."""
    order = Permutation(size, seed)
    number = order.number(place % size)
    assert 0 <= number < size
    assert place % size == order.place(number)


def test_an_order_is_the_same_in_every_release() -> None:
    """PM3: runs on disk rest on it."""
    assert [55, 81, 79, 76, 90, 62, 57, 69] == [Permutation(98, 0).number(place) for place in range(8)]
    assert [Permutation(10**12, 7).number(place) for place in range(3)] == [337474299645, 685472872262, 624129910323]


def test_the_first_places_are_spread_over_all_numbers() -> None:
    """No part of a large size comes first."""
    for seed in range(3):
        order = Permutation(10**12, seed)
        tenths = Counter(order.number(place) * 10 // 10**12 for place in range(10_000))
        assert 10 == len(tenths)
        assert max(abs(count - 1000) for count in tenths.values()) < 150


def test_another_seed_is_another_order() -> None:
    """Of a hundred numbers few are in the same place."""
    one, other = Permutation(100, 1), Permutation(100, 2)
    assert sum(one.number(place) == other.number(place) for place in range(100)) < 10


@pytest.mark.parametrize("place", [-1, 10])
def test_a_place_outside_is_an_error(place: int) -> None:
    """Never taken for another one."""
    with pytest.raises(IndexError, match="valid: 0 to 9"):
        Permutation(10, 0).number(place)
    with pytest.raises(IndexError):
        Permutation(10, 0).place(place)
