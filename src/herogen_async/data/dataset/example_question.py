"""What the examples of a run ask: by the spec's `train`, or by what whoever assembles wants."""

from __future__ import annotations

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import NO_SYSTEM, SUB_PROMPT
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.taught_question import TaughtQuestion
from herogen_async.data.dataset.trained_question import TrainedQuestion

ExampleQuestion = TaughtQuestion | TrainedQuestion


def question_of(rows: RunRows, *, column: str | None, file_format: str, ask: str, system: str) -> ExampleQuestion:
    """What each example of `rows` asks. Raises InputError for what the rows, or the format, can't have."""
    if not rows.spec.train:
        return TaughtQuestion(rows, Taught.of(rows.plan, column), file_format=file_format, ask=ask, system=system)
    given = {"--column": column is not None, "--ask": ask != SUB_PROMPT, "--system": system != NO_SYSTEM}
    for option, is_given in given.items():
        if is_given:
            raise InputError(
                f"the spec's `train` says what an example is, and so does {option}", fix=f"remove {option}"
            )
    return TrainedQuestion(rows, file_format=file_format)
