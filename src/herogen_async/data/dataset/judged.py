"""What a spec's `keep` and `best_of` say of the examples of a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from herogen_async.data.dataset.whole_row import answered, answers_of, near_copies_of
from herogen_async.specs.columns import sample_sources
from herogen_async.specs.plan import Plan

if TYPE_CHECKING:  # few specs keep only some rows
    from herogen_async.specs.plan.keeping import Decisions, Keeping

_Row = Mapping[str, Any]


class Judgement(NamedTuple):
    """Of an example: whether it is kept (None: nobody can tell), the number that it was given, if any, and whether it
    belongs into a data set of kept ones. A near copy belongs into none, nor is it worse than others for that.
    """

    is_kept: bool | None
    score: float | None
    is_taken: bool
    is_near_copy: bool


class Judged:
    """By the `keeping` of `plan`; the examples are of the columns `taught`, and there may be `samples` in a row."""

    def __init__(self, plan: Plan, keeping: Keeping, taught: Iterable[str], samples: int) -> None:
        self._plan = plan
        self._keeping = keeping
        self._samples = samples
        sources = sample_sources(plan.columns)
        decided = frozenset().union(*(sources[name] for name in keeping.fan))
        self._follows = {name: bool(each & decided) for name, each in sources.items()}
        self._is_fan = any(self._follows[name] for name in taught)

    def of(self, row: _Row, examples: Iterable[_Row]) -> Iterator[Judgement]:
        """What is said of each of the `examples` of `row`."""
        near = near_copies_of(self._plan, row)
        decided = self._keeping.decide(row["cell"], answered(answers_of(self._plan, row).values()), near)
        best = decided.best
        for example in examples:
            number = self._number(row, example)
            is_kept, score = _joined(decided) if number is None else (decided.accepted[number], decided.scores[number])
            is_best = best is not None and number in (best, None)
            is_taken = bool(is_kept) if self._keeping.best_of is None else is_best
            is_near_copy = all(decided.near_copies) if number is None else decided.near_copies[number]
            yield Judgement(is_kept, score, is_taken, is_near_copy)

    def _number(self, row: _Row, example: _Row) -> int | None:
        """Which sample an example is, or is made from; None where it is of all of them."""
        if self._keeping.samples == 1:
            return 0
        # A pair is decided as its judge's answer is: its texts may have no samples, or others.
        if (place := example.get("decided_at", example.get("place"))) is not None:
            call = self._plan.shape.calls[place]
            return call.sample - 1 if self._follows[call.column.name] else None
        return (
            int(example["number"]) - int(row["index"]) * self._samples if self._is_fan and self._samples > 1 else None
        )


def _joined(decided: Decisions) -> tuple[bool | None, float | None]:
    """Of all samples together: kept if one is, with the highest score."""
    scores = [score for score in decided.scores if score is not None]
    undecided = None if None in decided.accepted else False
    return (True if decided.is_accepted else undecided), max(scores, default=None)
