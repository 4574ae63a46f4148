"""Checks of a spec with a source: its fields beside attributes and columns. Pure but for the file that is looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.specs.sources.record_cells import RECORD
from herogen_async.specs.spec.column_data import plain_column, with_syntax
from herogen_async.specs.spec.conversation import TRANSCRIPT
from herogen_async.specs.spec.problem import InvalidSpecError, KeyPath, Place, Problem
from herogen_async.specs.spec.source import RecordSource, source_of
from herogen_async.specs.spec.syntax import template_in
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, alternatives


def with_source(data: Mapping[str, Any], place: Place, found: Iterable[Problem]) -> tuple[dict[str, Any], RecordSource]:
    """A spec's data with its source as a model, and the fields of that beside its attributes, and the source.

    Raises InvalidSpecError where the source is wrong, or has a field that is an attribute, or that a rule names.
    """
    file = getattr(place, "file", None)
    try:
        source = source_of(data["source"], None if file is None else Path(file).parent)
    except InvalidSpecError as invalid:
        raise InvalidSpecError([*found, *(each.below("source") for each in invalid.problems)], place) from None
    attributes = data.get("attributes")
    own = {} if attributes is None else attributes
    if not isinstance(own, Mapping):
        return {**data, "source": source}, source
    columns = data.get("columns")
    clashes = [
        *_clashes(source.fields, own, columns if isinstance(columns, Mapping) else {}),
        *_taken(source.fields, data),
        *_in_rules(source.fields, own, data.get("grid")),
    ]
    if clashes:
        raise InvalidSpecError([*found, *clashes], place)
    beside = dict.fromkeys(source.fields, ("a value",))  # which nobody looks at
    return {**data, "source": source, "attributes": {**beside, **own}}, source


def sent_names(data: Mapping[str, Any]) -> set[str]:
    """What the prompts and system texts of a spec's data name."""
    columns = data.get("columns")
    each = columns.values() if isinstance(columns, Mapping) else ()
    parts = chain([data], (with_syntax(plain_column(column), data) for column in each))
    found = (template_in(part, key) for part in parts if isinstance(part, Mapping) for key in ("prompt", "system"))
    names = (name for template in found if template is not None for name in template.names)
    return {other.name for name in names for other in alternatives(name)}


def _clashes(fields: Iterable[str], attributes: Iterable[Any], columns: Iterable[Any]) -> Iterator[Problem]:
    others = {**dict.fromkeys(columns, "a column"), **dict.fromkeys(attributes, "an attribute")}
    for name in fields:
        if name in others:
            what = others[name]
            fix = f"rename the field: `fields: {{source_{name}: {name}}}`, or rename the {what.split()[-1]}"
            yield Problem(("source",), f"{name!r} is a field of the source, and {what}", fix)
    if RECORD in others:
        path = ("columns" if others[RECORD] == "a column" else "attributes", RECORD)
        fix = f"rename it, e.g. to 'the_{RECORD}'"
        yield Problem(path, f"{RECORD!r} is what rows of a source call their record", fix)


def _taken(fields: Collection[str], data: Mapping[str, Any]) -> Iterator[Problem]:
    """Fields that are called as a placeholder that this spec has."""
    for name in (SHOWN_EXAMPLES, TRANSCRIPT):
        if name in fields and data.get(name) is not None:
            fix = f"rename the field: `fields: {{source_{name}: {name}}}`"
            yield Problem(("source",), f"{name!r} is a field of the source, and what `{name}` stands for", fix)


def _in_rules(fields: Collection[str], attributes: Mapping[Any, Any], grid: object) -> Iterator[Problem]:
    """Fields that `exclude` and `when` name: these are of attributes alone, and hold for every record."""
    excluded = grid.get("exclude") if isinstance(grid, Mapping) else None
    for number, each in enumerate(excluded if isinstance(excluded, list | tuple) else ()):
        for name in each if isinstance(each, Mapping) else ():
            if name in fields:
                yield _in_rule(("grid", "exclude", number, name), name, "exclude")
    for attribute, given in attributes.items():
        branches = enumerate(given) if isinstance(given, list | tuple) else [(None, given)]
        for place, branch in branches:
            path = ("attributes", str(attribute), *(() if place is None else (place,)), "when")
            for name in _named(branch.get("when")) if isinstance(branch, Mapping) else ():
                if name in fields:
                    yield _in_rule(path, name, "when")


def _named(condition: object) -> Iterable[Any]:
    if not isinstance(condition, str):
        return condition if isinstance(condition, Mapping) else ()
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few specs have a condition

    try:
        return Expression.parse(condition).stems
    except SpecError:  # which is told with the attribute
        return ()


def _in_rule(path: KeyPath, name: str, key: str) -> Problem:
    fix = "leave out records with the source's `where`; what depends on a field can be said in a column's `when`"
    return Problem(path, f"{name!r} is a field of the source: `{key}` names attributes alone", fix)
