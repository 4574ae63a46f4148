"""The folder as it was before: nobody's files are overwritten, and an older data set leaves nothing to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.assemble import trainer_configs

RECIPE, CARD = "recipe.json", "README.md"


def require_place(folder: Path, names: Collection[str]) -> None:
    """InputError when `folder` is no folder, or holds files by those `names`, a README or a trainer's file without a
    recipe beside them.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder", fix="name a folder with --out: several files go in it")
    if (folder / RECIPE).exists():
        return
    found = next((name for name in (*names, CARD, *trainer_configs.NAMES) if (folder / name).exists()), None)
    if found is not None:
        raise InputError(
            f"{str(folder / found)!r} was not made by assemble, as there is no {RECIPE} beside it, and would be lost",
            fix="choose a folder of the data set's own with --out, or move the file away",
        )


def forget(folder: Path, names: Collection[str], file_format: str) -> None:
    """Remove the data files that the folder's last recipe names, when the new data set of that format has none such.

    So no trainer takes rows for training that are on the validation side now. A file that was changed since is a
    person's, and stays.
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
    """The names of the trainers' files that a person has changed since they were made."""
    return tuple(name for name in trainer_configs.NAMES if trainer_configs.is_changed(name, _content(folder / name)))


def forget_stubs(folder: Path, names: Collection[str]) -> None:
    """Remove the trainers' files of an older data set that are not among `names`, and that nobody changed."""
    for name in trainer_configs.NAMES:
        path = folder / name
        if name not in names and path.is_file() and not trainer_configs.is_changed(name, _content(path)):
            path.unlink()


def first_row(path: Path) -> dict[str, Any] | None:
    """The first row of a data file of JSON lines; None of any other."""
    if path.suffix != ".jsonl":
        return None
    with path.open("rb") as file:
        line = file.readline()
    row = codec.loads(line) if line else None
    return row if isinstance(row, dict) else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _recipe(folder: Path) -> dict[str, Any]:
    try:
        known = codec.loads(_content(folder / RECIPE))
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
