"""The desk: spans are lent, taken back and lent again, and never more than is left."""

from __future__ import annotations

import pytest

from herogen_async.generation.cluster.desk import FEWEST_ROWS, LEASE_S, MOST_ROWS, Desk
from herogen_async.specs.plan import IndexSet


def desk_of(rows: int, *settled: int, width: int = 1, workers: int = 2) -> tuple[Desk, IndexSet]:
    """A desk with `rows` rows, and so many workers that were heard from at 0."""
    done = IndexSet()
    for index in settled:
        done.add(index)
    desk = Desk([range(rows)], done, width)
    for worker in range(1, workers + 1):
        desk.beat(worker, 0.0)
    return desk, done


def test_spans_are_a_fair_share_of_what_is_left() -> None:
    """Of 100 rows two workers get 25, then 19: half of their even share of what is left each time."""
    desk, _ = desk_of(100)
    assert [range(25), range(25, 44), range(44, 58)] == [desk.lend(worker, 0.0) for worker in (1, 2, 1)]


def test_a_span_follows_the_pace_of_its_worker() -> None:
    """Before a pace is known a span has 256 rows; then what a worker does in a minute, and never more than 10,000."""
    desk, done = desk_of(10**9)
    first = desk.lend(1, 0.0)
    assert first is not None
    assert FEWEST_ROWS == len(first)
    for index in range(256):
        done.add(index)
    desk.beat(1, 10.0, 1000)  # a hundred a second
    assert 6000 == len(desk.lend(1, 10.0) or ())
    desk.beat(1, 10.0, 10**6)
    assert MOST_ROWS == len(desk.lend(1, 10.0) or ())


def test_settled_rows_are_passed_over() -> None:
    """A span begins at the first pending row, and holds as many pending ones as it may."""
    desk, _ = desk_of(40, *range(10), *range(12, 20))
    rows = desk.lend(1, 0.0)
    assert rows is not None
    assert 10 == rows.start
    assert [(10, 12), (20, rows.stop)] == desk.pending_of(rows)


def test_all_rows_are_lent_once_as_long_as_nobody_is_lost() -> None:
    """Two workers in turn are lent each row of a thousand once, and then nothing."""
    desk, _ = desk_of(1000, width=3)
    found: list[int] = []
    turn = 0
    while (rows := desk.lend(1 + turn % 2, 0.0)) is not None:
        found += rows
        turn += 1
    assert list(range(1000)) == found
    assert desk.lend(1, 0.0, is_idle=True) is None


def test_what_a_lost_worker_had_goes_first() -> None:
    """The pending rows of a lost worker are lent before every new one; what it had done is not."""
    desk, done = desk_of(1000)
    first, second = desk.lend(1, 0.0), desk.lend(2, 0.0)
    assert first is not None
    assert second is not None
    for index in range(100):
        done.add(index)
    assert len(first) - 100 == desk.drop(1)
    again = desk.lend(2, 0.0)
    assert again is not None
    assert 100 == again.start
    assert again.stop <= first.stop


def test_a_worker_lapses_by_its_beat_alone() -> None:
    """Only a worker that is silent for longer than a lease lapses."""
    desk, _ = desk_of(10)
    desk.beat(2, LEASE_S)
    assert [] == desk.lapsed(LEASE_S)
    assert [1] == desk.lapsed(LEASE_S + 0.1)


def test_a_row_that_is_asked_once_more_waits_for_an_idle_worker() -> None:
    """It goes to one that has nothing left, and what its holder leaves behind does not bring it back earlier."""
    desk, done = desk_of(4, width=2, workers=2)
    while desk.lend(1, 0.0) is not None:
        pass
    desk.ask_again(2)
    assert desk.lend(2, 0.0) is None
    desk.drop(1)
    lent: list[int] = []
    while (rows := desk.lend(2, 0.0)) is not None:
        lent += rows
    assert [0, 1, 3] == sorted(lent)
    assert range(2, 3) == desk.lend(2, 0.0, is_idle=True)
    for index in (4, 5):
        done.add(index)
    desk.ask_again(2)
    assert desk.lend(2, 0.0, is_idle=True) is None


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_few_rows_are_shared_too(rows: int) -> None:
    """Of a few rows each span has one at least, and all are lent."""
    desk, _ = desk_of(rows, workers=4)
    lent = [desk.lend(1 + number % 4, 0.0) for number in range(40)]
    assert rows == sum(len(each) for each in lent if each is not None)
