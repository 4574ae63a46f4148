"""Rows for the tests of the quality checks."""

from __future__ import annotations

import random
from collections.abc import Sequence

from herogen_async.data.quality import Example, Inspector, Quality
from herogen_async.specs.sources.cells import cells_from

WORDS = [
    "amber",
    "river",
    "quiet",
    "engine",
    "falcon",
    "winter",
    "signal",
    "harbor",
    "velvet",
    "copper",
    "meadow",
    "thunder",
    "lantern",
    "orbit",
    "marble",
    "shadow",
    "pepper",
    "garden",
    "silver",
    "compass",
    "ribbon",
    "canyon",
    "whisper",
    "saddle",
    "breeze",
    "anchor",
    "candle",
    "forest",
    "mirror",
    "bridge",
]
ENGLISH = (
    "She walks through the old town every evening and listens to what the people around her are hoping for, "
    "and she helps them in secret number {}."
)
GERMAN = (
    "Sie ist eine vierzigjährige Frau, die Menschen allein durch die Berührung ihrer Hände heilen kann, und sie lebt "
    "zurückgezogen in einem kleinen Dorf am Rande des Waldes."
)


def text(seed: int, words: int = 60) -> str:
    """Words in an order of their own."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def example(number: int, completion: str, **told: object) -> Example:
    known: dict[str, object] = {
        "number": number,
        "cell": {"n": str(number)},
        "repeat": 0,
        "prompt": f"prompt {number}",
        "completion": completion,
        "finish_reason": "stop",
        "completion_tokens": None,
        "prompt_tokens": None,
    }
    return Example(**(known | told))  # type: ignore[arg-type]


def inspected(examples: Sequence[Example], **told: object) -> Quality:
    inspector = Inspector(cells_from({"n": [str(each) for each in range(len(examples))]}), 1, **told)  # type: ignore[arg-type]
    for each in examples:
        inspector.add(each)
    return inspector.finish()


def of(*completions: str, **told: object) -> Quality:
    return inspected([example(number, each) for number, each in enumerate(completions)], **told)
