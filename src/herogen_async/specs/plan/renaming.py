"""Attributes that were given other names: found where the questions are the same but for the names. Pure.

A key holds the names of its cell's attributes, and so it changes with them. What was sent did not: the answers are
those of the new names, too. Names are followed from plan to plan: what was renamed stays so when a question is changed
later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod

from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.spec import Template
from herogen_async.specs.spec.template import alternatives

Renaming = dict[str, str]


def renamings(plans: Sequence[Plan]) -> list[Renaming]:
    """For each of the plans of a run, in order, how its attributes are called in the last one; as `renaming`."""
    found: list[Renaming] = [{}]
    for old, following in reversed(list(pairwise(plans))):
        found.append(
            attribute_renaming(old, plans[-1])
            or _by_way_of(attribute_renaming(old, following), found[-1], old, plans[-1])
        )
    return found[::-1]


def _by_way_of(step: Renaming, further: Renaming, old: Plan, new: Plan) -> Renaming:
    """The names of `old` as `step` changes them, and then `further`."""
    names = {was: further.get(step.get(was, was), step.get(was, was)) for was in old.cells.facets}
    if _has_records(old, new) or _ask_alike(old, new) or set(names.values()) != set(new.cells.facets):
        return {}
    return {was: now for was, now in names.items() if was != now}


def attribute_renaming(old: Plan, new: Plan) -> Renaming:
    """How the attributes of `old` are called in `new`, those that changed alone; empty where nothing was renamed.

    Nor is it a renaming where it would keep no cells, or fewer than the names as they are: then a question was changed,
    and that by names alone.
    """
    before, after = old.cells.facets, new.cells.facets
    if old is new or _has_records(old, new) or _ask_alike(old, new):
        return {}
    names = renaming(old.columns, new.columns, list(before), list(after))
    stay = {was: names.get(was, was) for was in before}
    kept, as_they_are = (
        prod(len(set(before[was]) & set(after.get(now, ()))) for was, now in each.items())
        for each in (stay, dict(zip(before, before, strict=True)))
    )
    return names if kept and kept >= as_they_are else {}


def _has_records(old: Plan, new: Plan) -> bool:
    """Names of fields are the file's: a renamed one is another field."""
    return old.spec.source is not None or new.spec.source is not None


def _ask_alike(old: Plan, new: Plan) -> bool:
    """Whether no name has changed, and no question: of names in conditions a question says nothing."""
    asked = [[each.fingerprint for each in plan.columns] for plan in (old, new)]
    return asked[0] == asked[1] and set(old.cells.facets) == set(new.cells.facets)


def renaming(
    old: Sequence[AskedColumn], new: Sequence[AskedColumn], old_names: Sequence[str], new_names: Sequence[str]
) -> Renaming:
    """How the attributes of the `new` columns are called by the names of the old ones; those that changed alone.

    Empty where nothing was renamed, or where the questions differ in more than names.
    """
    if len(old_names) != len(new_names):
        return {}
    found: Renaming = {}
    columns = {each.name for each in old}, {each.name for each in new}
    is_one_alike = False
    for before, after in _pairs(old, new):
        names = _aligned(before.prompt, after.prompt), _aligned(before.system, after.system)
        if None in names:
            continue  # this column asks something else: it says nothing of the names
        is_one_alike = True
        for was, now in (pair for pairs in names for pair in pairs or ()):
            if was in columns[0] or now in columns[1]:
                continue
            if found.setdefault(was, now) != now:
                return {}
    if is_one_alike:
        found |= _left(found, old_names, new_names)
    if set(found) != set(old_names) or set(found.values()) != set(new_names) or len(set(found.values())) < len(found):
        return {}
    return {was: now for was, now in found.items() if was != now}


def _left(found: Renaming, old_names: Sequence[str], new_names: Sequence[str]) -> Renaming:
    """Of the names that no question shows, as those of conditions: those that stayed, and the one that did not."""
    was = [name for name in old_names if name not in found]
    now = [name for name in new_names if name not in found.values()]
    stayed = [name for name in was if name in now]
    gone, come = ([name for name in names if name not in stayed] for names in (was, now))
    return {name: name for name in stayed} | (dict(zip(gone, come, strict=True)) if len(gone) == len(come) == 1 else {})


def _pairs(old: Sequence[AskedColumn], new: Sequence[AskedColumn]) -> Iterator[tuple[AskedColumn, AskedColumn]]:
    """Columns of one name, and of those that have another name now the ones of the same text."""
    by_name = {each.name: each for each in new}
    come = [each for each in new if each.name not in {before.name for before in old}]
    for before in old:
        if after := by_name.get(before.name):
            yield before, after
        elif after := next((each for each in come if _aligned(before.prompt, each.prompt) is not None), None):
            come.remove(after)
            yield before, after


def _aligned(old: Template | None, new: Template | None) -> list[tuple[str, str]] | None:
    """The names in the placeholders of two templates in pairs, where all else in them is the same."""
    if old is None or new is None:
        return [] if old is new else None
    if old.is_jinja != new.is_jinja:
        return None
    was, now = ([each for name in template.names for each in alternatives(name)] for template in (old, new))
    if _shown(old) != _shown(new):
        return None
    return [(before.name, after.name) for before, after in zip(was, now, strict=True)]


def _shown(template: Template) -> str:
    """The text with a number for each name: its place among them."""
    numbers: dict[str, int] = {}

    def numbered(placeholder: str) -> str:
        parts = alternatives(placeholder)
        return "|".join(f"{numbers.setdefault(each.name, len(numbers))}{'.all' * each.is_all}" for each in parts)

    return template.with_names(numbered)
