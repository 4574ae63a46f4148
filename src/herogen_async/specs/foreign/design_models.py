"""The models of a DataDesigner config, as the keys of a column. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_SAME = ("temperature", "top_p", "max_tokens")


@dataclass(slots=True)
class ModelSettings:
    """`keys` of a column: `model`, `sampling`. What they don't say is (reason, nearest way), told once."""

    keys: dict[str, Any]
    _notes: list[tuple[str, str]] = field(default_factory=list)

    def take_notes(self) -> list[tuple[str, str]]:
        """What is to be told; nothing the next time."""
        notes, self._notes = self._notes, []
        return notes


def models_of(configs: object) -> dict[str, ModelSettings]:
    """{alias: what a column with this model has}."""
    listed = configs if isinstance(configs, list) else []
    return {str(each["alias"]): _settings(each) for each in listed if isinstance(each, Mapping) and each.get("alias")}


def _settings(config: Mapping[str, Any]) -> ModelSettings:
    found = config.get("inference_parameters")
    given = found if isinstance(found, Mapping) else {}
    sampling = {name: given[name] for name in _SAME if isinstance(given.get(name), int | float)}
    if isinstance(extra := given.get("extra_body"), Mapping) and extra:
        sampling["extra"] = dict(extra)
    keys: dict[str, Any] = {"model": str(config.get("model") or config["alias"])}
    if sampling:
        keys["sampling"] = sampling
    return ModelSettings(keys, list(_notes(config, given)))


def _notes(config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if config.get("provider"):
        yield (
            f"the provider {config['provider']!r} has its URL elsewhere",
            "give --base-url, or `base_url` and `key_env` of a column",
        )
    for name in _SAME:
        if isinstance(given.get(name), Mapping):
            yield f"`{name}` is drawn from a distribution", "set one value"
    for name, option in (("max_parallel_requests", "--concurrency"), ("timeout", "--timeout")):
        if given.get(name) is not None:
            yield f"`{name}` is no part of a spec", f"{option} {given[name]}"
