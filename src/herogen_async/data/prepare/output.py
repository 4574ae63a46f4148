"""Writes the rows next to the file, under a free name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import BinaryIO

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.output_paths import derived_file
from herogen_async.data.prepare.records import COMPLETION, PROMPT, Table
from herogen_async.data.prepare.split import split

WHOLE = ("",)
PARTED = ("_train", "_valid")


def free_names(path: Path, parts: Iterable[str]) -> tuple[Path, ...]:
    """`<stem>_prepared<part>.jsonl` for every part, with the first ` (1)`, ` (2)` ... for which none exists yet."""
    stem = path.with_suffix("")
    for number in count():
        again = f" ({number})" if number else ""
        names = tuple(stem.with_name(f"{stem.name}_prepared{part}{again}.jsonl") for part in parts)
        if not any(os.path.lexists(name) for name in names):
            return names
    raise AssertionError


def write(table: Table, path: Path, *, parted: bool) -> tuple[Path, ...]:
    """Write `table` next to `path`, as one file or as training and validation rows: all files, or none.

    Raises InputError if the folder is unwritable, DiskError if the disk is full.
    """
    names = free_names(path, PARTED if parted else WHOLE)
    tables = split(table) if parted else (table,)
    try:
        with ExitStack() as files:
            for name, part in zip(names, tables, strict=True):
                _write_rows(files.enter_context(derived_file(name)), part)
    except InputError as error:
        raise InputError(
            error.message, fix="copy the file to a writable folder, under a short name, and run prepare there"
        ) from error
    return names


def _write_rows(file: BinaryIO, table: Table) -> None:
    for prompt, completion in zip(table.prompts, table.completions, strict=True):
        file.write(codec.dumps({PROMPT: prompt, COMPLETION: completion}) + b"\n")
