"""The rows of a fine-tune file, looked at before anything is sent: their shape, their number, their separator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.units import counted
from herogen_async.data.dataset.assemble.assembly_report import FEWEST_ROWS
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.limits.tokens import BYTES_A_TOKEN, OVERHEAD_TOKENS
from herogen_async.generation.run_folder import RunFolder
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.finetune.rows.row_shapes import BYTE_ORDER_MARK, RowProblem, check_for, read_row, text_size
from herogen_async.tune.options import OPENAI

JSON_LINES = (".jsonl", ".ndjson")
_SHOWN = 5  # line numbers in a sentence


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What a file of rows is. `doubles` rows are the same as one before them. `tokens` is estimated by their texts."""

    file: Path
    rows: int
    size: int
    sha256: str
    doubles: int = 0
    tokens: int = 0
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What the log keeps of it, but for its place."""
        return {"rows": self.rows, "bytes": self.size, "sha256": self.sha256}


@dataclass(slots=True)
class _Found:
    rows: int = 0
    size: int = 0
    hash: Any = field(default_factory=sha256)
    seen: Counter[bytes] = field(default_factory=Counter)
    wrong: dict[RowProblem, list[int]] = field(default_factory=dict)
    tokens: float = 0.0
    blank: int = 0
    has_mark: bool = False


def checked_rows(
    file: Path, recipe: Recipe, *, method: str | None = None, fewest: int = FEWEST_ROWS, is_hosted: bool = True
) -> CheckedRows:
    """What is in `file`. Raises InputError, naming lines, for what a fine-tune would be refused or spoiled by."""
    found, check = _Found(), check_for(recipe, method, is_hosted=is_hosted)
    for number, line in enumerate(_lines(file), start=1):
        found.size += len(line)
        found.hash.update(line)
        if number == 1 and line.startswith(BYTE_ORDER_MARK):
            found.has_mark, line = True, line.removeprefix(BYTE_ORDER_MARK)  # noqa: PLW2901 - it is not uploaded
        if not line.strip():
            found.blank += 1
            continue
        found.rows += 1
        found.seen[blake2b(line, digest_size=8).digest()] += 1
        row = read_row(line)
        wrong = row if isinstance(row, RowProblem) else check(row)
        if wrong is not None:
            found.wrong.setdefault(wrong, []).append(number)
        elif isinstance(row, dict):
            found.tokens += estimated_tokens(row)
    _refuse(file, found, fewest)
    return CheckedRows(
        file,
        found.rows,
        found.size,
        found.hash.hexdigest(),
        found.rows - len(found.seen),
        round(found.tokens),
        tuple(_left_out(found)),
    )


def estimated_tokens(row: Mapping[str, Any]) -> float:
    """Tokens of a row, by the length of its texts: services count all of them, questions and answers alike."""
    plain, other = text_size(row)
    return plain / BYTES_A_TOKEN + other + OVERHEAD_TOKENS


def _left_out(found: _Found) -> Iterator[str]:
    """What is in the file and not uploaded, since services refuse it and it means nothing."""
    if found.has_mark:
        yield "its byte order mark"
    if found.blank:
        yield counted(found.blank, "blank line")


def checked_files(request: TuneRequest, notice: Callable[[str], None]) -> dict[str, CheckedRows]:
    """The files of `request` by role, looked at. Raises InputError."""
    check = partial(checked_rows, recipe=request.recipe, method=request.method, is_hosted=request.backend == OPENAI)
    rows = {"training": check(request.training)}
    if request.validation is not None:
        rows["validation"] = check(request.validation, fewest=1)
        if rows["validation"].sha256 == rows["training"].sha256:
            raise InputError("the validation file is identical to the training file", fix="hold out different rows")
    told = ", ".join(f"{each.rows:,} rows for {role} ({each.file})" for role, each in rows.items())
    notice(f"Data set: {request.recipe.format}, {told}")
    for each in rows.values():
        if each.left_out:
            notice(f"Note: {' and '.join(each.left_out)} left out of what is trained on ({each.file})")
    if doubles := rows["training"].doubles:
        notice(f"Note: {doubles:,} duplicate row{'' if doubles == 1 else 's'}")
    return rows


def holds_pairs(file: Path) -> bool:
    """Whether the first row of `file` is a prompt and a completion, and no messages nor answers to choose from."""
    first = next((line for line in _lines(file) if line.removeprefix(BYTE_ORDER_MARK).strip()), b"")
    return not any(name in first for name in (b'"messages"', b'"non_preferred_output"'))


def pairs_in(file: Path) -> Iterator[tuple[str, str]]:
    """The prompts and completions of `file`, as far as they are some."""
    for line in _lines(file):
        try:
            row = codec.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str):
            yield row["prompt"], row["completion"]


def is_gone(target: str) -> bool:
    """Whether `target` names a file of rows that is not there."""
    file = Path(target)
    return file.suffix.lower() in JSON_LINES and not file.is_file()


def fingerprint_of(file: Path) -> str:
    """The SHA-256 of a file."""
    known = sha256()
    for line in _lines(file):
        known.update(line)
    return known.hexdigest()


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as content:
            yield from content
    except OSError as error:
        raise InputError(f"can't read {str(file)!r}: {error.strerror}", fix="check the path") from error


def _refuse(file: Path, found: _Found, fewest: int) -> None:
    if not found.rows:
        raise InputError(f"{str(file)!r} has no rows", fix="assemble the run first, or give another file")
    for problem, lines in found.wrong.items():
        shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
        s = "" if len(lines) == 1 else "s"
        raise InputError(
            f"{str(file)!r}: {problem.what}, in {len(lines):,} of {found.rows:,} rows (line{s} {shown})",
            fix=problem.fix,
        )
    if found.rows < fewest:
        run = _run_of(file)
        raise InputError(
            f"{str(file)!r} has {counted(found.rows, 'row')}; fine-tuning needs at least {fewest}",
            fix="give a file with more rows"
            if run is None
            else f"get more answers (herogen-async resume {run} --limit N), or keep the truncated ones: "
            f"herogen-async assemble {run} --truncated trim",
        )


def _run_of(file: Path) -> str | None:
    """The run, as it is typed, whose data set `file` lies in."""
    for folder in file.parents:
        run = RunFolder(folder.parent)
        if folder == run.dataset and run.is_run:
            return run.argument
    return None
