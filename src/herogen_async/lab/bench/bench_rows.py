"""The rows that a bench requests: the spec's own, repeated if its grid is too small. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from herogen_async.core.errors import InputError
from herogen_async.specs.plan import Plan
from herogen_async.specs.sources.spec_cells import spec_cells
from herogen_async.specs.spec import Spec

_ROUND = "bench_round"
MOST_REPEATS = 1_000_000  # the most that a spec allows


def varied(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` rows: the grid repeated, each time with a different number at the end of the prompt.

    Equal prompts would all get answers of the same length from a simulated server. Of several columns those have the
    number that build on no other; the others' prompts differ with the answers in them.
    """
    spec = _asking_all(spec)
    rounds = -(-rows // _size(spec))
    if rounds <= 1:
        return spec
    numbers = [str(number) for number in range(1, rounds + 1)]
    roots = {each.name for each in planned(spec).columns if not each.sent}
    columns = {
        name: {**column.as_dict(), "prompt": _numbered(column.prompt) if name in roots else column.prompt}
        for name, column in spec.columns.items()
    }
    asked = ({"prompt": _numbered(spec.prompt)} if spec.prompt else {}) | ({"columns": columns} if columns else {})
    return spec.replace(attributes={_ROUND: numbers, **spec.attributes}, **asked, name="bench")


def repeated(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` rows and its own prompts: more answers per cell. Raises InputError."""
    spec = _asking_all(spec)
    if rows <= _size(spec):
        return spec
    repeats = -(-rows * spec.repeats // _size(spec))
    if repeats > MOST_REPEATS:
        raise InputError(f"{rows:,} rows are too many for this spec's grid", fix="use a smaller --limit")
    return spec.replace(repeats=repeats)


def planned(spec: Spec, model: str = "simulated") -> Plan:
    """The plan of a spec at a simulated server."""
    return Plan(spec, endpoint=spec.endpoint, model=model)


def answer_limits(plan: Plan) -> Mapping[str, int]:
    """By column, the most tokens that an answer may have; 0 without a limit."""
    return {each.name: each.sampling.max_completion_tokens or each.sampling.max_tokens or 0 for each in plan.columns}


def row_tokens(plan: Plan) -> int | None:
    """What a server that charges each request for its largest answer charges for a row; None where that is unknown."""
    limits = answer_limits(plan)
    if not all(limits.values()):
        return None
    return sum(limits[each.name] * each.samples for each in plan.columns)


def _asking_all(spec: Spec) -> Spec:
    """`spec` without an end before its last row."""
    return spec if spec.want is None else spec.replace(want=None)


def _numbered(prompt: str) -> str:
    return f"{prompt}\n({{{_ROUND}}})"


def _size(spec: Spec) -> int:
    return spec_cells(spec).size * spec.repeats
