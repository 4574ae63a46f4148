"""Which rows a spec keeps, and which of several samples is the best one. Pure.

Both are decided when rows are read: a rejected row is paid for and stays, and another threshold costs nothing. So is an
answer that is a near copy, as its line says: it is not accepted.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herogen_async.core.codec import finite_number
from herogen_async.core.errors import HerogenError
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.expressions import Expression, stems_of
from herogen_async.specs.forms import FormReading, read_together
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.column_graph import fans_of


@dataclass(frozen=True, slots=True)
class Decisions:
    """About one row: of each sample whether it is kept, and the number that `best_of` goes by.

    None is what can't be decided: a judge that was not asked accepts nothing, and rejects nothing. A sample of
    `near_copies` has an answer that is a near copy, and isn't kept for that.
    """

    accepted: tuple[bool | None, ...]
    scores: tuple[float | None, ...]
    near_copies: tuple[bool, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether one of them is kept."""
        return any(self.accepted)

    @property
    def best(self) -> int | None:
        """Which one has the highest score of those that are kept, the first of equal ones; None where none has."""
        scored = [
            (score, -number)
            for number, (is_kept, score) in enumerate(zip(self.accepted, self.scores, strict=True))
            if is_kept and score is not None
        ]
        return -max(scored)[1] if scored else None


class Keeping:
    """The `keep` and the `best_of` of `spec`, whose columns these are, and their `unlike`.

    `samples` is how many decisions there are about a row: one, or one for each sample of the columns that are named, or
    have an `unlike`. `accepts`: rows may be rejected, by the keys of the spec that `by` names. `ranks`: answers are
    told apart as better and worse ones.
    """

    def __init__(self, spec: Spec, columns: Sequence[AskedColumn]) -> None:
        self._columns = {column.name: column for column in columns}
        self._condition = None if spec.keep is None else Expression.parse(spec.keep)
        self.best_of: str | None = next(iter(spec.best_of), None)
        self._score: str | None = next(iter(spec.best_of.values()), None)
        names = [] if self._condition is None else list(self._condition.names)
        self._judged = [name for name in names if name.partition(".")[0] in self._columns]  # what columns must say
        self._names = dict.fromkeys([*names, *([] if self._score is None else [self._score])])
        self.names = stems_of(self._names)  # the columns and attributes that it goes by
        self._unlike = [column for column in columns if column.unlike is not None]
        keys = {"`keep`": spec.keep is not None, "`unlike`": bool(self._unlike)}
        self.by = " and ".join(key for key, is_set in keys.items() if is_set)
        self.accepts = bool(self.by)
        self.ranks = spec.keep is not None or bool(spec.best_of)
        by_sample = {*self.names, *(column.name for column in self._unlike)}
        fans = fans_of(by_sample, {column.name: column.samples for column in columns})
        self.fan = frozenset(fans)  # the columns whose samples are decided one by one
        self.samples = max(fans.values(), default=1)
        read = [column for column in columns if column.name in self.names]
        read += [self._columns[column.swapped] for column in read if column.swapped is not None]
        read += self._unlike
        self.places = frozenset(place for column in read for place in column.calls)  # of the calls that it goes by

    def decide(
        self, cell: Mapping[str, str], answers: Sequence[FormReading | None], near_copies: Container[int] = ()
    ) -> Decisions:
        """What is decided about a row; `answers` are by place, None where there is none, and those at the places
        `near_copies` are ones.
        """
        every = list(self._values(cell, answers))
        scores = [None if self._score is None else finite_number(values.get(self._score)) for values in every]
        near = tuple(self._is_near_copy(sample, near_copies) for sample in range(self.samples))
        accepted = (not is_near and self._is_accepted(values) for is_near, values in zip(near, every, strict=True))
        return Decisions(tuple(accepted), tuple(scores), near)

    def decide_texts(
        self, cell: Mapping[str, str], texts: Mapping[int, str | None], near_copies: Container[int] = ()
    ) -> Decisions:
        """The same from what the calls at `places` were answered, by place; None for one that was skipped."""
        answers: list[FormReading | None] = [None] * sum(column.samples for column in self._columns.values())
        for column in self._columns.values():
            for place in column.calls:
                if (text := texts.get(place)) is not None:
                    answers[place] = FormReading(text) if column.form is None else column.form.read(text)
        for column in self._columns.values():
            if column.swapped is not None and column.pair is not None:
                for place, other in zip(column.calls, self._columns[column.swapped].calls, strict=True):
                    one, two = answers[place], answers[other]
                    answers[place] = None if one is None or two is None else read_together(one, two, column.pair)
        return self.decide(cell, answers, near_copies)

    def _is_near_copy(self, sample: int, near_copies: Container[int]) -> bool:
        return any(column.first_call + (sample if column.samples > 1 else 0) in near_copies for column in self._unlike)

    def _is_accepted(self, values: Mapping[str, Any]) -> bool | None:
        if self._condition is None:
            return True
        if any(values.get(name) is None for name in self._judged):
            return None
        try:
            return self._condition.holds(values)
        except HerogenError:  # an ExpressionFailed
            return None

    def _values(self, cell: Mapping[str, str], answers: Sequence[FormReading | None]) -> Iterator[Mapping[str, Any]]:
        for sample in range(self.samples):
            values: dict[str, Any] = dict(cell)
            for name in self._names:
                first, _, field = name.partition(".")
                values.setdefault(first, None)  # an attribute that the cell has not, else an answer
                if (column := self._columns.get(first)) is not None:
                    answer = answers[column.first_call + (sample if column.samples > 1 else 0)]
                    values[name] = None if answer is None else answer.field(field) if field else answer.text
            yield values
