"""The rows that a RUN or a FILE means, and how they were made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data import dataset
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION, Recipe
from herogen_async.data.prepare import inferred_recipe
from herogen_async.generation.run_folder import RunFolder, existing_run
from herogen_async.tune.finetune.file_checks import JSON_LINES, TRAINABLE_FORMATS, holds_pairs, pairs_in
from herogen_async.tune.finetune.records import OPENAI

_RECIPE = "recipe.json"


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on, and what a person should know of it."""

    training: Path
    recipe: Recipe
    validation: Path | None = None
    notices: tuple[str, ...] = ()


def format_for(backend: str) -> str:
    """What a backend learns from where nothing else is said: no hosted model takes prompts and completions."""
    return MESSAGES if backend == OPENAI else PROMPT_COMPLETION


def find_data(target: str, file_format: str, *, validation: Path | None = None, assembles: bool = True) -> Data | None:
    """The rows of a RUN (those that were assembled, or are now) or of a FILE; None when there are none yet and
    `assembles` is False. Raises InputError.
    """
    if validation is not None and not validation.is_file():
        raise InputError(f"there is no validation file {str(validation)!r}", fix="check --validation")
    if Path(target).is_file():
        return _of_file(Path(target), validation)
    _require_run(target)
    if file_format not in TRAINABLE_FORMATS:
        raise InputError(f"{file_format!r} is no format to fine-tune on", fix=f"valid: {', '.join(TRAINABLE_FORMATS)}")
    folder = existing_run(target)
    place = _place(folder, file_format)
    notices: tuple[str, ...] = ()
    if not (place / _RECIPE).is_file():
        if not assembles:
            return None
        assembled = dataset.assemble(target, format=file_format)
        notices = ("Nothing was assembled yet: assembling now.", *assembled.lines())
    known = _recipe_in(place)
    training, held_out = _by_role(place, known)
    return Data(training, Recipe.from_dict({"format": file_format, **known}), validation or held_out, notices)


def format_of(target: str) -> str | None:
    """The format of a FILE whose recipe lies beside it; None of anything else."""
    file = Path(target)
    if not file.is_file() or not file.with_name(_RECIPE).is_file():
        return None
    known = _recipe_in(file.parent)
    return Recipe.from_dict(known).format if file.name in known.get("files", {}) else None


def _require_run(target: str) -> None:
    path = Path(target)
    if path.is_dir() or path.suffix == "" or os.sep not in target:
        return
    raise InputError(f"there is no file {target!r}", fix="name a RUN, or a JSON lines file")


def _place(folder: RunFolder, file_format: str) -> Path:
    return folder.dataset if file_format == PROMPT_COMPLETION else folder.dataset / file_format


def _of_file(file: Path, validation: Path | None) -> Data:
    if file.suffix.lower() not in JSON_LINES:
        raise InputError(f"{str(file)!r} is no JSON lines file", fix=f"make one with: herogen-async prepare -f {file}")
    beside = file.with_name(_RECIPE)
    if beside.is_file():
        known = _recipe_in(file.parent)
        told = known.get("files", {})
        if file.name in told:
            held_out = next((name for name, each in told.items() if _role(each) == "valid"), None)
            is_train = _role(told[file.name]) == "train"
            valid = validation or (file.with_name(held_out) if held_out and is_train else None)
            return Data(file, Recipe.from_dict(known), valid)
    recipe = inferred_recipe(pairs_in(file)) if holds_pairs(file) else Recipe(MESSAGES, "", "", "")
    notice = (
        f"The rows are {recipe.format}"
        + (f", their separator is {recipe.separator!r}" if recipe.separator else "")
        + (f", their ending {recipe.ending!r}" if recipe.ending else "")
        + "."
    )
    return Data(file, recipe, validation, (notice,))


def _recipe_in(place: Path) -> dict[str, Any]:
    path = place / _RECIPE
    try:
        known = codec.loads(path.read_bytes())
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        raise InputError(f"{str(path)!r} can't be read", fix="assemble the run again")
    return known


def _by_role(place: Path, known: dict[str, Any]) -> tuple[Path, Path | None]:
    """The file to train on, and the one that was held out."""
    told = {name: each for name, each in known.get("files", {}).items() if name.endswith(".jsonl")}
    by_role: dict[str, Path] = {}
    for name, each in told.items():
        by_role.setdefault(_role(each), place / name)
    training = by_role.get("train") or by_role.get("all")
    if training is None:
        raise InputError(f"{str(place / _RECIPE)!r} names no file to train on", fix="assemble the run again")
    return training, by_role.get("valid") if "train" in by_role else None


def _role(told: Any) -> str:
    return str(told.get("role", "all")) if isinstance(told, dict) else "all"
