"""Attributes that were given other names: found where the questions are the same but for the names. Pure.

A key holds the names of its cell's attributes, and so it changes with them. What was sent did not: the answers are
those of the new names, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.spec import Template

Renaming = dict[str, str]


def renaming(
    old: Sequence[AskedColumn], new: Sequence[AskedColumn], old_names: Sequence[str], new_names: Sequence[str]
) -> Renaming:
    """How the attributes of the `new` columns are called by the names of the old ones; those that changed alone.

    Empty where nothing was renamed, or where the questions differ in more than names.
    """
    if len(old_names) != len(new_names):
        return {}
    found: Renaming = {}
    old_columns, new_columns = {each.name for each in old}, {each.name for each in new}
    for before, after in _pairs(old, new):
        names = _aligned(before.prompt, after.prompt), _aligned(before.system, after.system)
        if None in names:
            continue  # this column asks something else: it says nothing of the names
        for was, now in (pair for pairs in names for pair in pairs or ()):
            if was in old_columns or now in new_columns:
                continue
            if found.setdefault(was, now) != now:
                return {}
    if set(found) != set(old_names) or set(found.values()) != set(new_names) or len(set(found.values())) < len(found):
        return {}
    return {was: now for was, now in found.items() if was != now}


def _pairs(old: Sequence[AskedColumn], new: Sequence[AskedColumn]) -> Iterator[tuple[AskedColumn, AskedColumn]]:
    by_name = {each.name: each for each in new}
    for before in old:
        if after := by_name.get(before.name):
            yield before, after
        elif len(old) == len(new) == 1:
            yield before, new[0]


def _aligned(old: Template | None, new: Template | None) -> list[tuple[str, str]] | None:
    """The placeholders of two templates in pairs, where all else in them is the same."""
    if old is None or new is None:
        return [] if old is new else None
    was, now = list(old.names), list(new.names)
    if len(was) != len(now):
        return None
    numbers = {name: str(place) for place, name in enumerate(was)}, {name: str(place) for place, name in enumerate(now)}
    if old.with_names(lambda name: numbers[0][name]) != new.with_names(lambda name: numbers[1][name]):
        return None
    return list(zip(was, now, strict=True))
