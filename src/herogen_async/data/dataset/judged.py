"""What a spec's `keep` and `best_of` say of the examples of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.keeping import Keeping


class Judged:
    """By the `keeping` of `plan`."""

    def __init__(self, plan: Plan, keeping: Keeping) -> None:
        self._plan = plan
        self._keeping = keeping

    def is_taken(self, row: Mapping[str, Any], example: Mapping[str, Any], samples: int) -> bool:
        """Whether one of the examples of `row`, of which there may be `samples`, belongs into a data set."""
        decision, texts = self._decision(row, example, samples), self._texts(row)
        if self._keeping.best_of is not None:
            best = self._keeping.best(row["cell"], texts)
            return best is not None and decision in (best, None)
        accepted = self._keeping.accepted(row["cell"], texts)
        return any(accepted) if decision is None else accepted[decision]

    def score(self, row: Mapping[str, Any], example: Mapping[str, Any], samples: int) -> tuple[bool, float | None]:
        """Whether an example is kept, and the number that it was given, if any."""
        decision, texts = self._decision(row, example, samples) or 0, self._texts(row)
        return self._keeping.accepted(row["cell"], texts)[decision], self._keeping.scores(row["cell"], texts)[decision]

    def _decision(self, row: Mapping[str, Any], example: Mapping[str, Any], samples: int) -> int | None:
        """Which decision about `row` is the example's; None where all are."""
        if self._keeping.samples == 1:
            return 0
        return None if samples == 1 else int(example["number"]) - int(row["index"]) * samples

    def _texts(self, row: Mapping[str, Any]) -> list[str | None]:
        answers = answers_of(self._plan, row).values()
        return [None if answer is None else answer["response_txt"] for answer in answers]
