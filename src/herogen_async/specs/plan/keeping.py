"""Which rows a spec keeps, and which of several samples is the best one. Pure.

Both are decided when rows are read: a rejected row is paid for and stays, and another threshold costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from herogen_async.core.errors import HerogenError
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.expressions import Expression
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.column_graph import Uses, sampled_by


class Keeping:
    """The `keep` and the `best_of` of `spec`, whose columns these are.

    `samples` is how many decisions there are about a row: one, or one for each sample of the columns that are named.
    """

    def __init__(self, spec: Spec, columns: Sequence[AskedColumn]) -> None:
        self._columns = {column.name: column for column in columns}
        self._condition = None if spec.keep is None else Expression.parse(spec.keep)
        self.best_of: str | None = next(iter(spec.best_of), None)
        self._score: str | None = next(iter(spec.best_of.values()), None)
        names = [] if self._condition is None else list(self._condition.names)
        self._names = dict.fromkeys([*names, *([] if self._score is None else [self._score])])
        counts = {name: column.samples for name, column in self._columns.items()}
        asked = tuple(dict.fromkeys(name.partition(".")[0] for name in self._names))
        fans = dict(sampled_by("", {"": Uses((), asked)}, counts))
        self.samples = max(fans.values(), default=1)

    @property
    def judges(self) -> set[str]:
        """The columns that decide it by a field."""
        return {name.partition(".")[0] for name in self._names if "." in name}

    def accepted(self, cell: Mapping[str, str], texts: Sequence[str | None]) -> tuple[bool, ...]:
        """Of each decision, whether the row is kept; `texts` are its answers by place, None where there is none.

        What can't be compared is not kept: a judge that was not asked accepts nothing.
        """
        return tuple(self._is_accepted(values) for values in self._values(cell, texts))

    def scores(self, cell: Mapping[str, str], texts: Sequence[str | None]) -> tuple[float | None, ...]:
        """Of each decision, the number that `best_of` goes by; None where there is none."""
        name = self._score
        return tuple(None if name is None else _number(values.get(name)) for values in self._values(cell, texts))

    def best(self, cell: Mapping[str, str], texts: Sequence[str | None]) -> int | None:
        """Which decision is the best of those that are kept, the first of equal ones; None where none is kept."""
        scores = self.scores(cell, texts)
        kept = [number for number, is_kept in enumerate(self.accepted(cell, texts)) if is_kept]
        scored = [number for number in kept if scores[number] is not None]
        return max(scored or kept[:1], key=lambda number: (scores[number] or -math.inf, -number), default=None)

    def _is_accepted(self, values: Mapping[str, Any]) -> bool:
        if self._condition is None:
            return True
        try:
            return self._condition.holds(values)
        except HerogenError:  # an ExpressionFailed
            return False

    def _values(self, cell: Mapping[str, str], texts: Sequence[str | None]) -> Iterator[Mapping[str, Any]]:
        for sample in range(self.samples):
            values: dict[str, Any] = dict(cell)
            for name in self._names:
                first, _, field = name.partition(".")
                if (column := self._columns.get(first)) is not None:
                    text = texts[column.first_call + (sample if column.samples > 1 else 0)]
                    values[name] = text if text is None or not field else _field(column, text, field)
            yield values


def _field(column: AskedColumn, text: str, field: str) -> Any:
    return None if column.form is None else column.form.field(text, field)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
