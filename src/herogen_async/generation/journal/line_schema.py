"""What a table of a journal's lines is made of: fields with names, types and order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Any


class FieldKind(Enum):
    """What a field holds; `types` are those of its parsed value."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    MOMENT = "moment"  # ISO 8601, UTC
    OBJECT = "object"
    LIST = "list"
    FLAG = "flag"

    @property
    def types(self) -> tuple[type, ...]:
        return _TYPES[self]


_TYPES: dict[FieldKind, tuple[type, ...]] = {
    FieldKind.TEXT: (str,),
    FieldKind.WHOLE: (int,),
    FieldKind.NUMBER: (int, float),
    FieldKind.MOMENT: (str,),
    FieldKind.OBJECT: (dict,),
    FieldKind.LIST: (list,),
    FieldKind.FLAG: (bool,),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a line.

    `is_nullable`: it may be null. `is_optional`: it is left out where its value is None.
    """

    name: str
    kind: FieldKind
    is_nullable: bool = False
    is_optional: bool = False

    @property
    def types(self) -> tuple[type, ...]:
        """Those that its value may have."""
        return (*self.kind.types, type(None)) if self.is_nullable else self.kind.types

    def fault_of(self, value: object) -> str | None:
        """What is wrong with a value, in words; None when nothing is."""
        if type(value) in self.types:
            return None
        wanted = " or ".join("null" if each is type(None) else each.__name__ for each in self.types)
        return f"{self.name!r} is {repr(value)[:60]}, not of type {wanted}"


class LineSchema:
    """The fields of a kind of lines, in the order in which they are written."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields = tuple(fields)
        self.required = tuple(field for field in self.fields if not field.is_optional)
        self.optional = tuple(field for field in self.fields if field.is_optional)
        self._by_name = {field.name: field for field in self.fields}
        self._required_values = itemgetter(*(field.name for field in self.required))
        self._sound: set[tuple[type, ...]] = set()  # the few combinations of types that there are

    @property
    def names(self) -> tuple[str, ...]:
        """Every field's, those of optional ones too."""
        return tuple(self._by_name)

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def between(self, first: str, behind: str) -> tuple[str, ...]:
        """The names from `first` on, up to `behind`, which is not among them."""
        return self.names[self.names.index(first) : self.names.index(behind)]

    def arranged(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` in the order of the fields, without those of optional fields that are None."""
        left_out = {field.name for field in self.optional if values.get(field.name) is None}
        return {name: values[name] for name in self.names if name not in left_out}

    def fault_of(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, in words; None when nothing is. What else it holds is a later version's."""
        try:
            values = self._required_values(record)
        except KeyError as error:
            return f"{error.args[0]!r} is missing"
        types = tuple(map(type, values))
        if types not in self._sound:
            faults = [
                fault for field, value in zip(self.required, values, strict=True) if (fault := field.fault_of(value))
            ]
            if faults:
                return faults[0]
            self._sound.add(types)
        for field in self.optional:
            if field.name in record and (fault := field.fault_of(record[field.name])):
                return fault
        return None if record["repeat"] >= 1 else f"'repeat' is {record['repeat']}, but counts from 1"
