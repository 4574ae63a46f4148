"""What is asked for a call of a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.generation.endpoint import Request
from herogen_async.specs.plan import Call, Plan, Seeds, seed_of, seeds_of
from herogen_async.specs.spec import Sampling


def requests_of(plan: Plan) -> Callable[[Call], Request]:
    """The question of each call of `plan`: its prompt and system text, and a seed where several are asked alike."""
    if any(column.turns for column in plan.columns):
        return _with_messages(_requests_of(plan))
    return _requests_of(plan)


def messages_of(call: Call) -> list[dict[str, str]]:
    """What is sent for a call of a chat, as its messages."""
    said = [] if call.system is None else [{"role": "system", "content": call.system}]
    turns = call.turns or (("user", call.prompt),)
    return [*said, *({"role": role, "content": text} for role, text in turns)]


def other_seed(plan: Plan, call: Call, ask: int) -> dict[str, int]:
    """What is sent instead of the seed of `call`, where it has one, after it was asked `ask` times: one that no other
    call of its cell has.
    """
    column = plan.column_at(call.index)
    own = seed_of(column)
    count = plan.repeats * column.samples
    number = (call.repeat - 1) * column.samples + (call.sample or 1)
    return {} if own is None else {own.name: own.of(ask * count + number)}


def _with_messages(request_of: Callable[[Call], Request]) -> Callable[[Call], Request]:
    """As `request_of`, with what was said so far as messages, where it is sent so."""

    def asked(call: Call) -> Request:
        request = request_of(call)
        if call.turns:
            request.body = {**(request.body or {}), "messages": messages_of(call)}
        return request

    return asked


def _requests_of(plan: Plan) -> Callable[[Call], Request]:
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
