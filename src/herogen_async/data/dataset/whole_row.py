"""A row of several columns as one dict: each column's answer under its name, and why a column has none. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Literal

from herogen_async.generation.journal.record import ROW
from herogen_async.specs.forms import AnswerForm, FormReading, read_together
from herogen_async.specs.plan import IndexSet, Plan
from herogen_async.specs.plan.row_shape import CallShape
from herogen_async.specs.sources.cells import shown_cell
from herogen_async.specs.spec import Template

RowState = Literal["done", "failed", "pending"]

# What is of the row, and what tells a line's place among others; the rest is of the answer.
_OF_THE_ROW = {"index", "cell", "repeat", "sub_prompt", "column", "sample", "from", "skipped"}
_FIELDS = [field.name for field in ROW.fields if field.name not in _OF_THE_ROW]
_TEXT_AT = _FIELDS.index("response_txt") + 1
_OWN = (*_FIELDS[:_TEXT_AT], "value", *_FIELDS[_TEXT_AT:])
FAILED = "failed"
PENDING = "not asked yet"


def whole_row(
    plan: Plan,
    number: int,
    lines: Mapping[int, Mapping[str, Any]],
    failed: IndexSet,
    sub_prompt: Template,
) -> dict[str, Any]:
    """Row `number`, made from the journal's `lines` that count, by the index of their call; `failed` calls have none.

    `columns` holds of each column the fields of its answer, None where there is none, and a list of these where it has
    several samples. Of an answer with a form, `response_txt` is what the form takes of it, and `value` what it says.
    `accepted` says whether the spec's `keep` holds and the row is no near copy, where it has a `keep` or an `unlike`.
    `missing` says for each call without an answer, by its name (`solution`, `solution.2`), why.
    """
    first = number * plan.calls_a_row
    cell_index, repeat = divmod(number, plan.repeats)
    told: Mapping[str, str] = next((line["cell"] for line in lines.values()), {})
    cell = shown_cell(plan.cells, cell_index, told, () if plan.keeping is None else plan.keeping.names)
    missing = _missing(plan, first, lines, failed)
    answers = [
        None if (line := lines.get(first + call.place)) is None or "skipped" in line else _own(line, call.column.form)
        for call in plan.shape.calls
    ]
    answers = [_in_both_orders(answers, call) for call in plan.shape.calls]
    state = _state(plan, first, lines, failed)
    return {
        "index": number,
        "cell": cell,
        "repeat": repeat + 1,
        "sub_prompt": sub_prompt.render(cell),
        "state": state,
        "columns": {
            column.name: answers[column.first_call]
            if column.samples == 1
            else answers[column.first_call : column.first_call + column.samples]
            for column in plan.columns
        },
        "missing": missing,
        **_kept(plan, cell, answers, is_done=state == "done"),
    }


def _in_both_orders(answers: Sequence[dict[str, Any] | None], call: CallShape) -> dict[str, Any] | None:
    """The answer to `call`; of a judge of two columns what it says in both orders, None until there are both."""
    answer, pair = answers[call.place], call.column.pair
    if answer is None or call.swapped is None or pair is None or (other := answers[call.swapped]) is None:
        return answer if call.swapped is None else None
    one, two = answered((answer, other))
    if one is None or two is None:
        return None
    reading = read_together(one, two, pair)
    return {**answer, "response_txt": reading.text, "value": reading.value}


def _kept(
    plan: Plan, cell: Mapping[str, str], answers: Sequence[Mapping[str, Any] | None], *, is_done: bool
) -> dict[str, Any]:
    if plan.keeping is None or not plan.keeping.accepts:
        return {}
    if plan.spec.keep is None and not is_done:
        return {"accepted": False}  # an answer that is not there is no near copy, and no reason to accept
    return {"accepted": plan.keeping.decide(cell, answered(answers), _near_copies(plan, answers)).is_accepted}


def _near_copies(plan: Plan, answers: Iterable[Mapping[str, Any] | None]) -> list[int]:
    return [
        call.place
        for call, answer in zip(plan.shape.calls, answers, strict=True)
        if answer is not None and call.column.is_near_copy(answer)
    ]


def near_copies_of(plan: Plan, row: Mapping[str, Any]) -> list[int]:
    """The places of the calls of a whole row whose answers are near copies."""
    return _near_copies(plan, answers_of(plan, row).values())


def answered(answers: Iterable[Mapping[str, Any] | None]) -> list[FormReading | None]:
    """The answers of a whole row as decisions are made from them."""
    return [None if each is None else FormReading(each["response_txt"], each.get("value")) for each in answers]


def answers_of(plan: Plan, row: Mapping[str, Any]) -> dict[str, Mapping[str, Any] | None]:
    """The answers of a whole row by the name of their call, in the order of the plan."""
    columns = row["columns"]
    return {
        call.name: columns[call.column.name] if call.column.samples == 1 else columns[call.column.name][call.sample - 1]
        for call in plan.shape.calls
    }


def _own(line: Mapping[str, Any], form: AnswerForm | None) -> dict[str, Any]:
    if form is not None:
        reading = form.read(line["response_txt"])
        line = {**line, "response_txt": reading.text, "value": reading.value}
    return {name: line[name] for name in _OWN if name in line}


def _state(plan: Plan, first: int, lines: Container[int], failed: IndexSet) -> RowState:
    calls = range(first, first + plan.calls_a_row)
    if all(index in lines for index in calls):
        return "done"
    return "failed" if any(index in failed for index in calls) else "pending"


def _missing(plan: Plan, first: int, lines: Mapping[int, Mapping[str, Any]], failed: IndexSet) -> dict[str, str]:
    shape = plan.shape
    found: dict[str, str] = {}
    not_asked: dict[int, str] = {}  # by place, what failed before it
    for call in shape.calls:
        line = lines.get(first + call.place)
        if line is not None:
            if "skipped" in line:
                found[call.name] = _skipped(plan, call.place, line["skipped"])
        elif first + call.place in failed:
            found[call.name] = FAILED
            not_asked = {**dict.fromkeys(shape.descendants(call.place), call.name), **not_asked}
        elif call.place in not_asked:
            found[call.name] = f"not asked: {not_asked[call.place]} failed"
        else:
            found[call.name] = PENDING
    for call in shape.calls:
        if call.swapped is not None and (why := found.get(other := shape.calls[call.swapped].name)) is not None:
            is_open = why in (FAILED, PENDING)  # there is an answer to the first order, and no winner
            found.setdefault(call.name, f"not decided: {other} {why}" if is_open else why)
    return found


def _skipped(plan: Plan, place: int, condition: str) -> str:
    column = plan.shape.calls[place].column
    if column.when is not None and column.when.fingerprint == condition:
        return "skipped: its condition is not met"
    other = next(
        (each.name for each in plan.columns if each.when is not None and each.when.fingerprint == condition), None
    )
    return "skipped" if other is None else f"skipped: the condition of {other} is not met"
