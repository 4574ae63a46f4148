"""What tests of asking share: a run with a recorded tuned model, and servers that answer as one would."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.intents.intent_log import IntentLog
from herogen_async.tune.finetune.log_steps import MODEL
from herogen_async.tune.finetune.model_registry import model_step
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.options import OPENAI
from support.fake_server import Asked, Reply, answer

HEROES = Recipe(
    sub_prompt="{age}, {gender}, {power}",
    attributes={"age": ("18", "40"), "gender": ("man", "woman"), "power": ("flight", "telepathy")},
)


def tuned_model(folder: Path, url: str | None, recipe: Recipe = HEROES, **more: Any) -> TunedModel:
    """`ft-hero`, tuned from `base-1`, recorded as the fine-tune 001 of the run `heroes` below `folder`."""
    place = folder / "runs" / "heroes" / "finetune" / "001"
    tuned = TunedModel("ft-hero", OPENAI, "base-1", recipe, place, base_url=url, **more)
    with IntentLog.open(place, datetime(2026, 11, 1, tzinfo=UTC)) as log:
        log.append({"step": MODEL, **model_step(tuned)})
    return tuned


def rows_file(path: Path, pairs: Iterable[tuple[str, str]]) -> Path:
    """A fine-tune file of prompts and completions, with the default marks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"prompt": f"{prompt} ->", "completion": f" {text} END"}) for prompt, text in pairs]
    path.write_text("\n".join(lines) + "\n")
    return path


def taught(asked: Asked) -> Reply:
    """The tuned model names what it is asked for and stops, its base rambles to its limit."""
    if asked.body.get("model") == "ft-hero":
        age, gender, power = asked.prompt.removesuffix(" ->").split(", ")
        return answer(asked, f" A {age}-year-old {gender} with the gift of {power}, number {asked.body.get('seed')}.")
    return answer(asked, "2019-01-01T00:00:00Z, 2019-01-01", finish_reason="length")
