"""Whose lines the journal has been given, in their order, and so who may be told what is kept. Pure.

Kept here: a line is told to be kept once it is as durable as the run was asked to make it, and never before; what a row
of several calls comes to is counted then, too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from herogen_async.generation.engine import ColumnCounts, Counters
from herogen_async.specs.plan import Plan


@dataclass(slots=True)
class KeptCounts:
    """Lines of one worker that it may forget."""

    rows: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Handed:
    """Lines that came together, of worker `to`: so many are with the journal, so many were not let in.

    `start` is how many it had brought before them; None where it is told nothing of them.
    """

    to: int
    waits: int
    refused: int
    start: int | None


@dataclass(slots=True)
class _Failure:
    place: int
    is_first: bool
    not_asked: list[int] = field(default_factory=list)


class KeptLines:
    """Of one session; `counters` are moved when lines are kept."""

    def __init__(self, plan: Plan, counters: Counters) -> None:
        self._counters = counters
        self._width = plan.calls_a_row
        self._columns: list[ColumnCounts] | None = None
        self._names = [call.column.name for call in plan.shape.calls]
        if plan.has_columns:
            self._columns = [counters.columns[name] for name in self._names]
        self._rows: deque[_Handed] = deque()
        self._failures: deque[_Handed] = deque()
        # Of rows that have columns, of each line: (its place, ~place where its call was skipped, None where it is asked
        # again; whether its row is done with it).
        self._places: deque[tuple[int | None, bool]] = deque()
        self._failed: deque[_Failure] = deque()
        self._kept: dict[int, KeptCounts] = {}

    def of(self, worker: int) -> KeptCounts:
        """What `worker` may forget, of all that it has delivered."""
        return self._kept.setdefault(worker, KeptCounts())

    def add_rows(
        self,
        worker: int,
        lines: int,
        refused: int,
        start: int | None,
        places: Sequence[tuple[int | None, bool]] = (),
    ) -> None:
        """`lines` of a frame go to the journal, and `refused` do not; of columns with what each of them is.

        `start` is how many rows the worker had brought before; None: it is told nothing of these.
        """
        self._rows.append(_Handed(worker, lines, refused, start))
        self._places.extend(places)
        self._move(self._rows, 0, is_rows=True)

    def add_failures(
        self, worker: int, refused: int, start: int | None, found: Sequence[tuple[int, bool, Sequence[int]]]
    ) -> None:
        """As `add_rows`; of each failure its call, whether it is its row's first, and what is not asked for it."""
        self._failures.append(_Handed(worker, len(found), refused, start))
        for index, is_first, not_asked in found:
            self._failed.append(_Failure(index % self._width, is_first, [each % self._width for each in not_asked]))
        self._move(self._failures, 0, is_rows=False)

    def written(self, rows: int, failures: int) -> int:
        """So many lines are as durable as they were to be; how many of them are answers."""
        self._move(self._rows, rows, is_rows=True)
        self._move(self._failures, failures, is_rows=False)
        answers = done = rows
        if self._columns is not None:
            answers, done = self._count_places(rows, self._columns)
        self._counters.done += done
        self._counters.session_rows += done
        for _ in range(failures):
            failure = self._failed.popleft()
            self._counters.failed += failure.is_first
            if self._columns is not None:
                self._columns[failure.place].failed += 1
                for place in failure.not_asked:
                    self._columns[place].blocked_by[self._names[failure.place]] += 1
        return answers

    def _count_places(self, rows: int, columns: list[ColumnCounts]) -> tuple[int, int]:
        done = 0
        found: Counter[int | None] = Counter()
        for _ in range(rows):
            place, is_last = self._places.popleft()
            found[place] += 1
            done += is_last
        answers = rows
        for place, count in found.items():
            if place is not None and place >= 0:
                columns[place].done += count
            elif place is not None:
                columns[~place].skipped += count
                answers -= count
        return answers, done

    def _move(self, queue: deque[_Handed], lines: int, *, is_rows: bool) -> None:
        """`lines` more of `queue` are kept; what was not let in is, once all that came before it is."""
        while queue:
            handed = queue[0]
            kept = min(lines, handed.waits)
            lines -= kept
            handed.waits -= kept
            if handed.start is not None:
                handed.start += kept + (0 if handed.waits else handed.refused)
                of = self.of(handed.to)
                if is_rows:
                    of.rows = max(of.rows, handed.start)
                else:
                    of.failures = max(of.failures, handed.start)
            if handed.waits:
                return
            queue.popleft()
