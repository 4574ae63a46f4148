"""Who works on which rows: spans of them are lent to workers, and taken back when one is not heard from. Pure.

Kept here:
1. A lease is a hint, and decides nothing. What is done the journal's bits alone say, so a span that was lent twice
   costs calls, and never a row.
2. What was lent to who is lost goes before every new row.
3. Memory goes with the workers and their spans, not with the grid: rows that nobody has yet are ranges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from herogen_async.specs.plan import IndexSet

LEASE_S = 30.0  # without a beat; under load a starved worker was silent for ten
SPAN_S = 60.0  # of a worker's pace: long enough that nobody asks often, short enough that a loss is soon made good
FEWEST_ROWS, MOST_ROWS = 256, 10_000


@dataclass(slots=True)
class _Lent:
    """To one worker: its ranges of rows, when it was heard from last, how many calls were settled, and since when."""

    heard_s: float
    since_s: float
    spans: list[range] = field(default_factory=list)
    settled: int = 0


class Desk:
    """Lends the rows of `work`, each of `width` calls, of which those not in `settled` are to be asked.

    `settled` belongs to whoever takes lines in, and grows with them.
    """

    def __init__(self, work: Iterable[range], settled: IndexSet, width: int, *, lease_s: float = LEASE_S) -> None:
        self._new = deque(rows for rows in work if len(rows))
        self._lost: deque[range] = deque()
        self._again: set[int] = set()
        self._doubted: set[int] = set()  # rows that were asked once more, in this session
        self._settled = settled
        self._width = width
        self._lease_s = lease_s
        self._workers: dict[int, _Lent] = {}

    def beat(self, worker: int, now: float, settled: int = 0) -> None:
        """`worker` was heard from, and has settled so many calls more."""
        lent = self._workers.get(worker)
        if lent is None:
            lent = self._workers[worker] = _Lent(now, now)
        lent.heard_s = now
        lent.settled += settled
        lent.spans = [rows for rows in lent.spans if self._pending(rows)]

    def lend(self, worker: int, now: float, *, is_idle: bool = False) -> range | None:
        """Rows for `worker`, some of which are pending; None where there are none for now.

        `is_idle`: it has nothing left. Only such a one gets rows that are asked once more: whoever took a call of one
        for answered may still be at the others, and must not begin the row a second time beside that.
        """
        lent = self._workers[worker]
        size = self._size(lent, now)
        while (queue := self._lost or self._new) and (rows := self._cut(queue, size)) is not None:
            if len(rows):
                lent.spans.append(rows)
                return rows
        while is_idle and self._again:
            row = self._again.pop()
            if self._pending(rows := range(row, row + 1)):
                lent.spans.append(rows)
                return rows
        return None

    def lapsed(self, now: float) -> list[int]:
        """The workers that were not heard from for too long."""
        return [worker for worker, lent in self._workers.items() if now - lent.heard_s > self._lease_s]

    def drop(self, worker: int) -> int:
        """`worker` is lost, or has ended: its rows are for others. How many of its calls are not settled."""
        lent = self._workers.pop(worker, None)
        if lent is None:
            return 0
        left = 0
        for rows in lent.spans:
            if pending := self._pending(rows):
                self._put_back(rows)
                left += pending
        return left

    def ask_again(self, row: int) -> None:
        """A call of `row` that somebody takes for answered is not: the row is lent once more, at the end."""
        self._again.add(row)
        self._doubted.add(row)

    def _put_back(self, rows: range) -> None:
        """`rows` are for others. Those that somebody else may be at, too, for one that has nothing left."""
        start = rows.start
        for row in sorted(row for row in self._doubted if row in rows):
            self._again.add(row)
            if start < row:
                self._lost.append(range(start, row))
            start = row + 1
        if start < rows.stop:
            self._lost.append(range(start, rows.stop))

    def pending_of(self, rows: range) -> list[tuple[int, int]]:
        """The calls of `rows` that are not settled, as ranges of their indices."""
        start, stop = rows.start * self._width, rows.stop * self._width
        if not self._settled.count(stop, start):
            return [(start, stop)]
        found: list[tuple[int, int]] = []
        for index in self._settled.missing(stop, start):
            if found and found[-1][1] == index:
                found[-1] = found[-1][0], index + 1
            else:
                found.append((index, index + 1))
        return found

    def _pending(self, rows: range) -> int:
        start, stop = rows.start * self._width, rows.stop * self._width
        return stop - start - self._settled.count(stop, start)

    def _size(self, lent: _Lent, now: float) -> int:
        """Rows of its pace, and near the end no more than leaves the others some."""
        pace = lent.settled / self._width / max(now - lent.since_s, 1.0)
        left = sum(map(len, self._new)) + sum(map(len, self._lost))
        fair = -(-left // (2 * max(len(self._workers), 1)))
        return max(min(int(pace * SPAN_S), MOST_ROWS, fair), min(FEWEST_ROWS, fair), 1)

    def _cut(self, queue: deque[range], size: int) -> range | None:
        """The first rows of `queue` with at most `size` pending ones among them, and none before the first of these."""
        if not queue:
            return None
        rows = queue.popleft()
        start, stop = rows.start * self._width, rows.stop * self._width
        first = next(self._settled.missing(stop, start), None)
        if first is None:
            return range(0)  # all of them are settled
        begin = first // self._width
        end = begin + size
        if self._settled.count(min(end * self._width, stop), begin * self._width):
            end = self._end(begin, rows.stop, size)
        if end < rows.stop:
            queue.appendleft(range(end, rows.stop))
        return range(begin, min(end, rows.stop))

    def _end(self, begin: int, stop: int, size: int) -> int:
        """One past the last of `size` rows with something pending, where some between them have nothing."""
        last, count = begin - 1, 0
        for index in self._settled.missing(stop * self._width, begin * self._width):
            if index // self._width != last:
                count += 1
                if count > size:
                    break
                last = index // self._width
        return last + 1
