"""The rows that a bench requests: the spec's own, repeated if its grid is too small. Pure."""

from __future__ import annotations

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cells import cells_from
from herogen_async.specs.spec import Spec

_ROUND = "bench_round"
MOST_REPEATS = 1_000_000  # the most that a spec allows


def varied(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` calls: the grid repeated, each time with a different number at the end of the prompt.

    Equal prompts would all get answers of the same length from a simulated server.
    """
    rounds = -(-rows // _size(spec))
    if rounds <= 1:
        return spec
    numbers = [str(number) for number in range(1, rounds + 1)]
    return spec.replace(
        attributes={_ROUND: numbers, **spec.attributes}, prompt=f"{spec.prompt}\n({{{_ROUND}}})", name="bench"
    )


def repeated(spec: Spec, rows: int) -> Spec:
    """`spec` with at least `rows` calls and its own prompts: more answers per cell. Raises InputError."""
    if rows <= _size(spec):
        return spec
    repeats = -(-rows * spec.repeats // _size(spec))
    if repeats > MOST_REPEATS:
        raise InputError(f"{rows:,} rows are too many for this spec's grid", fix="use a smaller --limit")
    return spec.replace(repeats=repeats)


def _size(spec: Spec) -> int:
    return cells_from(spec.attributes).size * spec.repeats
