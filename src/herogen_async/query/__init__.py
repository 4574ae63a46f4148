"""Ask a tuned model as it was taught: its separator after every question, its stop, and nothing else in the answer."""

from herogen_async.query.answer import Answer, has_stopped
from herogen_async.query.asking import MAX_TOKENS, TEMPERATURE, Asking, Oracle, Reply, connected
from herogen_async.query.lines import each, questions_of
from herogen_async.query.questions import question_from, question_of_line, question_of_row, split_flags
from herogen_async.query.target import Model, Target, find_target, target_of

__all__ = [
    "MAX_TOKENS",
    "TEMPERATURE",
    "Answer",
    "Asking",
    "Model",
    "Oracle",
    "Reply",
    "Target",
    "connected",
    "each",
    "find_target",
    "has_stopped",
    "question_from",
    "question_of_line",
    "question_of_row",
    "questions_of",
    "split_flags",
    "target_of",
]
