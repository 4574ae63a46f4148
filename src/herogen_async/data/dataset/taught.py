"""Which column of a row becomes its example: one that was chosen, or the last one that the row has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import Plan

_ELSE = "|"  # as in a placeholder: `rewrite|solution`


@dataclass(frozen=True, slots=True)
class Taught:
    """The columns whose answers are taught: of each row the first one that it has, each of its samples."""

    columns: tuple[AskedColumn, ...]
    is_chosen: bool

    @classmethod
    def of(cls, plan: Plan, chosen: str | None) -> Taught | None:
        """`chosen` names a column, or several as `rewrite|solution`; None means the last one whose answers are no JSON,
        if there is one, and where a condition may have left that out, those before it. None where a row is one call.
        Raises InputError for an unknown name.
        """
        known = {column.name: column for column in plan.columns}
        names = [] if chosen is None else [name.strip() for name in chosen.split(_ELSE)]
        sides = () if plan.spec.conversation is None else plan.spec.conversation.columns
        for name in names:
            if name in sides:
                turn = next(column.name for column in reversed(plan.columns) if column.stem == name)
                fix = f"choose a turn, such as --column {turn}, or remove --column: the conversation is an example"
                raise InputError(f"{name!r} is a side of the conversation", fix=fix)
            if name not in known:
                raise InputError(f"unknown column {name!r}", fix=nearest(name, list(known)))
        if not plan.shows_columns:
            return None
        if names:
            return cls(tuple(known[name] for name in dict.fromkeys(names)), is_chosen=True)
        found: list[AskedColumn] = []
        texts = [each for each in plan.columns if each.form is None or not each.form.is_json]
        for column in reversed(texts or plan.columns):
            found.append(column)
            if not plan.shape.skips[column.first_call]:
                break
        return cls(tuple(found), is_chosen=False)

    @property
    def samples(self) -> int:
        """How many examples a row may give."""
        return max(column.samples for column in self.columns)

    @property
    def text(self) -> str:
        """As `of` takes it."""
        return _ELSE.join(column.name for column in self.columns)

    @property
    def answer(self) -> str:
        """What an example answers, in words."""
        first, *others = (column.name for column in self.columns)
        instead = f"; where that was skipped, {', else '.join(others)}" if others else ""
        each = f" (each of {self.samples} samples)" if self.samples > 1 else ""
        return f"{first}{each}{instead}"

    def examples(self, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The examples of a whole row, each as a row of one answer.

        `number` tells them apart: row x `samples` + sample - 1. `place` is that of the call among those of its row.
        """
        every = [(column, _listed(row["columns"][column.name])) for column in self.columns]
        there = [(column, answers) for column, answers in every if any(answers)]
        shared = {name: row[name] for name in ("index", "cell", "repeat", "sub_prompt", "columns")}
        for sample in range(len(there[0][1]) if there else 0):
            of_it = ((column, answers[sample]) for column, answers in there if sample < len(answers))
            found = next(((column, each) for column, each in of_it if each is not None), None)
            if found is not None:
                number, place = row["index"] * self.samples + sample, found[0].first_call + sample
                yield {**shared, "number": number, "place": place, **found[1]}


def _listed(answer: Any) -> list[Mapping[str, Any] | None]:
    return answer if isinstance(answer, list) else [answer]
