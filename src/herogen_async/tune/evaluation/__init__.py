"""How a tuned model answers beside its base: does it stop, does it keep to what it was asked, does it only copy?"""

from herogen_async.tune.evaluation.evaluate import ANSWERS, evaluate_tuned
from herogen_async.tune.evaluation.kept_evaluation import KeptEvaluation, kept_evaluation
from herogen_async.tune.evaluation.prompts import sample_question
from herogen_async.tune.evaluation.records import Evaluation, Side
from herogen_async.tune.evaluation.statistics import Share

__all__ = [
    "ANSWERS",
    "Evaluation",
    "KeptEvaluation",
    "Share",
    "Side",
    "evaluate_tuned",
    "kept_evaluation",
    "sample_question",
]
