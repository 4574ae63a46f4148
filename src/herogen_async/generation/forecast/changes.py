"""What has changed between two manifests of a run, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from herogen_async.core.likeness import as_seen
from herogen_async.generation.run_folder import Manifest
from herogen_async.specs.columns import AskedColumn


def in_words(changes: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(changes[:-1]), changes[-1]] if len(changes) > 1 else changes)


def differences(held: Manifest, fresh: Manifest) -> list[str]:
    """What of the questions has changed, in words."""
    found = []
    if held.grid_fingerprint != fresh.grid_fingerprint:
        found += _grid_differences(held.spec, fresh.spec)
    if held.generation_fingerprint != fresh.generation_fingerprint:
        is_single = not (held.spec.get("columns") or fresh.spec.get("columns"))
        found += list((_generation_differences if is_single else _column_differences)(held, fresh))
    return found or ["the generation fingerprint"] * (held.generation_fingerprint != fresh.generation_fingerprint)


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


def _column_differences(held: Manifest, fresh: Manifest) -> Iterator[str]:
    """Column by column; one that asks the same under another name has not changed."""
    before, after = held.lineage().plan.columns, fresh.lineage().plan.columns
    asked, told = {each.fingerprint for each in before}, {each.fingerprint for each in after}
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    for name, column in new.items():
        if name in old:
            yield from _differences_of(old[name], column)
        elif column.fingerprint not in asked:
            yield f"the column {name!r} (added)"
    for name, column in old.items():
        if name not in new and column.fingerprint not in told:
            yield f"the column {name!r} (removed)"
    common = [each.name for each in before if each.name in new], [each.name for each in after if each.name in old]
    if common[0] != common[1]:
        yield "the order of the columns"


def _differences_of(old: AskedColumn, new: AskedColumn) -> Iterator[str]:
    name = new.name
    for what, before, after in (
        ("endpoint", old.endpoint, new.endpoint),
        ("model", old.model, new.model),
        ("samples", old.samples, new.samples),
    ):
        if before != after:
            yield f"the {what} of {name} ({before!r} to {after!r})"
    texts = ("prompt", old.prompt, new.prompt), ("system text", old.system, new.system)
    for what, was, now in texts:
        if (was and was.text) != (now and now.text):
            yield f"the {what} of {name}"
    sampling = old.sampling.as_dict(), new.sampling.as_dict()
    if names := sorted(each for each in {*sampling[0], *sampling[1]} if sampling[0].get(each) != sampling[1].get(each)):
        yield f"the sampling of {name} ({', '.join(names)})"
    if (old.when and old.when.fingerprint) != (new.when and new.when.fingerprint):
        yield f"the condition of {name}"


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
