"""Where lines are: the same, however few of the pages are in memory."""

from __future__ import annotations

import random

import pytest

from herogen_async.generation.journal import LinePlaces


@pytest.mark.parametrize("seed", range(6))
def test_places_are_the_same_in_memory_and_in_a_file(seed: int) -> None:
    """Written about in order, with stragglers, second lines and some that are forgotten again."""
    drawn = random.Random(seed)
    whole, spilled = LinePlaces(), LinePlaces(most_pages=2)
    far = 10**9 * seed
    for step in range(20_000):
        index = max(0, far + step + drawn.choice((0, 0, 0, -5_000, 3_000, drawn.randint(-30_000, 30_000))))
        assert whole.put(index, step % 7, step) == spilled.put(index, step % 7, step)
        if step % 50 == 0:
            gone = far + drawn.randint(0, step + 1)
            whole.discard(gone)
            spilled.discard(gone)
            assert whole.get(gone) is spilled.get(gone) is None
    assert len(whole) == len(spilled) > 10_000
    assert list(whole) == list(spilled)
    for index in (far, far + 77, far + 19_999, far + 10**7):
        assert whole.get(index) == spilled.get(index)
        assert (index in whole) == (index in spilled)
    assert len(spilled._pages) <= 2


def test_a_disk_without_room_costs_memory_and_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    places = LinePlaces(most_pages=2)
    for index in range(0, 50_000, 100):
        assert places.put(index, 1, index)
    assert [(index, 1, index) for index in range(0, 50_000, 100)] == list(places)
