"""Lines that workers bring, through the door into the journal; what they come to is counted when they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.cluster.door import Door, Passed
from herogen_async.generation.cluster.kept_lines import KeptCounts, KeptLines
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine import Counters
from herogen_async.generation.journal import Journal, Recovered, Written
from herogen_async.generation.journal.read.endings import Endings
from herogen_async.generation.journal.read.line_blocks import skipped_by
from herogen_async.specs.plan import Call, Plan


class LineIntake:
    """Of one session. `ask_again` is told the rows of which a call was taken for answered and is not, `notice` what a
    person should know.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        door: Door,
        counters: Counters,
        *,
        ask_again: Callable[[int], None],
        notice: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._door = door
        self._counters = counters
        self._ask_again = ask_again
        self._notice = notice
        self._kept = KeptLines(plan, counters)
        self._found = Recovered(
            usage=counters.usage,
            finish_reasons=counters.finish_reasons,
            column_usage={name: column.usage for name, column in counters.columns.items()},
        )
        self._endings = Endings(self._found)
        self._names = [call.column.name for call in plan.shape.calls]
        self._latest: bytes | None = None

    def kept(self, worker: int) -> KeptCounts:
        """What is kept of all that `worker` has brought."""
        return self._kept.of(worker)

    def rows(self, worker: int, lines: list[bytes], start: int | None) -> int:
        """Take in rows of `worker`, which has brought `start` before them; how many calls are settled with them.

        Where `start` is None it is told nothing of them: what it has brought before them another home has, or nobody.
        """
        if not lines:
            return 0
        passed = self._door.rows(lines)
        self._note(passed)
        places: list[tuple[int | None, bool]] = []
        if self._plan.has_columns:
            places = self._places_of(passed)
        elif passed.lines:
            self._endings.note(passed.lines, counts=True)
        # In this order: what the journal says next is of these.
        self._kept.add_rows(worker, len(passed.lines), len(lines) - len(passed.lines), start, places)
        if passed.lines:
            self._journal.add_rows(passed.lines)
            self._latest = passed.lines[-1]
        return sum(index >= 0 for index in passed.indices)

    def _places_of(self, passed: Passed) -> list[tuple[int | None, bool]]:
        places: list[tuple[int | None, bool]] = []
        by_column: dict[str, list[bytes]] = {}
        ends, width = set(passed.ends), self._plan.calls_a_row
        for number, (index, line) in enumerate(zip(passed.indices, passed.lines, strict=True)):
            place = (index if index >= 0 else ~index) % width
            by_column.setdefault(self._names[place], []).append(line)
            of_line: int | None = None
            if index >= 0:
                of_line = place if skipped_by(line) is None else ~place
            places.append((of_line, number in ends))
        for column, lines in by_column.items():
            self._endings.note(lines, counts=True, column=column)
        return places

    def failures(self, worker: int, lines: list[bytes], start: int | None) -> int:
        """As `rows`, of failures."""
        if not lines:
            return 0
        passed, found = self._door.failures(lines)
        self._note(passed)
        self._kept.add_failures(worker, len(lines) - len(found), start, found)
        for line, (index, _, _) in zip(passed.lines, found, strict=True):
            self._journal.failure(line)
            self._counters.given_up.add(index)
        return len(found) + sum(len(not_asked) for _, _, not_asked in found)

    def _note(self, passed: Passed) -> None:
        if passed.paid_twice:
            self._counters.workers["paid_twice"] += passed.paid_twice
        if passed.foreign:
            self._counters.workers["foreign"] += passed.foreign
            self._notice("Lines came that are damaged or of another plan: they are not taken.")
        for row in passed.again:
            self._ask_again(row)

    def written(self, written: Written) -> int:
        """So many lines are as durable as they were to be; how many of them are answers."""
        return self._kept.written(written.rows, written.failures)

    def take_stock(self) -> None:
        """Count up what the lines say of usage and ends, and of the latest answer what it is."""
        self._endings.count()
        if self._counters.columns:
            self._counters.sum_columns()
            self._found.usage = self._counters.usage
        if self._latest is not None:
            self._counters.latest, self._latest = _call_of(codec.loads(self._latest)), None


def _call_of(row: Mapping[str, Any]) -> tuple[Call, Completion]:
    call = Call(
        row["key"], row["index"], row["cell"], row["repeat"], row["prompt"], None, row["sub_prompt"], row.get("column")
    )
    return call, Completion(row["response_txt"], row["finish_reason"], row["model"])
