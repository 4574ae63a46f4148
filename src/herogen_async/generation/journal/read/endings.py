"""How the answers of a journal ended, and what they used: equal endings of lines are parsed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.generation.endpoint.usage import whole_counts
from herogen_async.generation.journal.read.line_blocks import ending_of
from herogen_async.generation.journal.read.recovered import Recovered
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.journal.record import BEHIND_ENDING, ENDING, ENDING_WITHIN, SKIPPED, reason_word
from herogen_async.generation.journal.words import Words

_TAILS = 4096  # different ones, before they are parsed and let go of


@dataclass(frozen=True, slots=True)
class Ended:
    """How many lines ended, and what they used, summed up. `answers` are those that were not skipped."""

    answers: int
    usage: Mapping[str, int]
    reasons: Mapping[str, int]


@dataclass(slots=True)
class _Said:
    """What so many rows say of how they ended."""

    row: dict[str, Any]
    times: int = 1


class Endings:
    """Sums into `found`."""

    def __init__(self, found: Recovered) -> None:
        self._found = found
        # Of rows that count, and of others; of each column where rows have columns.
        self._tails: dict[tuple[bool, str | None], dict[bytes, _Said]] = {}

    def note(self, lines: list[bytes], *, counts: bool, column: str | None = None) -> None:
        """A block of rows."""
        tails = self._tails.setdefault((counts, column), {})
        # In a text every quote is escaped, so what is found is a key; the last `request_id` is the row's own, as no
        # object follows it. Where the first `finish_reason` is one of an object inside, or none is found, what is cut
        # out is no JSON, since it holds that object's end and not its beginning, and the line is parsed.
        found = [(end := line[-ENDING_WITHIN:])[end.find(ENDING) : end.rfind(BEHIND_ENDING)] for line in lines]
        odd = set()
        for tail, times in Counter(found).items():
            known = tails.get(tail)
            if known is not None:
                known.times += times
            elif (said := ending_of(tail)) is not None:
                tails[tail] = _Said(said, times)
            else:
                odd.add(tail)
        if odd:
            for line, tail in zip(lines, found, strict=True):
                if tail in odd:
                    self.add(record_of(line) or {}, counts=counts, column=column)
        if sum(map(len, self._tails.values())) > _TAILS:
            self.count()

    def count(self) -> None:
        """Tally what blocks of rows have said of how they ended: `found` holds it only then."""
        for (counts, column), tails in self._tails.items():
            for each in tails.values():
                self.add(each.row, counts=counts, column=column, times=each.times)
            tails.clear()

    def add_sums(self, ended: Ended, *, counts: bool, column: str | None = None) -> None:
        """The rows of a segment, summed up."""
        of_column = None if column is None else self._found.column_usage.setdefault(column, Words())
        for name, count in ended.usage.items():
            self._found.usage.count(name, count)
            if of_column is not None:
                of_column.count(name, count)
        if column is not None and ended.answers:
            self._found.column_answers[column] += ended.answers
        for word, count in ended.reasons.items() if counts else ():
            self._found.finish_reasons.count(word, count)

    def add(self, row: dict[str, Any], *, counts: bool, column: str | None = None, times: int = 1) -> None:
        """A row that ended so, or so many."""
        usage = whole_counts(row.get("usage"))
        for name, count in usage.items():
            self._found.usage.count(name, count * times)
        if column is not None:
            of_column = self._found.column_usage.setdefault(column, Words())
            for name, count in usage.items():
                of_column.count(name, count * times)
        is_skipped = row.get("finish_reason") == SKIPPED
        if column is not None and not is_skipped:
            self._found.column_answers[column] += times
        if counts and not is_skipped:
            self._found.finish_reasons.count(reason_word(row.get("finish_reason")), times)
