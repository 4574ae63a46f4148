"""The attributes of a DataDesigner config: its samplers, its seeds, and which of their combinations it makes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt
from typing import Any

from herogen_async.core.likeness import shown
from herogen_async.specs.foreign.jinja_text import Untranslatable
from herogen_async.specs.foreign.listed_values import ListedValues, values_of
from herogen_async.specs.foreign.not_mapped import NotesOfConfig
from herogen_async.specs.spec.check import usable_name
from herogen_async.specs.spec.template import Template

_OPERATORS = {"lt": ("<", lt), "le": ("<=", le), "gt": (">", gt), "ge": (">=", ge)}
_PEOPLE = ("person", "person_from_faker")


@dataclass(frozen=True, slots=True)
class AllowedPairs:
    """Which values of two attributes go together, and the `condition` that says the same."""

    first: str
    second: str
    pairs: tuple[tuple[str, str], ...]
    condition: str

    @property
    def name(self) -> str:
        """Of the attribute that stands for both."""
        return f"{self.first}_{self.second}"

    def within(self, text: str) -> tuple[str, tuple[str, ...]] | None:
        """`text` with one placeholder for the piece between the first and the last of the two, and its values.

        None where the piece names something else, too.
        """
        places = [*re.finditer(rf"(?<!\{{)\{{({self.first}|{self.second})\}}(?!\}})", text)]
        if not places:
            return text, ()
        start, end = places[0].start(), places[-1].end()
        piece = Template(text[start:end])
        if not set(piece.names) <= {self.first, self.second}:
            return None
        values = (piece.render({self.first: one, self.second: two}) for one, two in self.pairs)
        return f"{text[:start]}{{{self.name}}}{text[end:]}", tuple(dict.fromkeys(values))


class DesignAttributes:
    """Those that texts have named so far: `values` of each by our name; `used` are the samplers by theirs.

    `names` has our name of each of the config's `columns`.
    """

    def __init__(
        self, design: Mapping[str, Any], columns: Mapping[str, Any], names: Mapping[str, str], notes: NotesOfConfig
    ) -> None:
        self.values: dict[str, ListedValues] = {}
        self.used: set[str] = set()
        self._design = design
        self._columns = columns
        self._names = names
        self._notes = notes

    def of_sampler(self, name: str, column: Mapping[str, Any], fields: list[str]) -> str:
        kind, params = str(column.get("sampler_type")), column.get("params") or {}
        own = "_".join([self._names[name], *fields])
        self.used.add(name)
        if own in self.values:
            return own
        if kind == "subcategory":
            every = (str(each) for values in _lists_of(params).values() for each in values)
            self.values[own] = ListedValues(tuple(dict.fromkeys(every)))
        else:
            try:
                is_person = kind in _PEOPLE
                found = _of_person(fields, params) if is_person else values_of(kind, params, column.get("convert_to"))
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                found = ListedValues(note=(f"its parameters can't be read ({error})", "list its values"))
            self.values[own] = found
        if note := self.values[own].note:
            self._notes.of_column(name, *note)
        if column.get("conditional_params"):
            self._notes.of_column(
                name, "`conditional_params` are left out", "write a `when` for the columns of these rows"
            )
        return own

    def keep_only(self, named: set[str]) -> None:
        """Forget what only columns that were left out have named."""
        self.values = {own: values for own, values in self.values.items() if own in named}
        self.used = {
            name
            for name in self.used
            if any(own == self._names[name] or own.startswith(f"{self._names[name]}_") for own in self.values)
        }

    def merge(self, gate: AllowedPairs, values: tuple[str, ...]) -> None:
        """One attribute with these values in the place of two."""
        self.values = {own: held for own, held in self.values.items() if own not in (gate.first, gate.second)}
        self.values[gate.name] = ListedValues(values)

    def of_seed(self, name: str, fields: list[str]) -> str:
        if not self._design.get("seed_config"):
            raise Untranslatable(f"names {name!r}, which is no column")
        if fields:
            raise Untranslatable(f"names {'.'.join([name, *fields])!r}, a field of a seed's field")
        own = usable_name(name)
        if own not in self.values:
            self.values[own] = ListedValues()
            source = self._design["seed_config"].get("source") or {}
            where = shown(source.get("path") or source.get("seed_type"))
            reason, nearest = (
                f"records of {where} are not read",
                f"list the values of {name!r}; several fields become all their combinations",
            )
            self._notes.add(f"seed_config: {name}", reason, nearest, "seed_config")
        return own

    def subcategories(self) -> Iterator[AllowedPairs]:
        """The pairs that each subcategory makes with its category."""
        for name, column in self._columns.items():
            own, params = self._names[name], column.get("params") or {}
            parent = self._names.get(str(params.get("category")), "")
            if column.get("sampler_type") == "subcategory" and {own, parent} <= self.values.keys():
                lists = _lists_of(params)
                groups = [
                    f"({parent} == {_quoted(each)} and {own} in [{', '.join(map(_quoted, values))}])"
                    for each, values in lists.items()
                ]
                pairs = [(each, str(value)) for each, values in lists.items() for value in values]
                yield AllowedPairs(parent, own, tuple(pairs), f"({' or '.join(groups)})" if groups[1:] else groups[0])

    def constraints(self) -> Iterator[AllowedPairs]:
        """The pairs of those between two attributes; one with a number leaves values out."""
        for number, each in enumerate(self._design.get("constraints") or []):
            target, other = self._names.get(str(each.get("target_column")), ""), each.get("rhs")
            operator = str(each.get("operator"))
            bound = self._names.get(other, "") if isinstance(other, str) else ""
            if operator in _OPERATORS and target in self.values and bound in self.values:
                sign, is_met = _OPERATORS[operator]
                pairs = [
                    (one, two)
                    for one in self.values[target].values
                    for two in self.values[bound].values
                    if (left := _number(one)) is not None
                    and (right := _number(two)) is not None
                    and is_met(left, right)
                ]
                yield AllowedPairs(target, bound, tuple(pairs), f"({target} {sign} {bound})")
            elif operator in _OPERATORS and target in self.values and (limit := _number(other)) is not None:
                held = self.values[target]
                is_met = _OPERATORS[operator][1]
                fits = [value for value in held.values if (found := _number(value)) is None or is_met(found, limit)]
                self.values[target] = replace(held, values=tuple(fits))
            else:
                what = f"constraint on {each.get('target_column')}"
                self._notes.add(what, "no prompt names what it compares", "leave it out", "constraints", number)


def _lists_of(params: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{category: its subcategories}."""
    found = params.get("values")
    return (
        {str(each): values for each, values in found.items() if isinstance(values, list)}
        if isinstance(found, Mapping)
        else {}
    )


def _of_person(fields: list[str], params: Mapping[str, Any]) -> ListedValues:
    why = ("people are not drawn: each of their fields is an attribute", "list the values that you want")
    first, last = (params.get("age_range") or (18, 114))[:2]
    cities = params.get("city") or ()
    known = {
        "sex": (params["sex"],) if params.get("sex") else ("Male", "Female"),
        "age": tuple(str(round(first + (last - first) * step / 6)) for step in range(7)),
        "city": (cities,) if isinstance(cities, str) else tuple(cities),
    }
    return ListedValues(known.get(".".join(fields), ()), why)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
