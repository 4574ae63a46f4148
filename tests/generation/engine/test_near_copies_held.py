"""The answers of a column that later ones are compared with: bounded, and only what is no near copy."""

from __future__ import annotations

import random

from herogen_async.generation.engine.near_copies import NearCopies

WORDS = [f"word{number}" for number in range(400)]


def text_of(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=40))


def test_beyond_the_bound_the_oldest_answers_go_and_that_is_told_once() -> None:
    """Long ones and short ones alike; what went is no longer compared with."""
    told: list[str] = []
    near = NearCopies("tale", 0.7, told.append, most=3)
    for number in range(6):
        assert near.look(number, text_of(number)) is None
    assert 3 == len(near)
    for number in range(6):
        assert near.look(10 + number, f"name {number}") is None
    assert 6 == len(near)
    assert ["tale: answers are compared with the last 3 of this column alone, so that memory stays bounded"] == told
    assert near.look(20, text_of(0)) is None
    found = near.look(21, text_of(5)), near.look(22, "Name  5")
    assert [5, 15] == [each.number for each in found if each is not None]


def test_a_near_copy_is_compared_with_nothing() -> None:
    """So no chain of small steps leads away from what is kept; an accepted answer is, whatever it is like."""
    near = NearCopies("tale", 0.7, print)
    words = text_of(1).split()
    step = " ".join([*words[:37], "a", "b", "c"])
    far = " ".join([*words[:27], *"mlkjihgfed", "a", "b", "c"])
    assert near.look(0, text_of(1)) is None
    assert near.look(1, step) is not None
    assert near.look(2, far) is None
    near.add(3, step)
    found = near.look(4, step)
    assert found is not None
    assert (3, 1.0) == (found.number, found.likeness)
