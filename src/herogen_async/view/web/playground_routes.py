"""The playground's addresses.

| address | answers |
|---|---|
| `GET /api/run/RUN/playground` | the models that can be asked, what their questions are made of, what they cost |
| `POST /api/run/RUN/playground/question` | a question as it will be sent: `model`, and `cell` or `text` |
| `POST /api/run/RUN/playground` | ask: `model`, `text`, `cell`, `samples`, `temperature`, `max_tokens`, `compare`; \
a line of JSON for each event |

Keys are those of the server's own environment. A page can name a model of its run and nothing else: no address and no
file comes from it, so it can send a key nowhere that its person has not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.generation.intents import STEPS, numbered_folders
from herogen_async.generation.limits import estimate_tokens
from herogen_async.generation.prices import Price
from herogen_async.tune.query import Conversation, RunModel, Target, run_models, sent_text
from herogen_async.view.web.json_requests import json_answer, json_body, told_refusal
from herogen_async.view.web.playground import (
    MOST_SAMPLES,
    MOST_TEMPERATURE,
    MOST_TOKENS,
    AnswerEvent,
    Playground,
    asking_from,
    model_price,
)
from herogen_async.view.web.run_list import RunList

_MOST_BODY = 1 << 20  # bytes of a question
_MOST_VALUES = 500  # of an attribute, to choose from; any other can be typed


def playground_routes(runs: RunList, is_ending: Callable[[], bool]) -> list[Route]:
    """The addresses of the playground. `is_ending` says whether the server stops."""
    playground, known = Playground(is_ending), _KnownModels(runs)

    async def models(request: Request) -> Response:
        name = request.path_params["run"]
        return json_answer(await asyncio.to_thread(lambda: _told(known.of(name))))

    async def question(request: Request) -> Response:
        said, name = await json_body(request, _MOST_BODY), request.path_params["run"]
        return json_answer(await asyncio.to_thread(lambda: _question(known.one(name, said), said)))

    async def ask(request: Request) -> Response:
        said, name = await json_body(request, _MOST_BODY), request.path_params["run"]
        model = await asyncio.to_thread(known.one, name, said)
        target = await asyncio.to_thread(model.target, os.environ)
        how = asking_from(said, has_base=target.base is not None)
        asked = model.asked(_text(said), _cell(said))
        events = playground.answers(target, asked, how)
        return _Streamed(_lines(events), media_type="application/x-ndjson")

    return [
        Route("/api/run/{run}/playground", models),
        Route("/api/run/{run}/playground", ask, methods=["POST"]),
        Route("/api/run/{run}/playground/question", question, methods=["POST"]),
    ]


class _Streamed(StreamingResponse):
    """Ends what it tells of when nobody listens any more, at once: not when somebody collects it."""

    async def stream_response(self, send: Any) -> None:
        async with contextlib.aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)


async def _lines(events: AsyncIterator[AnswerEvent]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(events):  # type: ignore[type-var]
        async for event in events:
            yield codec.dumps(event) + b"\n"


class _KnownModels:
    """The models of runs, found anew when something of them was written: a question is looked at as it is typed."""

    def __init__(self, runs: RunList) -> None:
        self._runs = runs
        self._known: dict[str, tuple[object, list[RunModel]]] = {}

    def of(self, name: str) -> list[RunModel]:
        """Those of the run of that name. Raises RunFolderError, DamageError."""
        folder = self._runs.open(name).folder
        steps = [each / STEPS for each in numbered_folders(folder.path / "finetune")]
        stamp = [(each, each.stat().st_mtime_ns) for each in (folder.manifest, *steps)]
        before, models = self._known.get(name, (None, []))
        if before != stamp:
            models = run_models(folder)
            self._known[name] = stamp, models
        return models

    def one(self, name: str, said: Mapping[str, Any]) -> RunModel:
        """The one that a page means. Raises InputError."""
        for each in self.of(name):
            if each.id == said.get("model"):
                return each
        raise InputError("this run has no such model", fix="reload the page: the run may have changed")


def _told(models: list[RunModel]) -> dict[str, Any]:
    return {
        "models": [_model_told(each) for each in models],
        "most": {"samples": MOST_SAMPLES, "max_tokens": MOST_TOKENS, "temperature": MOST_TEMPERATURE},
    }


def _model_told(model: RunModel) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": model.id,
        "name": model.name,
        "base": model.base,
        "base_url": model.base_url,
        "attributes": {name: list(islice(values, _MOST_VALUES)) for name, values in model.attributes.items()},
        "optional": list(model.optional),
        "ending": model.recipe.ending,
        "temperature": model.how.temperature,
        "max_tokens": min(model.how.max_tokens, MOST_TOKENS),
        "is_here": False,
        "price": None,
        "problem": None,
    }
    try:
        target = model.target(os.environ)
    except InputError as error:
        return {**told, "problem": told_refusal(error)}
    price = _dearest(target)
    return {
        **told,
        "is_here": target.server is None,
        "base": None if target.base is None else target.base.name,
        "endpoint": target.endpoint,
        "price": None if price is None else {"input_usd": price.input_usd, "output_usd": price.output_usd},
    }


def _dearest(target: Target) -> Price | None:
    """Of the model and its base: nobody pays more than is told."""
    at = MonotonicClock().wall()
    names = [target.model.name, *([] if target.base is None else [target.base.name])]
    prices = [model_price(target, name, at) for name in names]
    known = [each for each in prices if each is not None]
    return max(known, key=lambda each: each.output_usd) if len(known) == len(prices) else None


def _question(model: RunModel, said: Mapping[str, Any]) -> dict[str, Any]:
    cell = _cell(said)
    text = _text(said) if "text" in said else model.question(cell)
    asked = model.asked(text, cell)
    recipe = model.recipe
    whole = asked.sent if isinstance(asked, Conversation) else recipe.question(asked)
    system = asked.messages[0]["content"] if isinstance(asked, Conversation) else recipe.system
    return {
        "text": text,
        "sent": sent_text(asked, recipe),
        "system": system,
        "tokens": estimate_tokens(whole, 1) - 1,
    }


def _text(said: Mapping[str, Any]) -> str:
    text = said.get("text")
    if not isinstance(text, str):
        raise InputError("the question is missing", fix="type one")
    return text


def _cell(said: Mapping[str, Any]) -> dict[str, str]:
    cell = said.get("cell", {})
    if not isinstance(cell, dict) or not all(isinstance(each, str) for each in cell.values()):
        raise InputError("the attributes are no texts", fix="reload the page")
    return {name: value for name, value in cell.items() if value}
