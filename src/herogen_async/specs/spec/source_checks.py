"""Checks of a spec with a source: its fields beside attributes and columns. Pure but for the file that is looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec.column import Column
from herogen_async.specs.spec.problem import InvalidSpecError, Place, Problem
from herogen_async.specs.spec.source import RECORD, RecordSource, source_of
from herogen_async.specs.spec.template import Template, alternatives


def with_source(data: Mapping[str, Any], place: Place, found: Iterable[Problem]) -> tuple[dict[str, Any], RecordSource]:
    """A spec's data with its source as a model, and the fields of that beside its attributes, and the source.

    Raises InvalidSpecError where the source is wrong, or has a field that is an attribute.
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
    clashes = list(_clashes(source.fields, own, columns if isinstance(columns, Mapping) else {}))
    if clashes:
        raise InvalidSpecError([*found, *clashes], place)
    beside = dict.fromkeys(source.fields, ("a value",))  # which nobody looks at
    return {**data, "source": source, "attributes": {**beside, **own}}, source


def source_problems(data: Mapping[str, Any], fields: Collection[str], known: Collection[Problem]) -> Iterator[Problem]:
    """What else is wrong with a source, where nothing is yet: none of its fields is sent."""
    if not known and not sent_names(data).intersection(fields):
        fix = f"name one in a prompt, for example {{{next(iter(fields))}}}, or remove the source"
        yield Problem(("source",), "no prompt names a field of the source", fix)


def sent_names(data: Mapping[str, Any]) -> set[str]:
    """What the prompts and system texts of a spec's data name."""
    columns = data.get("columns")
    each = columns.values() if isinstance(columns, Mapping) else ()
    parts = chain([data], (each.as_dict() if isinstance(each, Column) else each for each in each))
    names: set[str] = set()
    for part in parts:
        for key in ("prompt", "system") if isinstance(part, Mapping) else ():
            if isinstance(text := part.get(key), str):
                try:
                    template = Template(text, names_columns=True)
                except SpecError:  # which is told already
                    continue
                names.update(other.name for name in template.names for other in alternatives(name))
    return names


def _clashes(fields: Iterable[str], attributes: Iterable[Any], columns: Iterable[Any]) -> Iterator[Problem]:
    others = {**dict.fromkeys(columns, "a column"), **dict.fromkeys(attributes, "an attribute")}
    for name in fields:
        if name in others:
            what = others[name]
            fix = f"call the field otherwise: `fields: {{source_{name}: {name}}}`, or rename the {what.split()[-1]}"
            yield Problem(("source",), f"{name!r} is a field of the source, and {what}", fix)
    if RECORD in others:
        path = ("columns" if others[RECORD] == "a column" else "attributes", RECORD)
        fix = f"rename it, e.g. to 'the_{RECORD}'"
        yield Problem(path, f"{RECORD!r} is what rows of a source call their record", fix)
