"""`--concurrency auto` on a server that queues and never refuses: the engine finds its slots, and follows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.generation.limits.adaptive import AdaptiveConcurrency
from herogen_async.lab.simulator import Latency, Policy, VirtualEndpoint
from support.engine_rig import Rig
from support.runs import small_spec

pytestmark = pytest.mark.usefixtures("both_ways")

SERVICE_S = 0.5
SLOTS, LATER_SLOTS = 8, 16
CHANGE_S = 60.0
FOUND_S = 30.0  # after the start, and after the change
END_S = 120.0


@dataclass
class Seen:
    """Rows done and limit in force at some moments, in seconds."""

    done: dict[float, int] = field(default_factory=dict)
    limit: dict[float, float] = field(default_factory=dict)
    binding: str | None = None

    def rate(self, first_s: float, last_s: float) -> float:
        return (self.done[last_s] - self.done[first_s]) / (last_s - first_s)


def seen_with(concurrency: int | None, sigma: float, seed: int = 1) -> Seen:
    """A run with so many in flight; None: as many as adaptive concurrency finds."""

    async def main() -> Seen:
        clock = VirtualClock()
        endpoint = VirtualEndpoint(
            Policy(slots=SLOTS, latency=Latency(ms=1000 * SERVICE_S, sigma=sigma), headers="silent", seed=seed), clock
        )
        seen = Seen()
        rig = Rig(
            endpoint=endpoint,
            spec=small_spec(values=500, repeats=100),
            concurrency=concurrency or 256,
            adaptive=AdaptiveConcurrency(largest=256) if concurrency is None else None,
            keeps_rows=False,
        )

        def note() -> None:
            at = float(round(clock.now()))
            seen.done[at] = rig.counters.done
            seen.limit[at] = rig.admission.in_flight_limit

        notes = [(at, note) for at in (FOUND_S, CHANGE_S, CHANGE_S + FOUND_S, END_S)]
        await rig.run(*notes, (CHANGE_S, lambda: endpoint.set_slots(LATER_SLOTS)), (END_S, rig.engine.cancel))
        seen.binding = rig.counters.binding.most_common(1)[0][0]
        return seen

    return run_virtual(main())


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.0, 0.4])
def test_auto_is_as_fast_as_the_best_fixed_concurrency(
    sigma: float,
) -> None:
    """It queues nothing that gains nothing, and follows a change of the server within half a minute."""
    sweep = [
        seen_with(concurrency, sigma) for concurrency in (SLOTS, LATER_SLOTS)
    ]  # the best two: fewer idle, more only queue
    auto = seen_with(None, sigma)
    for first_s, last_s, slots in ((FOUND_S, CHANGE_S, SLOTS), (CHANGE_S + FOUND_S, END_S, LATER_SLOTS)):
        best = max(fixed.rate(first_s, last_s) for fixed in sweep)
        assert auto.rate(first_s, last_s) > 0.9 * best
        # What waits beyond the slots waits for less than one service time.
        assert auto.limit[last_s] < 2 * slots
    assert "endpoint" == auto.binding
