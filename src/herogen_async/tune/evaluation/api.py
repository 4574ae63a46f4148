"""Evaluate a tuned model from Python."""

from __future__ import annotations

from herogen_async.generation.observer import observer_of
from herogen_async.tune.evaluation.evaluate import ANSWERS, evaluate_tuned
from herogen_async.tune.evaluation.records import Evaluation
from herogen_async.tune.finetune.model_registry import find_tuned
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.query import QueryObserver


def evaluate(
    model: str | TunedModel,
    *,
    answers: int = ANSWERS,
    seed: int = 0,
    watch: QueryObserver | None = None,
) -> Evaluation:
    """How the tuned model `model` answers beside its base, on questions that it was not taught.

    `model` is a run (its latest fine-tune), a tuned model's name, or what `finetune` returned as `tuned`. Each model is
    asked `answers` questions; the same `seed` chooses the same ones. `watch` receives progress: an Observer. Figures,
    answers, a report and a picture are written to the fine-tune's folder. It works in a notebook, too. Raises
    InputError, LocalModelError, EndpointRefused.
    """
    tuned = find_tuned(model) if isinstance(model, str) else model
    return evaluate_tuned(tuned, observer=observer_of(watch), answers=answers, seed=seed)
