"""An evaluation that was made before, read back: its figures, and the answers side by side with those that were taught.

Only what `evaluate` writes is read, and the held-out rows.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.generation.run_folder import own_bytes
from herogen_async.tune.evaluation.evaluate import ANSWERS_FILE, FIGURES_FILE, FOLDER
from herogen_async.tune.evaluation.prompts import taught_answers
from herogen_async.tune.evaluation.records import Evaluation
from herogen_async.tune.finetune.records import TunedModel

MOST_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class KeptEvaluation:
    """`samples` are the answers to each question as they came: `prompt`, `tuned`, `base`, `expected`, each None where
    there is none. `at` is when they were written, in seconds since 1970.
    """

    evaluation: Evaluation
    samples: tuple[Mapping[str, Any], ...]
    at: float


def kept_evaluation(tuned: TunedModel) -> KeptEvaluation | None:
    """The latest evaluation of `tuned`; None where there is none. Raises InputError where its files can't be read."""
    folder = tuned.folder / FOLDER
    path = folder / FIGURES_FILE
    try:
        evaluation = Evaluation.from_dict(codec.loads(own_bytes(path)), folder)
        samples = tuple(_samples(tuned, folder / ANSWERS_FILE))
        return KeptEvaluation(evaluation, samples, path.stat().st_mtime)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as broken:
        raise InputError(
            f"the evaluation in {str(folder)!r} can't be read: {broken}",
            fix="make it anew: finetune with --eval",
        ) from None


def _samples(tuned: TunedModel, path: Path) -> Iterator[dict[str, Any]]:
    """The tuned model's answers, each beside the base's of the same turn to the same question."""
    sides: dict[str, dict[str, list[dict[str, Any]]]] = {"tuned": defaultdict(list), "base": defaultdict(list)}
    order: list[str] = []
    for line in own_bytes(path).splitlines():
        answer = codec.loads(line)
        sides[answer["side"]][answer["prompt"]].append(answer)
        if answer["side"] == "tuned" and answer["prompt"] not in order[-1:]:
            order.append(answer["prompt"])
    expected: dict[str, str] = {}
    with contextlib.suppress(InputError, OSError, ValueError):  # rows that have changed since teach nothing about it
        expected = taught_answers(tuned)
    count = 0
    for prompt in dict.fromkeys(order):
        bases = sides["base"][prompt]
        for place, answer in enumerate(sides["tuned"][prompt]):
            if count == MOST_SAMPLES:
                return
            count += 1
            yield {
                "prompt": prompt,
                "cell": answer.get("cell", {}),
                "tuned": _shown(answer),
                "base": _shown(bases[place]) if place < len(bases) else None,
                "expected": expected.get(prompt),
            }


def _shown(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: answer.get(name) for name in ("text", "stopped", "finish_reason", "usage", "latency_ms")}
