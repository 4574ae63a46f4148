"""What a spec's `keep` and `best_of` say of the examples of a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.keeping import Decisions, Keeping

_Row = Mapping[str, Any]


class Judgement(NamedTuple):
    """Of an example: whether it is kept (None: nobody can tell), the number that it was given, if any, and whether it
    belongs into a data set of kept ones.
    """

    is_kept: bool | None
    score: float | None
    is_taken: bool


class Judged:
    """By the `keeping` of `plan`; the examples are of the columns `taught`, and there may be `samples` in a row."""

    def __init__(self, plan: Plan, keeping: Keeping, taught: Iterable[str], samples: int) -> None:
        self._plan = plan
        self._keeping = keeping
        self._samples = samples
        sources = {column.name: frozenset(_sources(plan, column.name)) for column in plan.columns}
        self._decided = frozenset().union(*(sources[name] for name in keeping.fan))
        self._follows = {name: bool(each & self._decided) for name, each in sources.items()}
        self._is_fan = any(self._follows[name] for name in taught)

    def of(self, row: _Row, examples: Iterable[_Row]) -> Iterator[Judgement]:
        """What is said of each of the `examples` of `row`."""
        answers = answers_of(self._plan, row).values()
        texts = [None if answer is None else answer["response_txt"] for answer in answers]
        decided = self._keeping.decide(row["cell"], texts)
        best = decided.best
        for example in examples:
            number = self._number(row, example)
            is_kept, score = _joined(decided) if number is None else (decided.accepted[number], decided.scores[number])
            is_best = best is not None and number in (best, None)
            is_taken = bool(is_kept) if self._keeping.best_of is None else is_best
            yield Judgement(is_kept, score, is_taken)

    def _number(self, row: _Row, example: _Row) -> int | None:
        """Which sample an example is, or is made from; None where it is of all of them."""
        if self._keeping.samples == 1:
            return 0
        if (place := example.get("place")) is not None:
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


def _sources(plan: Plan, name: str) -> Iterator[str]:
    """The columns with samples of their own that sample i of a column is made from."""
    column = next(each for each in plan.columns if each.name == name)
    if column.samples == 1:
        return
    parents = {place for call in (plan.shape.calls[column.first_call],) for place in call.parents}
    sampled = {plan.shape.calls[place].column.name for place in parents if plan.shape.calls[place].column.samples > 1}
    # Of one that joins all samples this one's first call has every place as its parent.
    own = {each for each in sampled if len(_places(plan, each) & parents) == 1}
    if not own:
        yield name
    for each in own:
        yield from _sources(plan, each)


def _places(plan: Plan, name: str) -> set[int]:
    return {call.place for call in plan.shape.calls if call.column.name == name}
