"""The fine-tune files of a run: pairs as CSV, the same pairs with separator and ending as JSONL, and their recipe."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async import codec
from herogen_async.dataset.assembled import Assembled
from herogen_async.dataset.destination import derived_file
from herogen_async.dataset.failures import latest_failures
from herogen_async.dataset.recipe import (
    CUT_OFF,
    EMPTY,
    ENDING,
    LEAD,
    NO_SENTENCE,
    SEPARATOR,
    STOPPED,
    TRUNCATED,
    LeftOut,
    Pair,
    pair_of,
)
from herogen_async.dataset.rows import RunRows
from herogen_async.dataset.table import CsvTable
from herogen_async.errors import InputError
from herogen_async.journal import is_held

CSV = "prepared_data.csv"
JSONL = "prepared_data_prepared.jsonl"
RECIPE = "recipe.json"


def assemble(
    run: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None, truncated: str = "drop"
) -> Assembled:
    """Write the fine-tune files of `run` to the folder `out`, by default the run's own dataset folder.

    `truncated` says what becomes of answers whose finish_reason is not `stop`: `drop` leaves them out, `trim` cuts
    them to their last full sentence, `keep` takes them as they are. Empty answers are always left out, equal rows
    always kept. Each file appears whole or not at all, the recipe last.
    Raises InputError (a wrong mode or place, a run without rows), RunFolderError, DamageError, DiskError.
    """
    if truncated not in TRUNCATED:
        raise InputError(f"{truncated!r} is no way to treat truncated answers", fix=f"valid: {', '.join(TRUNCATED)}")
    rows = RunRows(run)
    if not len(rows):
        raise InputError(
            f"there is no answer in {str(rows.folder.path)!r} yet: nothing was written",
            fix=f"get some with: herogen-async resume {rows.folder.argument}",
        )
    folder = rows.folder.dataset if out is None else Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder", fix="name a folder with --out: three files go in it")
    count = _Count()
    with ExitStack() as files:
        csv = _HashedFile(files.enter_context(derived_file(folder / CSV)))
        jsonl = _HashedFile(files.enter_context(derived_file(folder / JSONL)))
        _write_pairs(rows, truncated, count, csv=csv, jsonl=jsonl)
    assembled = _assembled(rows, folder, truncated, count)
    with derived_file(assembled.recipe) as file:
        file.write(codec.dumps_pretty(_recipe(rows, assembled, {CSV: csv.sha256, JSONL: jsonl.sha256})))
    return assembled


def _assembled(rows: RunRows, folder: Path, truncated: str, count: _Count) -> Assembled:
    failed = len(latest_failures(rows))
    total = max(rows.plan.within(rows.manifest.settings.limit), len(rows) + failed)
    return Assembled(
        run=rows.folder.argument,
        csv=folder / CSV,
        jsonl=folder / JSONL,
        recipe=folder / RECIPE,
        truncated=truncated,
        rows=len(rows),
        written=count.written,
        trimmed=count.trimmed,
        cut_off=dict(count.cut_off.most_common()),
        empty=count.empty,
        no_full_sentence=count.no_full_sentence,
        not_stopped=count.not_stopped,
        separator_inside=count.separator_inside,
        ending_inside=count.ending_inside,
        failed=failed,
        pending=total - len(rows) - failed,
        running=is_held(rows.folder),
    )


@dataclass(slots=True)
class _Count:
    written: int = 0
    trimmed: int = 0
    separator_inside: int = 0
    ending_inside: int = 0
    empty: int = 0
    no_full_sentence: int = 0
    not_stopped: int = 0
    cut_off: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, Any], made: Pair | LeftOut) -> None:
        if isinstance(made, LeftOut):
            self.empty += made.reason == EMPTY
            self.no_full_sentence += made.reason == NO_SENTENCE
            if made.reason == CUT_OFF:
                self.cut_off[_word(row["finish_reason"])] += 1
            return
        self.written += 1
        self.not_stopped += row["finish_reason"] != STOPPED
        self.trimmed += len(made.completion) < len(row["response_txt"].strip())
        self.separator_inside += made.holds_separator
        self.ending_inside += made.holds_ending


class _HashedFile:
    """A file to write, and the fingerprint of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _write_pairs(rows: RunRows, truncated: str, count: _Count, *, csv: _HashedFile, jsonl: _HashedFile) -> None:
    table = CsvTable(csv.write)
    table.row(("prompt", "completion"))
    for row in rows:
        made = pair_of(row, truncated)
        count.add(row, made)
        if isinstance(made, Pair):
            table.row((made.prompt, made.completion))
            jsonl.write(made.fine_tune_line())


def _word(finish_reason: object) -> str:
    """Why an answer ended, for a table: the server's own word; servers know few and short ones."""
    return "no reason given" if finish_reason is None else str(finish_reason)[:40]


def _recipe(rows: RunRows, assembled: Assembled, hashes: dict[str, str]) -> dict[str, Any]:
    """What `query` must know to ask the tuned model as it was taught."""
    return {
        "schema_version": 1,
        "separator": SEPARATOR,
        "lead": LEAD,
        "ending": ENDING,
        "sub_prompt": rows.spec.sub_prompt,
        "truncated": assembled.truncated,
        "counts": assembled.counts(),
        "spec": rows.spec.name,
        "model": rows.manifest.model,
        "generation_fingerprint": rows.manifest.generation_fingerprint,
        "files": {name: {"sha256": value} for name, value in hashes.items()},
    }
