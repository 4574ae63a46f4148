"""Whether a local fine-tune can succeed, looked at before anything is written; and how long and large it will be."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.cores import usable_cores
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION
from herogen_async.tune.finetune.backend_rules import training_settings
from herogen_async.tune.finetune.local import memory
from herogen_async.tune.finetune.local.base_model import LocalModel
from herogen_async.tune.finetune.records import TuneRequest

FEWEST_LOCAL_ROWS = 10
LONGEST_TOKENS = 2048  # a longer row is cut: its activations would take more than most machines have
KEPT_CHECKPOINTS = 3
LOCAL_FORMATS = (PROMPT_COMPLETION, MESSAGES)

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors", "gguf", "numpy")
_BYTES_A_TOKEN = 4.0  # English text has 4.3, so that the longest row is over-estimated; the trainer counts
_TEMPLATE_TOKENS = 8
_PADDING = 1.25  # the rows of a batch are as long as its longest


@dataclass(frozen=True, slots=True)
class MeasuredRows:
    """What a file of rows comes to. Tokens are estimated from the text."""

    count: int
    tokens: int
    longest_tokens: int


def require_packages(packages: tuple[str, ...] = _PACKAGES) -> None:
    """Raises InputError when the packages of the `[train]` extra are not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"packages for training on this machine are not installed: {', '.join(missing)}",
            fix="pip install 'herogen-async[train]' (on Linux, pip's default torch brings several GB of CUDA packages; "
            "without a GPU, first install torch's CPU build from the index named on torch's own page)",
        )


def measure_rows(path: Path, form: str) -> MeasuredRows:
    """Raises InputError for a row that can't be trained on, with its line."""
    count = tokens = longest = 0
    for number, row in _rows(path):
        size = _TEMPLATE_TOKENS + math.ceil(len(_text(path, number, row, form).encode()) / _BYTES_A_TOKEN)
        count, tokens, longest = count + 1, tokens + size, max(longest, size)
    return MeasuredRows(count, tokens, longest)


def look(request: TuneRequest, model: LocalModel, folder: Path) -> list[str]:
    """What a person should know before `request` is trained. Raises InputError when it can't succeed here."""
    how = training_settings(request)
    if request.recipe.format not in LOCAL_FORMATS:
        raise InputError(
            f"format {request.recipe.format!r} can't be trained on this machine; "
            f"valid formats: {', '.join(LOCAL_FORMATS)}",
            fix=f"assemble the rows as {PROMPT_COMPLETION}",
        )
    rows = measure_rows(request.training, request.recipe.format)
    if rows.count < FEWEST_LOCAL_ROWS:
        raise InputError(
            f"{str(request.training)!r} has {rows.count} rows; a fine-tune needs at least {FEWEST_LOCAL_ROWS}",
            fix="generate more rows first",
        )
    if request.validation is not None:
        measure_rows(request.validation, request.recipe.format)
    if model.shape is None:
        return [f"Memory use of {model.name} unknown: its files do not tell its size."]
    _require_disk(model.shape, how["method"], folder)
    said = [_memory(model, model.shape, rows, method=how["method"], wanted=how["batch_size"])]
    if not gpu_is_used():
        cores = usable_cores()
        tokens = int(rows.tokens * how["epochs"] * _PADDING)
        needed = memory.training_time_s(model.shape, how["method"], tokens=tokens, cores=cores)
        said.append(
            f"About {_minutes(needed)} on {cores} {'core' if cores == 1 else 'cores'} for {rows.count} rows "
            f"x {how['epochs']} epoch{'' if how['epochs'] == 1 else 's'}."
        )
    return said


def gpu_is_used() -> bool:
    """Whether training will run on an NVIDIA GPU, as far as can be seen without torch."""
    try:
        build = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    return not build.endswith("+cpu") and memory.gpu_free_bytes() is not None


def longest_row(longest_tokens: int, context_tokens: int | None) -> int:
    """How many tokens of a row are learned from."""
    return min(longest_tokens, context_tokens or LONGEST_TOKENS, LONGEST_TOKENS)


def too_little(name: str, needed: int, tokens: int, free: int) -> tuple[str, str]:
    """The sentence for a model that does not fit, and what helps."""
    return (
        f"training {name} needs about {_gb(needed)} even with one row of {tokens} tokens at a time; "
        f"only {_gb(free)} free",
        "close other programs, tune a smaller model, or use shorter rows",
    )


def _memory(model: LocalModel, shape: memory.ModelShape, rows: MeasuredRows, *, method: str, wanted: int) -> str:
    tokens = longest_row(rows.longest_tokens, shape.context_tokens)
    free = (memory.gpu_free_bytes() if gpu_is_used() else None) or memory.free_bytes()
    batch = memory.fitting_batch(shape, method, batch=wanted, tokens=tokens, free=free)
    if not batch:
        message, fix = too_little(model.name, memory.peak_bytes(shape, method, 1, tokens), tokens, free)
        raise InputError(message, fix=fix)
    peak = memory.peak_bytes(shape, method, batch, tokens)
    said = f"Memory needed: up to {_gb(peak)} of {_gb(free)} free."
    if batch < wanted:
        said += f" Batches of {wanted} rows are computed {batch} rows at a time; the result is the same."
    return said


def _require_disk(shape: memory.ModelShape, method: str, folder: Path) -> None:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    needed, free = memory.disk_bytes(shape, method, KEPT_CHECKPOINTS), shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"the checkpoints and the result need about {_gb(needed)}; only {_gb(free)} free on the disk of "
            f"{str(there)!r}",
            fix="free some space, or move the data set to a larger disk",
        )


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, codec.loads(line)
    except OSError as error:
        raise InputError(f"can't read {str(path)!r}: {error.strerror}", fix="give an assembled data set") from error
    except ValueError as error:
        raise InputError(f"{path}:{number}: line is not JSON", fix="assemble the data set again") from error


def _text(path: Path, number: int, row: Any, form: str) -> str:
    try:
        if form == PROMPT_COMPLETION:
            return str(row["prompt"] + row["completion"])
        answer = row["messages"][-1]
        if answer["role"] == "assistant" and len(row["messages"]) > 1:
            return "".join(message["role"] + message["content"] for message in row["messages"])
    except (KeyError, TypeError, IndexError):
        pass
    wanted = "prompt and completion" if form == PROMPT_COMPLETION else "messages ending with the assistant's"
    raise InputError(f"{path}:{number}: row has no {wanted}", fix=f"assemble the data set again as {form}")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _minutes(needed_s: float) -> str:
    minutes = max(1, round(needed_s / 60))
    if minutes >= 120:
        return f"{minutes / 60:.0f} h"
    return f"{minutes} min"
