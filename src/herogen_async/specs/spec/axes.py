"""What the cells of a spec are made of, as its data has it: the fields of its source, and its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from herogen_async.specs.spec.problem import Place, Problem

if TYPE_CHECKING:
    from herogen_async.specs.spec.attribute_rules import ReadAttributes


@dataclass(frozen=True, slots=True)
class ReadAxes:
    """`data` is a spec's as the checks take it: with its source as a model, the `fields` of that beside its attributes,
    and all values of these. `sent` are the names in prompts and system texts, where there is a source; `read` what the
    attributes say besides values, where they do.
    """

    data: Mapping[str, Any]
    problems: Sequence[Problem]
    fields: tuple[str, ...] = ()
    sent: frozenset[str] = frozenset()
    read: ReadAttributes | None = None

    def unsent_problems(self) -> list[Problem]:
        """That none of the fields is sent."""
        if not self.fields or self.sent.intersection(self.fields):
            return []
        fix = f"name one in a prompt, for example {{{self.fields[0]}}}, or remove the source"
        return [Problem(("source",), "no prompt names a field of the source", fix)]


def read_axes(data: Mapping[str, Any], place: Place, found: Iterable[Problem]) -> ReadAxes:
    """From a spec's data, of which these problems are known.

    Raises InvalidSpecError where the source is wrong: then nobody knows which names there are.
    """
    fields: tuple[str, ...] = ()
    sent: frozenset[str] = frozenset()
    if data.get("source") is None:
        data = {name: value for name, value in data.items() if name != "source"}
    else:
        from herogen_async.specs.spec.source_checks import sent_names, with_source  # noqa: PLC0415 - few specs have it

        data, source = with_source(data, place, found)
        fields, sent = tuple(source.fields), frozenset(sent_names(data))
    if not _has_rules(data.get("attributes")):
        return ReadAxes(data, [*found], fields, sent)
    from herogen_async.specs.spec.attribute_rules import read_attributes  # noqa: PLC0415 - few specs have it

    attributes = data["attributes"]
    read = read_attributes({name: each for name, each in attributes.items() if name not in fields})
    return ReadAxes({**data, "attributes": {**attributes, **read.values}}, [*found, *read.problems], fields, sent, read)


def _has_rules(attributes: object) -> bool:
    """Whether an attribute is more than a list of values."""
    return isinstance(attributes, Mapping) and any(
        isinstance(values, Mapping) or (isinstance(values, list | tuple) and values and isinstance(values[0], Mapping))
        for values in attributes.values()
    )
