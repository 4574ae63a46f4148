"""The attributes of a DataDesigner config: its samplers, and which of their combinations it makes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import ge, gt, le, lt
from typing import Any

from herogen_async.core.errors import InputError, SpecError
from herogen_async.specs.expressions import Expression
from herogen_async.specs.foreign.jinja_text import Untranslatable, with_our_names
from herogen_async.specs.foreign.listed_values import ListedValues, as_range, values_of, whole_weights
from herogen_async.specs.foreign.not_mapped import NotesOfConfig
from herogen_async.specs.sources.cells import cells_from
from herogen_async.specs.sources.rules import CellRules
from herogen_async.specs.spec.attribute_rules import STRUCTURED, read_attributes

SAMPLED = 100  # rows, where a config has no number and all combinations are too many, or their weights need one
_OPERATORS = {"lt": lt, "le": le, "gt": gt, "ge": ge}
_PEOPLE = ("person", "person_from_faker")
_NUMBERS = {"uniform": "float", "gaussian": "float", "poisson": "int", "binomial": "int", "bernoulli": "int"}
_MOST_PAIRS = 100_000  # of the values of two attributes: a second, and a long line
_BRANCHED = ("values that depend on others have no weights: each gets as many rows", "repeat them under other names")

Branches = list[tuple[Any, tuple[str, ...]]]


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
        self._branches: dict[str, Branches] = {}  # (condition, values) of those that depend on others
        self._needs: dict[str, set[str]] = {}  # what the conditions of an attribute name
        self._otherwise: dict[str, ListedValues] = {}  # the values of an attribute without its conditions
        self._making: list[str] = []

    def of_sampler(self, name: str, fields: list[str]) -> str:
        """Our name of the attribute that the sampler `name` is, or of the one for that field of a person."""
        column = self._columns[name]
        kind, params = str(column.get("sampler_type")), column.get("params") or {}
        own = "_".join([self._names[name], *fields])
        if name in self._making:
            raise Untranslatable(f"names {name!r}, whose values depend on itself")
        self.used.add(name)
        if own in self.values:
            return own
        if fields and kind not in _PEOPLE:
            raise Untranslatable(f"names {'.'.join([name, *fields])!r}, a field of a value without fields")
        if kind == "subcategory":
            every = (str(each) for values in _lists_of(params).values() for each in values)
            held = ListedValues(tuple(dict.fromkeys(every)))
        else:
            held = self._read(kind, column, params, fields)
        if any(not each.strip() for each in held.values):
            held = held.without_blanks()
            self._notes.of_column(name, "an empty value is left out", "name it in words, such as `none`")
        self.values[own] = held
        if held.note:
            self._notes.of_column(name, *held.note)
        if kind not in _PEOPLE and isinstance(given := column.get("conditional_params"), Mapping) and given:
            self._make_conditional(name, own, given)
        elif column.get("conditional_params"):
            self._notes.of_column(name, "`conditional_params` are left out", "write `when` under the attribute")
        return own

    def number(self, name: str, fields: list[str]) -> str:
        """The filter that makes a value of the sampler `name` the number that it was; empty for a text."""
        column = self._columns[name]
        kind, params = str(column.get("sampler_type")), column.get("params") or {}
        if kind in _PEOPLE:
            return "int" if fields == ["age"] else ""
        if kind in ("category", "subcategory"):
            listed = params.get("values") or ()
            values = [each for own in listed.values() for each in own] if isinstance(listed, Mapping) else list(listed)
            kinds = {type(each) for each in values}
            return "" if not kinds or kinds - {int, float} else "float" if float in kinds else "int"
        found = _NUMBERS.get(kind, "")
        return {"int": "int", "str": ""}.get(str(column.get("convert_to")), found) if found else ""

    def keep_only(self, named: set[str]) -> None:
        """Forget what only columns that were left out have named; the rest depends on what is left."""
        self.values = {own: values for own, values in self.values.items() if own in named}
        self.used = {
            name
            for name in self.used
            if any(own == self._names[name] or own.startswith(f"{self._names[name]}_") for own in self.values)
        }
        for name in self._columns:
            if (own := self._names[name]) in self._branches and own in self.values:
                self._keep_branches(name, own)
        self._take_categories()

    def grid(self, *, is_shuffled: bool, has_source: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """`attributes` and `grid` of the spec."""
        excluded = list(self._excluded())
        self._tell_conditions()
        plain = {own: self._plain(own, with_weights=False) for own in self._in_order()}
        weighted = {own: self._plain(own, with_weights=True) for own in plain}
        grid: dict[str, Any] = {"exclude": excluded} if excluded else {}
        shuffled = {**grid, "shuffle": True}
        if weighted == plain:
            size, _ = (None, "") if has_source else _rows_of(plain, excluded)
            if size is None or size <= SAMPLED:
                return plain, shuffled if is_shuffled else grid or None
            return plain, self._sampled(grid, SAMPLED, f"there are {size:,} combinations")
        size, why = _rows_of(weighted, excluded, is_endless=has_source)
        if size is not None:
            return weighted, self._sampled(grid, min(size, SAMPLED), "weights need a number of rows")
        for own, values in weighted.items():
            if plain[own] != values:
                reason = f"its weights are left out: each value gets as many rows, since {why}"
                shares = ", ".join(f"{value}: {weight}" for value, weight in _shares(values))
                name = next(each for each, ours in self._names.items() if ours == own)
                self._notes.of_column(name, reason, f"write {{{shares}}}, and `sample` in `grid`")
        return plain, shuffled

    def _sampled(self, grid: dict[str, Any], rows: int, why: str) -> dict[str, Any]:
        reason = f"{why}, and no num_records is in a config: {rows} rows are asked"
        self._notes.add("rows", reason, "set `sample` in `grid` to yours; a larger one keeps all answers")
        return {**grid, "sample": rows}

    # -- values

    @staticmethod
    def _read(kind: str, column: Mapping[str, Any], params: Mapping[str, Any], fields: list[str]) -> ListedValues:
        try:
            return _of_person(fields, params) if kind in _PEOPLE else values_of(kind, params, column.get("convert_to"))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            return ListedValues(note=(f"its parameters can't be read ({error})", "list its values"))

    def _make_conditional(self, name: str, own: str, given: Mapping[str, Any]) -> None:
        """Values by condition: the first that is met, and else those that it has anyway."""
        column, held, needed = self._columns[name], self.values[own], set[str]()
        branches: Branches = []
        is_weighted = held.weights is not None

        def our_name(their: str, fields: list[str]) -> str:
            if self._columns.get(their, {}).get("column_type") != "sampler":
                raise Untranslatable(f"names {their!r}, which is no sampler")
            needed.add(found := self.of_sampler(their, fields))
            return found

        self._making.append(name)
        try:
            for condition, params in given.items():
                text = Expression.parse(with_our_names(condition, self._columns, our_name)).text
                values = self._read(str(column.get("sampler_type")), column, params or {}, []).without_blanks()
                if not values.values:
                    raise Untranslatable("have values that can't be listed")
                branches.append((text, values.values))
                is_weighted |= values.weights is not None
        except (Untranslatable, SpecError) as why:
            self._notes.of_column(name, f"`conditional_params` are left out: {why}", "write `when` under the attribute")
            return
        finally:
            self._making.pop()
        if is_weighted:
            self._notes.of_column(name, *_BRANCHED)
        self._branches[own] = [*branches, *([(None, held.values)] if held.values else [])]
        self._needs[own] = needed
        self._otherwise[own] = held
        every = dict.fromkeys(value for _, values in self._branches[own] for value in values)
        self.values[own] = replace(held, values=tuple(every), weights=None)

    def _keep_branches(self, name: str, own: str) -> None:
        if missing := sorted(self._needs[own] - self.values.keys()):
            del self._branches[own], self._needs[own]
            self.values[own] = self._otherwise[own]
            reason = f"`conditional_params` are left out, since no prompt names {', '.join(missing)}"
            self._notes.of_column(name, reason, "name it in a prompt")

    def _plain(self, own: str, *, with_weights: bool) -> Any:
        """An attribute as a spec writes it."""
        held = self.values[own]
        if own in self._branches:
            kept = [(when, [each for each in several if each in held.values]) for when, several in self._branches[own]]
            listed = [({} if when is None else {"when": when}) | _listed(values) for when, values in kept if values]
            return listed[0] if len(listed) == 1 and "when" in listed[0] else listed
        if with_weights and held.weights is not None and len(held.values) > 1:
            weights = dict(zip(held.values, whole_weights(held.weights), strict=True))
            if set(weights) & set(STRUCTURED):
                return {"values": list(weights), "weights": list(weights.values())}
            return weights
        found = _listed(held.values)
        return found if "from" in found else found["values"]

    def _in_order(self) -> list[str]:
        """Those that conditions name stand before what depends on them."""
        order: dict[str, None] = {}
        begun = set[str]()  # conditions that go round in a circle are the spec's mistake

        def add(own: str) -> None:
            if own not in begun:
                begun.add(own)
                for each in self.values:
                    if each in self._needs.get(own, ()):
                        add(each)
                order[own] = None

        for own in self.values:
            add(own)
        return list(order)

    # -- which combinations there are

    def _take_categories(self) -> None:
        """Each subcategory has the values of its category, where texts name both."""
        for name, column in self._columns.items():
            own, params = self._names[name], column.get("params") or {}
            parent = self._names.get(str(params.get("category")), "")
            if column.get("sampler_type") != "subcategory" or own not in self.values or own in self._branches:
                continue
            if parent == own or parent not in self.values or not self.values[parent].values:
                self._notes.of_column(
                    name,
                    f"it does not depend on {params.get('category')!r}, which no prompt names or which has no values",
                    "name both in a prompt",
                )
                continue
            lists = _lists_of(params)
            self._branches[own] = [
                ({parent: value}, tuple(each for each in dict.fromkeys(map(str, lists[value])) if each.strip()))
                for value in self.values[parent].values
                if lists.get(value)
            ]
            self._needs[own] = {parent}
            if without := [value for value in self.values[parent].values if not lists.get(value)]:
                self._notes.of_column(name, f"{', '.join(without)} have no values", "remove them, or add values")

    def _excluded(self) -> Iterator[dict[str, Any]]:
        """What constraints between two attributes leave out; one with a number leaves values out."""
        between = []
        for number, each in enumerate(self._design.get("constraints") or []):
            target, other = self._names.get(str(each.get("target_column")), ""), each.get("rhs")
            is_met = _OPERATORS.get(str(each.get("operator")))
            bound = self._names.get(other, "") if isinstance(other, str) else ""
            if is_met and target in self.values and bound in self.values:
                between.append((number, target, bound, is_met))
            elif is_met and target in self.values and (limit := _number(other)) is not None:
                held = self.values[target]
                self.values[target] = held.without([value for value in held.values if _is_wrong(value, limit, is_met)])
                if not self.values[target].values:
                    self._tell_constraint(number, f"no listed value of {target} meets it", "list values that do")
            else:
                self._tell_constraint(number, "no prompt names what it compares", "leave it out")
        for number, target, bound, is_met in between:
            ours, theirs = self.values[target].values, self.values[bound].values
            if len(ours) * len(theirs) > _MOST_PAIRS:
                reason = f"left out: {len(ours):,} x {len(theirs):,} values are too many to compare"
                self._tell_constraint(number, reason, "take larger steps, and write `exclude` in `grid`")
                continue
            for one in ours:
                if wrong := [two for two in theirs if _is_wrong(one, two, is_met)]:
                    yield {target: one, bound: wrong[0] if len(wrong) == 1 else wrong}

    def _tell_constraint(self, number: int, reason: str, nearest: str) -> None:
        what = f"constraint on {self._design['constraints'][number].get('target_column')}"
        self._notes.add(what, reason, nearest, "constraints", number)

    def _tell_conditions(self) -> None:
        for name in self.used:
            column = self._columns[name]
            if isinstance(skip := column.get("skip"), Mapping) and skip:
                self._notes.of_column(name, "`skip` of a sampler is left out", "write `when` under the attribute")


def _rows_of(
    attributes: Mapping[str, Any], excluded: list[dict[str, Any]], *, is_endless: bool = False
) -> tuple[int | None, str]:
    """How many rows there are that keep the weights; None, and why, where none do.

    `is_endless`: there are many records, each of which comes with all combinations.
    """
    read = read_attributes(attributes)
    if not all(read.values.values()):
        return None, "not all values are listed"
    partial = tuple(
        {name: (value,) if isinstance(value, str) else tuple(value) for name, value in each.items()}
        for each in excluded
    )
    rules = CellRules({str(name): each for name, each in read.branches.items()}, partial, weights=read.weights)
    try:
        size = cells_from(read.values, 0, rules).size if read.values else 0
    except InputError as error:
        return None, error.message
    rarest = max((-(-sum(each) // min(each)) for each in read.weights.values()), default=0)
    if is_endless or size >= rarest:
        return SAMPLED if is_endless else size, ""
    return None, "there are not enough combinations"


def _shares(weighted: Mapping[str, Any]) -> list[tuple[str, int]]:
    listed = weighted.get("values")
    return list(zip(listed, weighted["weights"], strict=True)) if isinstance(listed, list) else [*weighted.items()]


def _listed(values: Sequence[str]) -> dict[str, Any]:
    return as_range(values) or {"values": list(values)}


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


def _is_wrong(value: object, bound: object, is_met: Any) -> bool:
    one, two = _number(value), _number(bound)
    return one is not None and two is not None and not is_met(one, two)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
