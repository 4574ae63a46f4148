"""What a fine-tuning job is asked to be, read from a request's body, or the refusal that says what is wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request, read_object

MOST_SUFFIX = 64
_MOST_PAIRS, _MOST_KEY, _MOST_VALUE = 16, 64, 512  # of metadata, as the API has it
_MOST_JOB_SEED = 2**31 - 1
_AUTO = "auto"
_RANGES: dict[str, tuple[float, float]] = {
    "n_epochs": (1, 50),
    "batch_size": (1, 256),
    "learning_rate_multiplier": (1e-4, 10.0),
    "beta": (0.0, 2.0),
}
_WHOLE = ("n_epochs", "batch_size")
_METHODS = ("supervised", "dpo")
_KNOWN = {
    "model",
    "training_file",
    "validation_file",
    "hyperparameters",
    "method",
    "suffix",
    "seed",
    "metadata",
    "integrations",
}


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as it was asked for. A hyperparameter that is missing is for the server to choose."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: str = "supervised"
    hyperparameters: dict[str, float] = field(default_factory=dict)
    suffix: str | None = None
    seed: int | None = None
    metadata: dict[str, str] | None = None


def read_order(body: bytes) -> JobRequest:
    """The order in `body`. Raises Unreadable."""
    data = read_object(body)
    for name in data:
        if name not in _KNOWN:
            raise _bad(f"Unknown parameter: {name[:64]!r}.", "unknown_parameter", name)
    if data.get("integrations"):
        raise _bad("This server has no integrations.", "invalid_value", "integrations")
    method, hyperparameters = _method(data)
    return JobRequest(
        model=_text(data, "model"),
        training_file=_text(data, "training_file"),
        validation_file=_text(data, "validation_file") if data.get("validation_file") is not None else None,
        method=method,
        hyperparameters=hyperparameters,
        suffix=_suffix(data.get("suffix")),
        seed=_seed(data.get("seed")),
        metadata=_metadata(data.get("metadata")),
    )


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        raise _bad(f"Missing required parameter: {name!r}.", "missing_required_parameter", name)
    if not isinstance(value, str) or not value:
        raise _bad(f"Invalid type for {name!r}: expected a string, but got {value!r}.", "invalid_type", name)
    return value


def _suffix(suffix: Any) -> str | None:
    if suffix is not None and not isinstance(suffix, str):
        raise _bad(f"Invalid type for 'suffix': expected a string, but got {suffix!r}.", "invalid_type", "suffix")
    if suffix is not None and len(suffix) > MOST_SUFFIX:
        message = f"Invalid 'suffix': it has {len(suffix)} characters; the maximum is {MOST_SUFFIX}."
        raise _bad(message, "string_above_max_length", "suffix")
    return suffix or None


def _seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if type(seed) is not int:
        raise _bad(f"Invalid type for 'seed': expected an integer, but got {seed!r}.", "invalid_type", "seed")
    if not 0 <= seed <= _MOST_JOB_SEED:
        side = "integer_below_min_value" if seed < 0 else "integer_above_max_value"
        raise _bad(f"Invalid 'seed': {seed} is not from 0 to {_MOST_JOB_SEED}.", side, "seed")
    return seed


def _metadata(metadata: Any) -> dict[str, str] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _bad("Invalid 'metadata': it must be an object of strings.", "invalid_type", "metadata")
    if len(metadata) > _MOST_PAIRS:
        message = f"Invalid 'metadata': it has {len(metadata)} pairs; the maximum is {_MOST_PAIRS}."
        raise _bad(message, "object_above_max_properties", "metadata")
    if any(len(key) > _MOST_KEY or len(value) > _MOST_VALUE for key, value in metadata.items()):
        message = f"Invalid 'metadata': keys have at most {_MOST_KEY} characters, values {_MOST_VALUE}."
        raise _bad(message, "string_above_max_length", "metadata")
    return metadata


def _method(data: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """(its type, its hyperparameters): those of `method`, or the older ones beside it."""
    given = data.get("method")
    older = _hyperparameters(data.get("hyperparameters"), "hyperparameters")
    if given is None:
        return "supervised", older
    if not isinstance(given, dict):
        raise _bad(f"Invalid type for 'method': expected an object, but got {given!r}.", "invalid_type", "method")
    kind = given.get("type")
    if kind not in _METHODS:
        message = f"Invalid value: {kind!r}. Supported values are: 'supervised' and 'dpo'."
        raise _bad(message, "invalid_value", "method.type")
    details = given.get(kind) or {}
    if not isinstance(details, dict):
        raise _bad(f"Invalid type for 'method.{kind}': expected an object.", "invalid_type", f"method.{kind}")
    where = f"method.{kind}.hyperparameters"
    return kind, _hyperparameters(details.get("hyperparameters"), where) or older


def _hyperparameters(given: Any, where: str) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _bad(f"Invalid type for {where!r}: expected an object, but got {given!r}.", "invalid_type", where)
    return {
        name: _number(value, name, f"{where}.{name}")
        for name, value in given.items()
        if value is not None and value != _AUTO
    }


def _number(value: Any, name: str, where: str) -> float:
    if name not in _RANGES:
        raise _bad(f"Unknown parameter: {where!r}.", "unknown_parameter", where)
    whole = name in _WHOLE
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        kind = "an integer" if whole else "a number"
        raise _bad(f"Invalid type for {where!r}: expected {kind} or 'auto', but got {value!r}.", "invalid_type", where)
    least, most = _RANGES[name]
    if not least <= value <= most:
        side = "below_min_value" if value < least else "above_max_value"
        message = f"Invalid {where!r}: {value} is not from {least:g} to {most:g}."
        raise _bad(message, f"{'integer' if whole else 'decimal'}_{side}", where)
    return value


def _bad(message: str, code: str, param: str) -> Unreadable:
    return Unreadable(bad_request(message, code=code, param=param))
