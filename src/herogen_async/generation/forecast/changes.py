"""What has changed between two manifests of a run, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from herogen_async.core.likeness import as_seen
from herogen_async.generation.run_folder import Manifest


def in_words(changes: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(changes[:-1]), changes[-1]] if len(changes) > 1 else changes)


def differences(held: Manifest, fresh: Manifest) -> list[str]:
    """What of the questions has changed, in words."""
    found = []
    if held.grid_fingerprint != fresh.grid_fingerprint:
        found += _grid_differences(held.spec, fresh.spec)
    if held.generation_fingerprint != fresh.generation_fingerprint:
        found += _generation_differences(held, fresh) or ["the generation fingerprint"]
    return found


def _grid_differences(held: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    old, new = held.get("attributes", {}), fresh["attributes"]
    words = [f"{name!r} was added" for name in new if name not in old]
    words += [f"{name!r} was removed" for name in old if name not in new]
    for name in new:
        before, after = set(old.get(name, ())), set(new[name])
        if name in old and before != after:
            counts = {"more": len(after - before), "fewer": len(before - after)}
            has = " and ".join(f"{many} {word}" for word, many in counts.items() if many)
            earlier = set(map(as_seen, before - after))
            respelt = sum(as_seen(value) in earlier for value in after - before)
            words.append(f"{name!r} has {has}" + (f", {respelt} of which look the same as before" if respelt else ""))
    is_order = old != new or list(old) != list(new)
    found = [f"the attributes ({', '.join(words) or 'their order'})"] if words or is_order else []
    if held.get("repeats") != fresh["repeats"]:
        found.append(f"the repeats ({held.get('repeats')} to {fresh['repeats']})")
    return found or ["the grid fingerprint"]


def _generation_differences(held: Manifest, fresh: Manifest) -> list[str]:
    found = []
    for name, old, new in (
        ("the endpoint", held.endpoint, fresh.endpoint),
        ("the model", held.model, fresh.model),
    ):
        if old != new:
            found.append(f"{name} ({old!r} to {new!r})")
    for name in ("prompt", "system"):
        if held.spec.get(name) != fresh.spec[name]:
            found.append("the prompt" if name == "prompt" else "the system text")
    old, new = held.spec.get("sampling", {}), fresh.spec["sampling"]
    if names := sorted(name for name in {*old, *new} if old.get(name) != new.get(name)):
        found.append(f"the sampling ({', '.join(names)})")
    return found
