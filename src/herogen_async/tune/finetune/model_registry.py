"""Which model a name means: the latest that a run's or a file's fine-tunes made, or one by its own name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from herogen_async.core.errors import DamageError, InputError, RunFolderError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.intents import STEPS, fold, numbered_folders, read_steps
from herogen_async.generation.run_folder import RUNS, RunFolder, find_run
from herogen_async.tune.finetune.log_steps import MODEL
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.finetune.rows import fingerprint_of, is_gone

SUFFIX = ".finetune"  # the folder beside a FILE
_PATHS = ("weights", "adapter", "adapter_folder", "training", "held_out")
_SHOWN = 10  # names in an error


def find_tuned(run_or_model: str) -> TunedModel:
    """The model that a RUN, a FILE, a fine-tune's folder or a model's name means; the latest where there are several.

    Raises InputError when there is none, naming those that there are.
    """
    for folder in _folders_of(run_or_model):
        if (found := last_finetune(folder)) is not None:
            return found
    if (going := _begun(run_or_model)) is not None:
        raise InputError(
            f"the fine-tune in {str(going)!r} has produced no model (yet)",
            fix=f"check its state: herogen-async finetune {run_or_model}",
        )
    known = list(_everywhere())
    for tuned in known:
        if tuned.name == run_or_model:
            return tuned
    names = [repr(tuned.name) for tuned in known[:_SHOWN]]
    raise InputError(
        f"no tuned model named {run_or_model!r} or made from it",
        fix=f"available models: {', '.join(names)}" if names else f"make one with: {_making(run_or_model)}",
    )


def _making(name: str) -> str:
    """The command that makes a model: of the run that was meant, where it is one."""
    with contextlib.suppress(InputError, RunFolderError):
        if (folder := find_run(name)).is_run:
            return f"herogen-async finetune {folder.argument}"
    return "herogen-async finetune RUN"


def last_finetune(folder: Path) -> TunedModel | None:
    """The model of the latest fine-tune in `folder` that made one: RUN/finetune, STEM.finetune, or one of theirs."""
    own = [folder] if (folder / STEPS).is_file() else []
    for each in own or reversed(numbered_folders(folder)):
        if (tuned := tuned_in(each)) is not None:
            return tuned
    return None


def tuned_in(folder: Path) -> TunedModel | None:
    """The model that the fine-tune in `folder` made; None as long as it has made none."""
    model = fold(read_steps(folder)).facts.get(MODEL)
    return None if model is None else _tuned(model, folder)


def without_changed_rows(tuned: TunedModel) -> tuple[TunedModel, list[str]]:
    """`tuned` without the files that are no longer what it was tuned with, and a sentence for each."""
    told = (fold(read_steps(tuned.folder)).request or {}).get("files", {})
    notes: list[str] = []
    left_out: dict[str, Any] = {}
    for role, name in (("training", "training"), ("validation", "held_out")):
        file, sha256 = getattr(tuned, name), told.get(role, {}).get("sha256")
        if file is None or sha256 is None:
            continue
        if not file.is_file():
            notes.append(f"The {role} file is gone: {file}.")
        elif fingerprint_of(file) != sha256:
            notes.append(f"The {role} file was skipped, as it has changed since the model was tuned: {file}.")
        else:
            continue
        left_out[name] = None
    return replace(tuned, **left_out), notes


def model_step(tuned: TunedModel) -> dict[str, Any]:
    """`tuned` as the MODEL step of its log: paths are kept from the folder on, so that a run may be moved."""
    known = {each.name: getattr(tuned, each.name) for each in fields(TunedModel) if each.name != "folder"}
    known["recipe"] = tuned.recipe.as_dict()
    known["metrics"] = dict(tuned.metrics)
    known |= {name: _kept(known[name], tuned.folder) for name in _PATHS}
    return known


def finetunes_of(run_or_file: str) -> Path:
    """Where the fine-tunes of a RUN or a FILE lie. A FILE in a run's data set is the run's: all in there is rebuilt."""
    path = Path(run_or_file)
    if not path.is_file() and not is_gone(run_or_file):
        return find_run(run_or_file).path / "finetune"
    for folder in path.absolute().parents:
        run = RunFolder(folder.parent)
        if folder == run.dataset and run.is_run:
            return run.path / "finetune"
    return path.with_name(path.stem + SUFFIX)


def _folders_of(name: str) -> Iterator[Path]:
    path = Path(name)
    if (path / STEPS).is_file() or path.suffix == SUFFIX:
        yield path
    try:
        yield finetunes_of(name)
    except (InputError, RunFolderError):  # a model's name may hold what no run's does
        return


def _begun(name: str) -> Path | None:
    """The latest fine-tune of a RUN or a FILE, made it a model or not."""
    return next((there[-1] for folder in _folders_of(name) if (there := numbered_folders(folder))), None)


def _everywhere() -> Iterator[TunedModel]:
    """The models of all fine-tunes below runs/ and beside the files of this folder, the latest first."""
    parents = [*RUNS.glob("*/finetune"), *Path().glob(f"*{SUFFIX}")]
    folders = [folder for parent in parents for folder in numbered_folders(parent)]
    for folder in sorted(folders, key=lambda each: (each / STEPS).stat().st_mtime, reverse=True):
        with contextlib.suppress(DamageError, RunFolderError):  # one that can't be read hides no other
            if (tuned := tuned_in(folder)) is not None:
                yield tuned


def _tuned(step: Mapping[str, Any], folder: Path) -> TunedModel:
    known = {each.name: step[each.name] for each in fields(TunedModel) if each.name in step}
    known["recipe"] = Recipe.from_dict(known["recipe"])
    known |= {name: None if known.get(name) is None else _found(known[name], folder) for name in _PATHS}
    return TunedModel(**known, folder=folder)


def _kept(path: Path | None, folder: Path) -> str | None:
    """From the folder on where it lies in the same run or beside the same file, else absolute."""
    if path is None:
        return None
    near = folder.absolute().parent.parent
    path = path.absolute()
    return os.path.relpath(path, folder.absolute()) if path.is_relative_to(near) else str(path)


def _found(kept: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / kept))
