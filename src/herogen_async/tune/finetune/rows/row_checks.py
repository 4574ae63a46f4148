"""The rows of a fine-tune file, looked at before anything is sent: their shape, their number, their separator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.assemble.assembly_report import FEWEST_ROWS
from herogen_async.data.dataset.recipe import MESSAGES, Recipe
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.options import DPO

JSON_LINES = (".jsonl", ".ndjson")
_SHOWN = 5  # line numbers in a sentence
_ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What a file of rows is. `doubles` rows are the same as one before them."""

    file: Path
    rows: int
    size: int
    sha256: str
    doubles: int = 0

    def as_dict(self) -> dict[str, Any]:
        """What the log keeps of it, but for its place."""
        return {"rows": self.rows, "bytes": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong with a row, and its fix."""

    what: str
    fix: str = "make uniform rows with: herogen-async prepare -f FILE"


@dataclass(slots=True)
class _Found:
    rows: int = 0
    size: int = 0
    hash: Any = field(default_factory=sha256)
    seen: Counter[bytes] = field(default_factory=Counter)
    wrong: dict[_Problem, list[int]] = field(default_factory=dict)


def checked_rows(file: Path, recipe: Recipe, *, method: str | None = None, fewest: int = FEWEST_ROWS) -> CheckedRows:
    """What is in `file`. Raises InputError, naming lines, for what a fine-tune would be refused or spoiled by."""
    found, check = _Found(), _check_for(recipe, method)
    for number, line in enumerate(_lines(file), start=1):
        found.size += len(line)
        found.hash.update(line)
        if not line.strip():
            continue
        found.rows += 1
        found.seen[blake2b(line, digest_size=8).digest()] += 1
        if (wrong := _wrong_with(line, check)) is not None:
            found.wrong.setdefault(wrong, []).append(number)
    _refuse(file, found, fewest)
    return CheckedRows(file, found.rows, found.size, found.hash.hexdigest(), found.rows - len(found.seen))


def checked_files(request: TuneRequest, notice: Callable[[str], None]) -> dict[str, CheckedRows]:
    """The files of `request` by role, looked at. Raises InputError."""
    rows = {"training": checked_rows(request.training, request.recipe, method=request.method)}
    if request.validation is not None:
        rows["validation"] = checked_rows(request.validation, request.recipe, method=request.method, fewest=1)
        if rows["validation"].sha256 == rows["training"].sha256:
            raise InputError("the validation file is identical to the training file", fix="hold out different rows")
    told = ", ".join(f"{each.rows:,} rows for {role} ({each.file})" for role, each in rows.items())
    notice(told[0].upper() + told[1:])
    if doubles := rows["training"].doubles:
        notice(f"Note: {doubles:,} duplicate row{'' if doubles == 1 else 's'}")
    return rows


def holds_pairs(file: Path) -> bool:
    """Whether the first row of `file` is a prompt and a completion, and no messages nor answers to choose from."""
    first = next(_lines(file), b"")
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
        raise InputError(
            f"{str(file)!r} has {found.rows} rows; fine-tuning needs at least {fewest}",
            fix="get more answers (herogen-async resume RUN), or keep the truncated ones: "
            "herogen-async assemble RUN --truncated trim",
        )


_Check = Callable[[dict[str, Any]], _Problem | None]


def _wrong_with(line: bytes, check: _Check) -> _Problem | None:
    try:
        row = codec.loads(line)
    except ValueError:
        return _Problem("not JSON")
    return check(row) if isinstance(row, dict) else _Problem("not a JSON object")


def _check_for(recipe: Recipe, method: str | None) -> _Check:
    if method == DPO:
        return _preference_problem
    if recipe.format == MESSAGES:
        return _messages_problem
    return partial(_pair_problem, recipe.separator)


def _pair_problem(separator: str, row: dict[str, Any]) -> _Problem | None:
    for name in ("prompt", "completion"):
        if not isinstance(row.get(name), str):
            return _Problem(f"{name!r} is not text")
    if not row["completion"].strip():
        return _Problem("empty 'completion'")
    if separator and not row["prompt"].endswith(separator):
        return _Problem(
            f"prompt without the separator {separator!r} at its end",
            fix=f"end each prompt with {separator!r}; herogen-async prepare -f FILE adds it",
        )
    return None


def _messages_problem(row: dict[str, Any]) -> _Problem | None:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return _Problem("'messages' is missing, empty or not a list")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return _Problem(f"message 'role' is not one of {', '.join(_ROLES)}")
    last = messages[-1]
    if last["role"] != "assistant" or not isinstance(last.get("content"), str) or not last["content"].strip():
        return _Problem("messages do not end with assistant text")
    return None


def _preference_problem(row: dict[str, Any]) -> _Problem | None:
    names = ("input", "preferred_output", "non_preferred_output")
    missing = [name for name in names if not row.get(name)]
    return _Problem(f"missing {', '.join(map(repr, missing))}, required by method 'dpo'") if missing else None
