"""Ask a tuned model as it was taught: its separator after every question, its stop, and nothing else in the answer."""

from herogen_async.tune.asking import Asking
from herogen_async.tune.query.api import QueryOptions, aquery, query
from herogen_async.tune.query.completion import Answer, has_stopped
from herogen_async.tune.query.model_session import ModelSession, QueryObserver, Reply, open_model
from herogen_async.tune.query.query_target import Model, Target, find_target, target_of
from herogen_async.tune.query.questions import question_from, question_of_line, question_of_row, split_flags
from herogen_async.tune.query.stdin_questions import each, questions_of

__all__ = [
    "Answer",
    "Asking",
    "Model",
    "ModelSession",
    "QueryObserver",
    "QueryOptions",
    "Reply",
    "Target",
    "aquery",
    "each",
    "find_target",
    "has_stopped",
    "open_model",
    "query",
    "question_from",
    "question_of_line",
    "question_of_row",
    "questions_of",
    "split_flags",
    "target_of",
]
