"""From answers to figures; nothing is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.tune.evaluation.mentions import kept
from herogen_async.tune.evaluation.prompts import Asked
from herogen_async.tune.evaluation.records import COPIED, DISTINCT, KEEPS_CELL, STOPS, Side
from herogen_async.tune.evaluation.statistics import Copies, Share, answer_words, distinct
from herogen_async.tune.query import Answer

Answered = tuple[Asked, Answer]


def score(answered: Sequence[Answered], model: str, recipe: Recipe, copies: Copies | None, loss: float | None) -> Side:
    """The figures of one model's answers; at least one."""
    texts = [answer.text for _, answer in answered]
    celled = [(answer.text, asked.cell) for asked, answer in answered if asked.cell]
    facets = recipe.cells.facets
    kept_by = [kept(text, cell, facets) for text, cell in celled]
    names = dict.fromkeys(name for each in kept_by for name in each)
    keeps = {name: _share([each[name] for each in kept_by if name in each]) for name in names}
    shares = {STOPS: Share(sum(answer.stopped for _, answer in answered), len(texts))}
    if kept_by:
        shares[KEEPS_CELL] = Share(sum(all(each.values()) for each in kept_by), len(kept_by))
    shares[DISTINCT] = Share(len({" ".join(answer_words(text)) for text in texts}), len(texts))
    if copies is not None:
        shares[COPIED] = Share(sum(map(copies.has, texts)), len(texts))
    return Side(
        model=model,
        shares=shares,
        keeps=keeps,
        words=median(len(answer_words(text)) for text in texts),
        distinct={f"distinct-{length}": _rounded(distinct(texts, length)) for length in (1, 2)},
        copied_overlap=None if copies is None else round(mean(map(copies.overlap, texts)), 4),
        loss=loss,
    )


def _share(kept_by: Sequence[bool]) -> Share:
    return Share(sum(kept_by), len(kept_by))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
