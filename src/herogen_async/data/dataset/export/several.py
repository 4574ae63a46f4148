"""The table of rows of several columns: a cell for each answer, and what the answers of a row come to together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from herogen_async.data.dataset.export.columns import USAGE_COLUMNS, Columns, attribute_columns, optional_cells
from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.generation.endpoint.usage import is_token_count
from herogen_async.generation.journal.line_schema import FieldKind
from herogen_async.generation.journal.record import ROW
from herogen_async.specs.plan import Plan

_DETAILS = ("prompt", "finish_reason", "model", "request_id", "latency_ms")


class SeveralTable:
    """`optional` are fields that only some answers have, each as `COLUMN.reasoning` or `COLUMN.extra`.

    `details`: also what was sent, and how the answer ended; `is_partial`: rows may lack answers, and say so.
    """

    def __init__(self, plan: Plan, optional: Sequence[str], *, details: bool, is_partial: bool) -> None:
        self._plan = plan
        self._details = _DETAILS if details else ()
        self._is_partial = is_partial
        wanted = ("reasoning", "extra") if details else ("reasoning",)
        self._further = {
            call.name: [name for name in wanted if f"{call.name}.{name}" in optional] for call in plan.shape.calls
        }

    def columns(self, attributes: Iterable[str]) -> Columns:
        """Its columns, in order."""
        answers: list[tuple[str, FieldKind]] = []
        for name, further in self._further.items():
            answers.append((name, FieldKind.TEXT))
            answers += [(f"{name}.{each}", FieldKind.TEXT) for each in further]
            answers += [(f"{name}.{each}", ROW[each].kind) for each in self._details]
        rest = [
            *([("state", FieldKind.TEXT), ("missing", FieldKind.TEXT)] if self._is_partial else []),
            ("repeat", FieldKind.WHOLE),
            ("index", FieldKind.WHOLE),
            *((name, FieldKind.WHOLE) for name in USAGE_COLUMNS),
            ("attempts", FieldKind.WHOLE),
        ]
        others = ["sub_prompt", *(name for name, _ in (*answers, *rest))]
        return (*attribute_columns(attributes, others), ("sub_prompt", FieldKind.TEXT), *answers, *rest)

    def cells(self, row: Mapping[str, Any]) -> tuple[object, ...]:
        """The row's cells under `columns`; None for an answer that there is not."""
        cells: list[object] = [*row["cell"].values(), row["sub_prompt"]]
        answers = answers_of(self._plan, row)
        for name, answer in answers.items():
            known = answer or {}
            cells.append(known.get("response_txt"))
            cells += optional_cells(known, self._further[name])
            cells += map(known.get, self._details)
        if self._is_partial:
            cells += [row["state"], "; ".join(f"{name}: {why}" for name, why in row["missing"].items())]
        given = [answer for answer in answers.values() if answer is not None]
        tokens = (_sum(given, name) for name in USAGE_COLUMNS)
        return (*cells, row["repeat"], row["index"], *tokens, sum(answer["attempts"] for answer in given))


def _sum(answers: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """What the servers counted, together; None where none of them gave that number."""
    counts = [count for each in answers if is_token_count(count := (each["usage"] or {}).get(name))]
    return sum(counts) if counts else None
