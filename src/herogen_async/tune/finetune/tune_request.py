"""From options to a request: the backend, the service, the model and the files of a fine-tune are chosen; and how a
request stands in its log.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.target import EMBEDDED, ApiKey, Server, choose_server, is_embedded
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.finetune.rows import CheckedRows, TrainingFiles
from herogen_async.tune.options import KEPT, LOCAL, OPENAI, FinetuneOptions

_AS_SAID = [name for name in KEPT if name not in ("backend", "model", "base_url", "format")]


def choose_backend(options: FinetuneOptions, environment: Mapping[str, str]) -> tuple[str, str]:
    """Where a new fine-tune runs, and why: a sentence, empty when it was said."""
    if options.backend is not None:
        return options.backend, ""
    if options.base_url is not None or environment.get("OPENAI_BASE_URL", "").strip():
        return OPENAI, "Backend openai: a base URL is set."
    model = options.model
    if model is not None and (is_embedded(model) or Path(model).is_dir()):
        return LOCAL, f"Backend local: model {model} is on this machine."
    if environment.get("OPENAI_API_KEY", "").strip():
        return OPENAI, "Backend openai: OPENAI_API_KEY is set (use --backend local to train on this machine)."
    return LOCAL, "Backend local: no base URL or key is set, so training runs on this machine."


def server_for(base_url: str | None, environment: Mapping[str, str], api_key: ApiKey | None) -> Server:
    """Where the `openai` backend asks. Raises InputError."""
    server = choose_server(base_url, None, environment, api_key=api_key)
    if server is None:
        raise InputError(
            "backend openai needs a base URL or a key", fix="export OPENAI_API_KEY=..., or give --base-url"
        )
    return server


def new_tune_request(
    options: FinetuneOptions, backend: str, *, files: TrainingFiles, base_url: str | None
) -> TuneRequest:
    """The request of a fine-tune that begins. Raises InputError when no model is named and there is no default."""
    model = options.model or (EMBEDDED if backend == LOCAL else None)
    if model is None:
        raise InputError(
            "backend openai has no default model to tune", fix="choose one that the service can tune with --model"
        )
    return TuneRequest(
        backend=backend,
        model=model,
        training=files.training,
        recipe=files.recipe,
        validation=files.validation,
        base_url=base_url,
        **{name: getattr(options, name) for name in _AS_SAID},
    )


def request_step(request: TuneRequest, rows: Mapping[str, CheckedRows], tag: str, folder: Path) -> dict[str, Any]:
    """`request` as a step of its log, keys in the order of 0.1.0; paths are kept from the folder on."""
    settings = {name: getattr(request, name) for name in KEPT if name not in ("format", "fields")}
    if request.fields is not None:  # only where some are given: a log without them is as 0.1.0 writes it
        settings["fields"] = dict(request.fields)
    files = {role: {"path": os.path.relpath(each.file, folder), **each.as_dict()} for role, each in rows.items()}
    return {
        "tag": tag,
        "settings": {**settings, "format": request.recipe.format},
        "recipe": request.recipe.as_dict(),
        "files": files,
    }


def request_in(step: Mapping[str, Any], folder: Path) -> TuneRequest:
    """The request that a fine-tune's log begins with, as it was given."""
    paths = {role: Path(os.path.normpath(folder / each["path"])) for role, each in step["files"].items()}
    settings = {name: value for name, value in step["settings"].items() if name != "format"}
    return TuneRequest(
        training=paths["training"],
        validation=paths.get("validation"),
        recipe=Recipe.from_dict(step["recipe"]),
        **settings,
    )
