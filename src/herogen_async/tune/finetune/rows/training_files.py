"""The rows that a RUN or a FILE means, and how they were made."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data import dataset
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION, Recipe
from herogen_async.data.prepare import inferred_recipe
from herogen_async.generation.run_folder import RunFolder, existing_run
from herogen_async.tune.finetune.rows.row_checks import JSON_LINES, fingerprint_of, holds_pairs, pairs_in
from herogen_async.tune.options import OPENAI, TRAINABLE_FORMATS

_RECIPE = "recipe.json"


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """What is trained on, and what a person should know of it."""

    training: Path
    recipe: Recipe
    validation: Path | None = None
    notices: tuple[str, ...] = ()


def format_for(backend: str) -> str:
    """What a backend learns from where nothing else is said: no hosted model takes prompts and completions."""
    return MESSAGES if backend == OPENAI else PROMPT_COMPLETION


def find_files(target: str, file_format: str, *, validation: Path | None = None) -> TrainingFiles:
    """The rows of a RUN (those that were assembled, or are now) or of a FILE. Raises InputError."""
    known = known_files(target, file_format, validation=validation)
    if known is not None:
        return known
    how, why = _as_before(existing_run(target), file_format)
    assembled = dataset.assemble(target, format=file_format, **how)
    files = _of_run(existing_run(target), file_format, validation)
    return replace(files, notices=(why, *assembled.lines()))


def _as_before(folder: RunFolder, file_format: str) -> tuple[dict[str, Any], str]:
    """How the run's rows were chosen for a data set of another format, so that they are again; and a sentence."""
    other = next((each for each in TRAINABLE_FORMATS if (_place(folder, each) / _RECIPE).is_file()), None)
    if other is None:
        return {}, f"No data set assembled yet: assembling now, as {file_format}."
    known = _recipe_in(_place(folder, other))
    how = {name: known[name] for name in ("truncated", "reasoning", "drop", "column") if known.get(name)}
    if split := known.get("split"):
        how |= {"split": split["fraction"], "seed": split["seed"]}
    said = ", ".join(f"{name} {' '.join(value) if isinstance(value, list) else value}" for name, value in how.items())
    return how, (
        f"The data set in {_place(folder, other)} is {other}: assembling {file_format} now"
        + (f", with the same choices ({said})." if said else ".")
    )


def known_files(target: str, file_format: str, *, validation: Path | None = None) -> TrainingFiles | None:
    """The same; None where nothing was assembled yet."""
    if validation is not None and not validation.is_file():
        raise InputError(f"no such validation file: {str(validation)!r}", fix="check --validation")
    if Path(target).is_file():
        return _of_file(Path(target), validation)
    _require_run(target)
    folder = existing_run(target)
    is_assembled = (_place(folder, file_format) / _RECIPE).is_file()
    return _of_run(folder, file_format, validation) if is_assembled else None


def fingerprints_of(files: TrainingFiles) -> dict[str, str]:
    """The SHA-256 of each file, by role."""
    by_role = {"training": files.training, "validation": files.validation}
    return {role: fingerprint_of(file) for role, file in by_role.items() if file is not None}


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
    raise InputError(f"no such file: {target!r}", fix="give a RUN or a JSON lines file")


def _place(folder: RunFolder, file_format: str) -> Path:
    return folder.dataset if file_format == PROMPT_COMPLETION else folder.dataset / file_format


def _of_run(folder: RunFolder, file_format: str, validation: Path | None) -> TrainingFiles:
    place = _place(folder, file_format)
    known = _recipe_in(place)
    training, held_out = _by_role(place, known)
    return TrainingFiles(training, Recipe.from_dict({"format": file_format, **known}), validation or held_out)


def _of_file(file: Path, validation: Path | None) -> TrainingFiles:
    if file.suffix.lower() not in JSON_LINES:
        raise InputError(
            f"{str(file)!r} is not a JSON lines file", fix=f"make one with: herogen-async prepare -f {file}"
        )
    beside = file.with_name(_RECIPE)
    if beside.is_file():
        known = _recipe_in(file.parent)
        told = known.get("files", {})
        if file.name in told:
            held_out = next((name for name, each in told.items() if _role(each) == "valid"), None)
            is_train = _role(told[file.name]) == "train"
            valid = validation or (file.with_name(held_out) if held_out and is_train else None)
            return TrainingFiles(file, Recipe.from_dict(known), valid)
    recipe = inferred_recipe(pairs_in(file)) if holds_pairs(file) else Recipe(MESSAGES, "", "", "")
    notice = (
        f"Rows: {recipe.format}"
        + (f", separator {recipe.separator!r}" if recipe.separator else "")
        + (f", ending {recipe.ending!r}" if recipe.ending else "")
        + "."
    )
    return TrainingFiles(file, recipe, validation, (notice,))


def _recipe_in(place: Path) -> dict[str, Any]:
    path = place / _RECIPE
    try:
        known = codec.loads(path.read_bytes())
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        raise InputError(f"can't read {str(path)!r}", fix="assemble the run again")
    return known


def _by_role(place: Path, known: dict[str, Any]) -> tuple[Path, Path | None]:
    """The file to train on, and the one that was held out."""
    told = {name: each for name, each in known.get("files", {}).items() if name.endswith(".jsonl")}
    by_role: dict[str, Path] = {}
    for name, each in told.items():
        by_role.setdefault(_role(each), place / name)
    training = by_role.get("train") or by_role.get("all")
    if training is None:
        raise InputError(f"{str(place / _RECIPE)!r} names no training file", fix="assemble the run again")
    return training, by_role.get("valid") if "train" in by_role else None


def _role(told: Any) -> str:
    return str(told.get("role", "all")) if isinstance(told, dict) else "all"
