"""The rows that a bench requests: the spec's own, repeated if its grid is too small. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core.errors import InputError, SpecError
from herogen_async.lab.simulator.completions.form_answers import form_in
from herogen_async.specs.plan import Plan
from herogen_async.specs.source_index.spec_cells import spec_cells
from herogen_async.specs.spec import Spec

_ROUND = "bench_round"
MOST_REPEATS = 1_000_000  # the most that a spec allows
MOST_ROUNDS = 1_000_000  # the most values that an attribute may have


def varied(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` rows: the grid repeated, each time with a different number at the end of the prompt.

    Equal prompts would all get answers of the same length from a simulated server. Of several columns those have the
    number that build on no other; the others' prompts differ with the answers in them.
    """
    spec = _asking_all(spec)
    rounds = -(-rows // _size(spec))
    if rounds <= 1:
        return spec
    repeats = spec.repeats * -(-rounds // MOST_ROUNDS)
    numbers = [str(number) for number in range(1, min(rounds, MOST_ROUNDS) + 1)]
    roots = {each.stem for each in planned(spec).columns if not each.sent}
    columns = {
        name: {**column.as_dict(), "prompt": _numbered(column.prompt) if name in roots else column.prompt}
        for name, column in spec.columns.items()
    }
    asked = ({"prompt": _numbered(spec.prompt)} if spec.prompt else {}) | ({"columns": columns} if columns else {})
    attributes = {_ROUND: numbers, **spec.as_dict()["attributes"]}
    return spec.replace(attributes=attributes, **asked, repeats=repeats, name="bench")


def repeated(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` rows and its own prompts: more answers per cell. Raises InputError."""
    spec = _asking_all(spec)
    if rows <= _size(spec):
        return spec
    repeats = -(-rows * spec.repeats // _size(spec))
    if repeats > MOST_REPEATS:
        raise InputError(f"{rows:,} rows are too many for this spec's grid", fix="use a smaller --limit")
    return spec.replace(repeats=repeats)


def unchecked(spec: Spec) -> Spec | None:
    """`spec` with columns that ask for the same forms and take what comes, to see what it costs to check answers.

    None where no column has a form, or a prompt or a condition names a field: then nobody can do without.
    """
    formed = [
        column
        for column in planned(spec).columns  # a turn of a conversation needs a text: that is no form of its own
        if column.form is not None and (column.pair is not None or spec.columns[column.stem].answer is not None)
    ]
    columns: dict[str, Any] = {name: column.as_dict() for name, column in spec.columns.items()}
    for asked in formed:
        assert asked.form is not None
        own = {name: value for name, value in columns[asked.stem].items() if name not in ("answer", "judge")}
        sent = asked.form.sent.get(asked.endpoint, {})
        own["sampling"] = {**own.get("sampling", {}), "extra": {**asked.sampling.extra, **sent}}
        columns[asked.stem] = own
        if asked.swapped is not None:  # without a judge nobody asks in the other order
            other = next(column for column in formed if column.name == asked.swapped)
            system = {} if other.system is None else {"system": other.system.text}
            columns[other.name.replace(".", "_")] = {**own, **system, "prompt": other.prompt.text}
    try:
        return spec.replace(columns=columns, keep=None, best_of={}, train=()) if formed else None
    except SpecError:
        return None


def planned(spec: Spec, model: str = "simulated") -> Plan:
    """The plan of a spec at a simulated server."""
    return Plan(spec, endpoint=spec.endpoint, model=model)


def answer_limits(plan: Plan) -> Mapping[str, int]:
    """By column, the most tokens that an answer may have; 0 without a limit."""
    return {each.name: each.sampling.max_completion_tokens or each.sampling.max_tokens or 0 for each in plan.columns}


def answer_schemas(plan: Plan) -> Mapping[str, Any]:
    """By column with a form, the JSON Schema that a server is told; None where a schema can't say it."""
    return {each.name: form_in(each.form.sent.get(each.endpoint, {})) for each in plan.columns if each.form is not None}


def row_tokens(plan: Plan) -> int | None:
    """What a server that charges each request for its largest answer charges for a row; None where that is unknown."""
    limits = answer_limits(plan)
    if not all(limits.values()):
        return None
    return sum(limits[each.name] * each.samples for each in plan.columns)


def _asking_all(spec: Spec) -> Spec:
    """`spec` without an end before its last row, and with all cells that its rules leave."""
    rules = spec.cell_rules
    if spec.want is None and rules == rules.of_grid:
        return spec
    plain = spec.as_dict()
    attributes = {
        name: spec.attributes[name] if name in rules.weights else each for name, each in plain["attributes"].items()
    }
    grid = {} if spec.grid is None else {"grid": {"exclude": plain["grid"].get("exclude", [])}}
    return spec.replace(attributes=attributes, want=None, **grid)


def _numbered(prompt: str) -> str:
    return f"{prompt}\n({{{_ROUND}}})"


def _size(spec: Spec) -> int:
    return spec_cells(spec).size * spec.repeats
