"""What is asked for a call of a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.generation.endpoint import Request
from herogen_async.specs.plan import Call, Plan, Seeds, seeds_of
from herogen_async.specs.spec import Sampling


def requests_of(plan: Plan) -> Callable[[Call], Request]:
    """The question of each call of `plan`: its prompt and system text, and a seed where several are asked alike."""
    seeds = {column.name: seeds_of(column, plan.repeats) for column in plan.columns}
    if plan.has_columns and not any(seeds.values()):
        return lambda call: Request(call.prompt, call.system, None, None, call.column)
    if plan.has_columns:
        samples = {column.name: column.samples for column in plan.columns}
        return lambda call: _question_of_column(call, seeds, samples)
    own = seeds[plan.columns[0].name]
    if own is None:
        return lambda call: Request(call.prompt, call.system)
    return lambda call: Request(call.prompt, call.system, body={own.name: own.of(call.repeat)})


def _question_of_column(call: Call, seeds: dict[str, Seeds | None], samples: dict[str, int]) -> Request:
    name = call.column or ""
    own = seeds[name]
    if own is None:
        return Request(call.prompt, call.system, column=name)
    number = (call.repeat - 1) * samples[name] + (call.sample or 1)
    return Request(call.prompt, call.system, body={own.name: own.of(number)}, column=name)


def most_tokens(sampling: Sampling) -> int | None:
    """How many tokens one answer may have; None without a limit, and where several tries are paid for one answer."""
    return None if "best_of" in sampling.extra else sampling.max_completion_tokens or sampling.max_tokens
