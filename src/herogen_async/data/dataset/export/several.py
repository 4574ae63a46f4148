"""The table of rows of several columns: a cell for each answer, and what the answers of a row come to together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from herogen_async.data.dataset.export.columns import USAGE_COLUMNS, Columns, attribute_columns, optional_cells
from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.generation.endpoint.usage import is_token_count
from herogen_async.generation.journal.line_schema import FieldKind
from herogen_async.generation.journal.record import ROW
from herogen_async.specs.forms import AnswerForm
from herogen_async.specs.forms.form import field_text
from herogen_async.specs.plan import Plan

_KINDS = {"integer": FieldKind.WHOLE, "number": FieldKind.NUMBER}
_DETAILS = ("prompt", "finish_reason", "model", "request_id", "latency_ms")


class SeveralTable:
    """The fields of an answer with a form are columns of their own, as `COLUMN.field`. `optional` are fields that only
    some answers have, each as `COLUMN.reasoning` or `COLUMN.extra`.

    `details`: also what was sent, and how the answer ended; `is_partial`: rows may lack answers, and say so.
    """

    def __init__(self, plan: Plan, optional: Sequence[str], *, details: bool, is_partial: bool) -> None:
        self._plan = plan
        self._details = _DETAILS if details else ()
        self._fields = {call.name: _kinds(call.column.form) for call in plan.shape.calls}
        self._accepts = plan.keeping is not None and plan.keeping.accepts
        self._is_partial = is_partial
        self._further = {
            call.name: [name for name in ("reasoning", "extra") if f"{call.name}.{name}" in optional]
            for call in plan.shape.calls
        }

    def columns(self, attributes: Iterable[str]) -> Columns:
        """Its columns, in order."""
        answers: list[tuple[str, FieldKind]] = []
        for name, further in self._further.items():
            answers.append((name, FieldKind.TEXT))
            taken = {each.casefold() for each in (*further, *self._details)}
            for field, kind in self._fields[name].items():
                own = f"value.{field}" if field.casefold() in taken else field
                answers.append((f"{name}.{own}", kind))
            answers += [(f"{name}.{each}", FieldKind.TEXT) for each in further]
            answers += [(f"{name}.{each}", ROW[each].kind) for each in self._details]
        rest = [
            *([("state", FieldKind.TEXT), ("missing", FieldKind.TEXT)] if self._is_partial else []),
            *([("accepted", FieldKind.FLAG)] if self._accepts else []),
            ("repeat", FieldKind.WHOLE),
            ("index", FieldKind.WHOLE),
            *((name, FieldKind.WHOLE) for name in USAGE_COLUMNS),
            ("attempts", FieldKind.WHOLE),
        ]
        others = ["sub_prompt", *(name for name, _ in (*answers, *rest))]
        return (*attribute_columns(attributes, others), ("sub_prompt", FieldKind.TEXT), *answers, *rest)

    def _field_cells(self, name: str, value: Any) -> Iterator[object]:
        held = value if isinstance(value, dict) else {}
        for field, kind in self._fields[name].items():
            found = held.get(field)
            if kind == FieldKind.WHOLE and isinstance(found, float) and found.is_integer():
                found = int(found)  # an integer of JSON Schema, written as 3.0
            yield found if found is None or kind != FieldKind.TEXT else field_text(found)

    def cells(self, row: Mapping[str, Any]) -> tuple[object, ...]:
        """The row's cells under `columns`; None for an answer that there is not."""
        cells: list[object] = [*map(row["cell"].get, self._plan.spec.cell_fields), row["sub_prompt"]]
        answers = answers_of(self._plan, row)
        for name, answer in answers.items():
            known = answer or {}
            cells.append(known.get("response_txt"))
            cells += self._field_cells(name, known.get("value"))
            cells += optional_cells(known, self._further[name])
            cells += map(known.get, self._details)
        if self._is_partial:
            cells += [row["state"], "; ".join(f"{name}: {why}" for name, why in row["missing"].items())]
        if self._accepts:
            cells.append(row["accepted"])
        given = [answer for answer in answers.values() if answer is not None]
        tokens = (_sum(given, name) for name in USAGE_COLUMNS)
        return (*cells, row["repeat"], row["index"], *tokens, sum(answer["attempts"] for answer in given))


def _kinds(form: AnswerForm | None) -> dict[str, FieldKind]:
    """The columns of a form's fields: numbers where all are, else text."""
    return {} if form is None else {name: _KINDS.get(each or "", FieldKind.TEXT) for name, each in form.fields.items()}


def _sum(answers: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """What the servers counted, together; None where none of them gave that number."""
    counts = [count for each in answers if is_token_count(count := (each["usage"] or {}).get(name))]
    return sum(counts) if counts else None
