"""The folder's earlier content: no foreign file is overwritten, and no older data set is left to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.assemble import trainer_configs
from herogen_async.generation.run_folder import own_bytes

RECIPE, CARD, QUALITY = "recipe.json", "README.md", "quality"


def require_place(folder: Path, names: Collection[str]) -> None:
    """Raise InputError when `folder` is not a folder, or has a file of these `names`, a README or a trainer config
    without a recipe next to it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{str(folder)!r} is not a folder", fix="give a folder with --out; a data set has several files"
        )
    if (folder / QUALITY).is_symlink():  # the report would be written wherever it leads
        raise InputError(f"{str(folder / QUALITY)!r} is a link", fix="remove it, or give another folder with --out")
    if (folder / RECIPE).exists():
        return
    found = next((name for name in (*names, CARD, *trainer_configs.NAMES) if (folder / name).exists()), None)
    if found is not None:
        raise InputError(
            f"{str(folder / found)!r} was not made by assemble (no {RECIPE} next to it) and would be overwritten",
            fix="choose a separate folder for the data set with --out, or move the file away",
        )


def forget(folder: Path, names: Collection[str], file_format: str) -> None:
    """Remove data files named in the folder's last recipe that the new data set of that format does not have.

    This keeps trainers from training on rows that are now for validation. A file that was edited since is kept.
    """
    known = _recipe(folder)
    if known.get("format", file_format) != file_format or not isinstance(known.get("files"), dict):
        return
    for name, facts in known["files"].items():
        path = folder / name
        if name in names or path.name != name or not path.is_file() or not isinstance(facts, dict):
            continue
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == facts.get("sha256")
        if same:
            path.unlink()


def changed_stubs(folder: Path) -> tuple[str, ...]:
    """The names of the trainer configs that were edited after they were made."""
    return tuple(name for name in trainer_configs.NAMES if trainer_configs.is_changed(name, _content(folder / name)))


def forget_stubs(folder: Path, names: Collection[str]) -> None:
    """Remove trainer configs of an older data set that are not in `names` and were not edited."""
    for name in trainer_configs.NAMES:
        path = folder / name
        if name not in names and path.is_file() and not trainer_configs.is_changed(name, _content(path)):
            path.unlink()


def first_row(path: Path) -> dict[str, Any] | None:
    """The first row of a JSON Lines data file; None for any other."""
    if path.suffix != ".jsonl":
        return None
    with path.open("rb") as file:
        line = file.readline()
    row = codec.loads(line) if line else None
    return row if isinstance(row, dict) else None


def _content(path: Path) -> bytes:
    try:
        return own_bytes(path)
    except OSError:
        return b""


def _recipe(folder: Path) -> dict[str, Any]:
    try:
        known = codec.loads(_content(folder / RECIPE))
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
