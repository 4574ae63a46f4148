"""Ask a tuned model as it was taught: its separator after every question, its stop, and nothing else in the answer."""

from herogen_async.tune.asking import Asking
from herogen_async.tune.query.api import QueryOptions, aquery, query
from herogen_async.tune.query.completion import Answer, ending_note, has_stopped, is_cut_off
from herogen_async.tune.query.model_session import ModelSession, QueryObserver, Reply, TextPiece, open_model
from herogen_async.tune.query.query_target import Model, Target, find_target, target_of
from herogen_async.tune.query.questions import (
    Conversation,
    QuestionText,
    checked,
    each,
    question_from,
    question_of_line,
    question_of_row,
    split_flags,
)
from herogen_async.tune.query.run_models import OF_RUN, RunModel, run_models, sent_text
from herogen_async.tune.query.stdin_questions import MAX_STDIN_BYTES, dialog_line, questions_in

__all__ = [
    "MAX_STDIN_BYTES",
    "OF_RUN",
    "Answer",
    "Asking",
    "Conversation",
    "Model",
    "ModelSession",
    "QueryObserver",
    "QueryOptions",
    "QuestionText",
    "Reply",
    "RunModel",
    "Target",
    "TextPiece",
    "aquery",
    "checked",
    "dialog_line",
    "each",
    "ending_note",
    "find_target",
    "has_stopped",
    "is_cut_off",
    "open_model",
    "query",
    "question_from",
    "question_of_line",
    "question_of_row",
    "questions_in",
    "run_models",
    "sent_text",
    "split_flags",
    "target_of",
]
