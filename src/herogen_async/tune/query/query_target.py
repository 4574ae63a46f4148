"""The target of a question: a tuned model, any model of a server, or the embedded one; and its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.data.dataset.recipe import CONVERSATIONS, MESSAGES, Recipe
from herogen_async.generation.endpoint.embedded import BASE, TUNED
from herogen_async.generation.endpoint.target import EMBEDDED, ApiKey, Server, choose_server, is_embedded
from herogen_async.generation.run_folder import find_run
from herogen_async.generation.settings import check_endpoint
from herogen_async.tune.finetune.model_registry import find_tuned
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.options import LOCAL


@dataclass(frozen=True, slots=True)
class Model:
    """A model as a server is asked for it: `body` is what a request says besides. `name` is what people call it."""

    name: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A model and how it was taught. `server` is None for the embedded one: then `weights` says which.

    `base` is what it was before, where that can be asked at the same place.
    """

    model: Model
    recipe: Recipe
    endpoint: str
    server: Server | None = None
    weights: str | None = None
    adapter: Path | None = None
    base: Model | None = None


def find_target(
    what: str,
    environment: Mapping[str, str],
    *,
    base_url: str | None = None,
    endpoint: str | None = None,
    api_key: ApiKey | None = None,
) -> Target:
    """The target `what` names: a RUN, a recorded model's name, `embedded`, a `.gguf` file, or a model at `base_url`.

    `endpoint` is `completions` or `chat`; None is as the model was taught. Raises InputError.
    """
    check_endpoint(endpoint)
    if is_embedded(what) and base_url is None:
        own = environment.get("HEROGEN_MODEL") if what == EMBEDDED else what
        return _untaught(Model(what), endpoint, weights=own or EMBEDDED)
    try:
        tuned = find_tuned(what)
    except InputError:
        server = None if _is_run(what) else choose_server(base_url, what, environment, api_key=api_key)
        if server is None:
            raise
        return _untaught(Model(what, {"model": what}), endpoint, server=server)
    return target_of(tuned, environment, base_url=base_url, endpoint=endpoint, api_key=api_key)


def target_of(
    tuned: TunedModel,
    environment: Mapping[str, str],
    *,
    base_url: str | None = None,
    endpoint: str | None = None,
    api_key: ApiKey | None = None,
) -> Target:
    """How `tuned` is asked. Raises InputError where no server is known for it, or its key is not at hand."""
    kind = endpoint or ("chat" if tuned.recipe.format in CONVERSATIONS else "completions")
    if tuned.backend == LOCAL and base_url is None:
        if tuned.adapter is None or tuned.weights is None:
            raise InputError(
                f"the embedded server can't serve this model: no GGUF adapter ({tuned.folder})",
                fix=f"serve {tuned.adapter_folder or tuned.name} with vLLM or another server, and pass its --base-url",
            )
        return Target(
            Model(tuned.name, {"lora": TUNED}),
            tuned.recipe,
            kind,
            weights=str(tuned.weights),
            adapter=tuned.adapter,
            base=Model(tuned.base_model, {"lora": BASE}),
        )
    server = choose_server(base_url or tuned.base_url, tuned.name, environment, api_key=api_key)
    if server is None:
        raise InputError(f"no server on record for {tuned.name!r}", fix="give its server with --base-url")
    return Target(
        Model(tuned.name, {"model": tuned.name}),
        tuned.recipe,
        kind,
        server=server,
        base=Model(tuned.base_model, {"model": tuned.base_model}),
    )


def plain_recipe() -> Recipe:
    """That of a model which is asked in the words that are given, and nothing else."""
    return Recipe.of(MESSAGES)


def _untaught(
    model: Model, endpoint: str | None, *, server: Server | None = None, weights: str | None = None
) -> Target:
    """A model of which no fine-tune is recorded: asked as a default data set would teach it, or in plain chat."""
    recipe = plain_recipe() if endpoint == "chat" else Recipe()
    return Target(model, recipe, endpoint or "completions", server=server, weights=weights)


def _is_run(what: str) -> bool:
    try:
        return find_run(what).path.is_dir()
    except (InputError, RunFolderError):
        return False
