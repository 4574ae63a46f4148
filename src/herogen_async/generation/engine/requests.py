"""What is asked for a call of a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.generation.endpoint import Request
from herogen_async.specs.plan import Call, seeds_of
from herogen_async.specs.spec import Spec


def requests_of(spec: Spec) -> Callable[[Call], Request]:
    """The question of each call of `spec`: its prompt and system text, and a seed where the repeats have one each."""
    seeds = seeds_of(spec)
    if seeds is None:
        return lambda call: Request(call.prompt, call.system)
    return lambda call: Request(call.prompt, call.system, body={seeds.name: seeds.of(call.repeat)})
