"""What a run's journal comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from herogen_async.generation.journal.words import Words
from herogen_async.specs.plan import IndexSet


@dataclass(slots=True)
class Reusable:
    """Where the line of an answer is that counts if it would be made from the same again.

    `built_on` are the checksums of the lines of the answers that it was made from, `skipped` the places of the calls
    in its row that it was made without.
    """

    segment: int
    offset: int
    built_on: frozenset[str]
    skipped: frozenset[int]


@dataclass(slots=True)
class Misfit:
    """Where the line of the last answer to a call is that does not fit its form, or is a near copy, and which try it
    was, from 1.
    """

    segment: int
    offset: int
    ask: int


@dataclass(slots=True)
class Recovered:
    """What a run folder holds.

    `done` are the tasks with an answer, `failed` those that failed and are not done, `stale` those that only other
    generations have answered: they are in `done` too where the run keeps them. `foreign` rows belong to nobody,
    `unused` ones to cells that the plan has no more, `replaced` ones to tasks that a newer generation has answered.
    `usage` sums the servers' own counts over every row there is: all of them were paid for. `finish_reasons` are of
    the rows that count. `skipped` are those of `done` that were not asked, by their condition; `outdated` lines were
    made from answers that don't count, or say that a condition was not met which is another one now. `column_usage` is
    the part of `usage` of each column that there still is, where a row has several calls, `column_answers` how many
    answers it is of. `reusable` are by call the answers that count once it is decided that others are skipped.
    `misfits` don't fit the form of their column, or are near copies that are asked again: lines that count for nothing;
    `asked` are the last ones of calls that have no other answer and are asked again with it, `unfit` those whose
    answers were given before there was that form.
    """

    done: IndexSet = field(default_factory=IndexSet)
    failed: IndexSet = field(default_factory=IndexSet)
    stale: IndexSet = field(default_factory=IndexSet)
    skipped: IndexSet = field(default_factory=IndexSet)
    rows: int = 0
    duplicates: int = 0
    foreign: int = 0
    unused: int = 0
    replaced: int = 0
    outdated: int = 0
    usage: Words = field(default_factory=Words)
    finish_reasons: Words = field(default_factory=Words)
    column_usage: dict[str, Words] = field(default_factory=dict)
    column_answers: Counter[str] = field(default_factory=Counter)
    reusable: dict[int, list[Reusable]] = field(default_factory=dict)
    misfits: int = 0
    asked: dict[int, Misfit] = field(default_factory=dict)
    unfit: IndexSet = field(default_factory=IndexSet)
    calls_a_row: int = 1

    @property
    def rows_done(self) -> int:
        """Rows with all their calls answered or skipped."""
        return self.done.groups(self.calls_a_row)[0]

    @property
    def rows_failed(self) -> int:
        """Rows with a call that failed."""
        return self.failed.groups(self.calls_a_row)[1]

    def rows_touched(self) -> IndexSet:
        """The numbers of the rows that have a line that counts, or a failure."""
        touched = IndexSet.union(self.done, self.failed)
        if self.calls_a_row == 1:
            return touched
        rows = IndexSet()
        for index in touched:
            rows.add(index // self.calls_a_row)
        return rows

    def rows_in_all(self, asked: range) -> int:
        """The rows `asked`, and those beside them that are done or have failed."""
        width = self.calls_a_row
        calls = asked.start * width, asked.stop * width
        done, failed = self.done.groups(width, calls[1], calls[0])[0], self.failed.groups(width, calls[1], calls[0])[1]
        return len(asked) + self.rows_done - done + self.rows_failed - failed
