"""Keys that stand in the wrong place, or are called as elsewhere: what each was meant to be. Pure; for few specs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from herogen_async.core import codec
from herogen_async.core.likeness import MAX_SHOWN, near_name, nearest, shown, shown_key
from herogen_async.specs.spec.problem import Problem
from herogen_async.specs.spec.sampling import Sampling

_KEYS = ("api_key", "key", "token", "auth_token")
_COLUMN_KEYS = {
    **dict.fromkeys(("if", "condition", "where", "only_if"), "when"),
    **dict.fromkeys(("repeats", "repeat", "n", "num_samples"), "samples"),
    **dict.fromkeys(("url", "api_base", "server", "host"), "base_url"),
    **dict.fromkeys(("text", "user", "question", "instruction"), "prompt"),
    **dict.fromkeys(("model_alias", "model_name", "llm"), "model"),
    **dict.fromkeys(("unique", "distinct", "dedupe", "deduplicate", "diversity", "similarity"), "unlike"),
    **dict.fromkeys(("system_prompt", "system_message"), "system"),
}


def meant_columns(data: Mapping[Any, Any]) -> bool:
    """Whether a spec without `columns` was meant to have some: then it lacks no prompt."""
    attributes = data.get("attributes")
    nested = attributes.get("columns") if isinstance(attributes, Mapping) else None
    return isinstance(nested, Mapping) or any(
        _is_column(value) or (isinstance(value, Mapping | list) and near_name(str(key), ["columns"]) is not None)
        for key, value in data.items()
    )


def unknown_spec_keys(data: Mapping[Any, Any], valid: Mapping[str, object]) -> list[Problem]:
    """The keys that no spec has."""
    return [_problem(key, _spec_fix(key, data[key], list(valid))) for key in _unknown(data, valid)]


def unknown_column_keys(data: Mapping[Any, Any], valid: Mapping[str, object]) -> list[Problem]:
    """The keys that no column has. Their values may be secrets, and are not shown."""
    return [_problem(key, _column_fix(key, data[key], list(valid))) for key in _unknown(data, valid)]


def _unknown(data: Mapping[Any, Any], valid: Mapping[str, object]) -> list[Any]:
    return list(islice((key for key in data if key not in valid), MAX_SHOWN + 1))


def _problem(key: Any, fix: str) -> Problem:
    return Problem((str(key),), f"unknown key {shown(str(key))}", fix)


def _spec_fix(key: Any, value: object, valid: list[str]) -> str:
    if key in Sampling.model_fields:
        return _as_sampling(key, value)
    if key == "unlike":
        return "`unlike` belongs to a column: write the prompt as a column, under `columns`, and `unlike` next to it"
    if key in ("samples", "when"):
        return f"`{key}` belongs to a column, next to its prompt; for more answers per cell, use `repeats`"
    if _is_column(value):
        return f"if {shown_key(str(key))} is a column, indent it under `columns:`"
    return nearest(str(key), valid)


def _column_fix(key: Any, value: object, valid: list[str]) -> str:
    if key in Sampling.model_fields:
        return _as_sampling(key, value)
    if key in _KEYS:
        return "put the key in an environment variable, and write its name: `key_env: JUDGE_API_KEY`"
    if _is_column(value):
        return f"if {shown_key(str(key))} is a column, too, indent it like the other columns"
    if meant := _COLUMN_KEYS.get(str(key).lower()):
        return f"did you mean {meant!r}? valid: {', '.join(valid)}"
    return nearest(str(key), valid)


def _is_column(value: object) -> bool:
    return isinstance(value, Mapping) and "prompt" in value


def _as_sampling(key: str, value: object) -> str:
    plain = value if isinstance(value, int | float | str) else (Sampling.model_fields[key].examples or [1])[0]
    return f"write it under `sampling`, for example: `sampling: {{{key}: {codec.dumps(plain).decode()}}}`"
