"""From what a person asked for to an order: a new one, or the one of a fine-tune that is there already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.target import EMBEDDED, ApiKey, Server, choose_server, is_embedded
from herogen_async.generation.intents import ChainState, fold, numbered_folders, read_steps
from herogen_async.tune.finetune.file_checks import CheckedRows
from herogen_async.tune.finetune.hosted import LONGEST_SUFFIX
from herogen_async.tune.finetune.log_steps import CREATE, MODEL, OVER, files_in
from herogen_async.tune.finetune.records import BACKENDS, LOCAL, OPENAI, TuneRequest
from herogen_async.tune.finetune.training_files import Data

# What tells two fine-tunes of the same rows apart.
SETTINGS = (
    "backend",
    "model",
    "base_url",
    "format",
    "suffix",
    "epochs",
    "seed",
    "method",
    "batch_size",
    "learning_rate",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for; None: as the fine-tune that is there has it, else as the backend does by itself."""

    target: str
    backend: str | None = None
    model: str | None = None
    base_url: str | None = None
    format: str | None = None
    suffix: str | None = None
    epochs: int | None = None
    validation: Path | None = None
    seed: int | None = None
    method: str | None = None
    batch_size: int | None = None
    learning_rate: float | None = None

    def check(self) -> None:
        """Raises InputError for a value that no backend takes."""
        if self.backend not in (None, *BACKENDS):
            raise InputError(f"{self.backend!r} is no backend", fix=f"valid: {', '.join(BACKENDS)}")
        if self.suffix is not None and not 0 < len(self.suffix) <= LONGEST_SUFFIX:
            raise InputError(
                f"the suffix {self.suffix!r} has {len(self.suffix)} characters",
                fix=f"give 1 to {LONGEST_SUFFIX} characters with --suffix",
            )
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name.replace('_', '-')} {value!r} is not more than 0", fix="give a larger one")

    def settings(self) -> dict[str, Any]:
        """What was said, as the log keeps it."""
        said = {name: getattr(self, name) for name in SETTINGS}
        if self.base_url is not None:
            said["base_url"] = self.base_url.strip().rstrip("/")
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Held:
    """A fine-tune that is there already. `amended`: the service refused it as it was, and it is tried as it is now."""

    folder: Path
    state: ChainState
    amended: bool = False

    @property
    def request(self) -> Mapping[str, Any]:
        """The step that it begins with."""
        return self.state.request or {}

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.request["settings"])

    @property
    def tag(self) -> str:
        return str(self.request["tag"])

    @property
    def job_id(self) -> str | None:
        return self.state.results.get(CREATE)

    @property
    def over(self) -> Mapping[str, Any] | None:
        """How its job ended; None while it has not."""
        return self.state.facts.get(OVER)

    @property
    def has_model(self) -> bool:
        return MODEL in self.state.facts


def held_for(parent: Path, wanted: Wanted) -> Held | None:
    """The latest fine-tune in `parent` that is what was asked for; None when there is none at all.

    Raises InputError, naming what differs, when there are only others. A damaged log matters only to who needs it.
    """
    latest: Held | None = None
    for folder in reversed(numbered_folders(parent)):
        each = Held(folder, fold(read_steps(folder)))
        if each.state.request is None:
            continue
        if not _differences(wanted, each):
            return each
        latest = latest or each
    if latest is None:
        return None
    differ = _differences(wanted, latest)
    if latest.state.refused and not latest.job_id and not _of_no_use(latest, differ):
        return replace(latest, amended=True)
    said = "; ".join(
        f"{name} {new!r}, it has {'none of its own' if old is None else repr(old)}"
        for name, (new, old) in differ.items()
    )
    raise InputError(
        f"{str(latest.folder)!r} is another fine-tune than this: {said}",
        fix="leave those options away to go on with it, or start another beside it with --new",
    )


def settings_of(folder: Path) -> dict[str, Any]:
    """What the fine-tune in `folder` was ordered with, by the names in SETTINGS."""
    return Held(folder, fold(read_steps(folder))).settings


def choose_backend(wanted: Wanted, environment: Mapping[str, str]) -> tuple[str, str]:
    """Where a new fine-tune runs, and why: a sentence, empty when it was said."""
    if wanted.backend is not None:
        return wanted.backend, ""
    if wanted.base_url is not None or environment.get("OPENAI_BASE_URL", "").strip():
        return OPENAI, "Backend openai: a base URL is given."
    model = wanted.model
    if model is not None and (is_embedded(model) or Path(model).is_dir()):
        return LOCAL, f"Backend local: {model} is on this machine."
    if environment.get("OPENAI_API_KEY", "").strip():
        return OPENAI, "Backend openai: OPENAI_API_KEY is set (--backend local trains on this machine)."
    return LOCAL, "Backend local: there is neither a base URL nor a key, so it trains on this machine."


def server_for(base_url: str | None, environment: Mapping[str, str], api_key: ApiKey | None) -> Server:
    """Where the `openai` backend asks. Raises InputError."""
    server = choose_server(base_url, None, environment, api_key=api_key)
    if server is None:
        raise InputError(
            "the backend openai needs a base URL or a key", fix="export OPENAI_API_KEY=..., or give --base-url"
        )
    return server


def new_tune_request(wanted: Wanted, backend: str, data: Data, base_url: str | None) -> TuneRequest:
    """The order of a fine-tune that begins. Raises InputError when no model is named and there is no default."""
    model = wanted.model or (EMBEDDED if backend == LOCAL else None)
    if model is None:
        raise InputError(
            "the backend openai has no model of its own to tune", fix="name one that the service can tune with --model"
        )
    settings = {
        name: getattr(wanted, name) for name in SETTINGS if name not in ("backend", "model", "base_url", "format")
    }
    return TuneRequest(
        backend=backend,
        model=model,
        training=data.training,
        recipe=data.recipe,
        validation=data.validation,
        base_url=base_url,
        **settings,
    )


def merged(wanted: Wanted, settings: Mapping[str, Any]) -> Wanted:
    """`wanted`, with the settings of the fine-tune that is there where nothing was said."""
    return replace(wanted, **{name: value for name, value in settings.items() if getattr(wanted, name) is None})


def order_step(order: TuneRequest, rows: Mapping[str, CheckedRows], tag: str, folder: Path) -> dict[str, Any]:
    """`order` as a step of its log; paths are kept from the folder on."""
    settings = {name: getattr(order, name) for name in SETTINGS if name != "format"}
    files = {role: {"path": os.path.relpath(each.file, folder), **each.as_dict()} for role, each in rows.items()}
    return {
        "tag": tag,
        "settings": {**settings, "format": order.recipe.format},
        "recipe": order.recipe.as_dict(),
        "files": files,
    }


def held_order(held: Held) -> TuneRequest:
    """The order of a fine-tune that is there, as it was given."""
    step = held.request
    paths = {role: Path(os.path.normpath(held.folder / each["path"])) for role, each in step["files"].items()}
    settings = {name: value for name, value in held.settings.items() if name != "format"}
    return TuneRequest(
        training=paths["training"],
        validation=paths.get("validation"),
        recipe=Recipe.from_dict(step["recipe"]),
        **settings,
    )


def changed_files(held: Held, found: Mapping[str, str]) -> list[str]:
    """What is no longer as it was when the fine-tune began; `found` is the SHA-256 of each role's file now."""
    told: Mapping[str, Mapping[str, Any]] = held.request["files"]
    sentences = []
    for role in sorted(told.keys() | found.keys()):
        before, now = told.get(role, {}).get("sha256"), found.get(role)
        if before is None or now is None:
            sentences.append(f"the {role} file is {'new' if before is None else 'gone'}")
        elif before != now:
            done = "uploaded" if role in files_in(held.state.results) else "checked"
            sentences.append(
                f"the {role} file has changed since it was {done} (sha256 {before[:12]}..., now {now[:12]}...)"
            )
    return sentences


def _of_no_use(held: Held, differ: Mapping[str, Any]) -> bool:
    """Whether what was done for `held` can't serve an order that differs so: files are at one service, for good."""
    elsewhere = {"backend", "format"} | ({"base_url"} if held.state.results else set())
    return not elsewhere.isdisjoint(differ)


def _differences(wanted: Wanted, held: Held) -> dict[str, tuple[Any, Any]]:
    """What was said -> as it was said, and as it is there."""
    there = held.settings
    return {name: (said, there.get(name)) for name, said in wanted.settings().items() if said != there.get(name)}
