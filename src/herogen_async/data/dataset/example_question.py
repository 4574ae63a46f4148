"""What the examples of a run ask: by the spec's `train`, or by what whoever assembles wants."""

from __future__ import annotations

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.paired_question import PairedQuestion, judge_of_pairs
from herogen_async.data.dataset.recipe import NO_SYSTEM, SUB_PROMPT
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.taught_question import TaughtQuestion
from herogen_async.data.dataset.trained_question import TrainedQuestion
from herogen_async.specs.plan.training import train_of

ExampleQuestion = TaughtQuestion | TrainedQuestion | PairedQuestion


def question_of(
    rows: RunRows, *, column: str | None, file_format: str, ask: str, system: str, is_ranked: bool = False
) -> ExampleQuestion:
    """What each example of `rows` asks. Raises InputError for what the rows, or the format, can't have.

    `is_ranked`: which answers are better, a file says.
    """
    judge = None if is_ranked else judge_of_pairs(rows.plan, file_format, column)
    # Of a conversation a column may be chosen instead.
    train = train_of(rows.plan) if rows.spec.train or (column is None and judge is None) else ()
    if train:
        says = "train" if rows.spec.train else "conversation"
        given = {"--column": column and not judge, "--ask": ask != SUB_PROMPT, "--system": system != NO_SYSTEM}
        for option, is_given in given.items():
            if is_given:
                raise InputError(
                    f"the spec's `{says}` says what an example is, and so does {option}", fix=f"remove {option}"
                )
    if judge is not None:
        return PairedQuestion(rows, judge, train, file_format=file_format, ask=ask, system=system)
    if train:
        return TrainedQuestion(rows, train, file_format=file_format)
    return TaughtQuestion(rows, Taught.of(rows.plan, column), file_format=file_format, ask=ask, system=system)
