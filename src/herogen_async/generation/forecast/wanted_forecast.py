"""How many rows more a run is likely to ask until so many are accepted, and how sure that is. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows

_SURE = 1.96  # standard deviations: 95 of 100 runs end between the two bounds


@dataclass(frozen=True, slots=True)
class WantedForecast:
    """`accepted` of the `wanted` rows are there; of `ended` rows the `share` was accepted, None while none has ended.

    `likely` rows more are requested, in 95 of 100 runs `fewest` to `most`: these are among the first `rows` of the
    plan, and no more than `at_most` leaves. `is_met`: nothing more is. `is_short`: nothing more may be, though there
    are too few.
    """

    wanted: int
    accepted: int
    at_most: int
    ended: int
    share: float | None
    likely: int
    fewest: int
    most: int
    rows: int
    is_met: bool
    is_short: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as in `plan --json`."""
        return asdict(self)


def wanted_forecast(rows: WantedRows) -> WantedForecast:
    """By the rows that have ended."""
    ended, accepted = rows.ended, rows.outcomes[RowOutcome.ACCEPTED]
    if accepted:
        share = min(accepted / ended, 1 - 1 / (2 * ended))  # never certain, however good it was so far
        until = rows.until(accepted / ended)
        # How far the share that was seen may be from the true one, and how far chance takes the rest from that.
        missing = max(rows.asked_until(until) * accepted / ended, 1.0)
        spread = math.exp(_SURE * math.sqrt((1 - share) / accepted + (1 - share) / missing))
        soonest, latest = rows.until(min(accepted / ended * spread, 1.0)), rows.until(accepted / ended / spread)
    else:
        until, soonest, latest = rows.until(0.0), rows.until(1.0), rows.until(0.0)
    return WantedForecast(
        wanted=rows.wanted,
        accepted=rows.accepted,
        at_most=rows.most,
        ended=ended,
        share=accepted / ended if ended else None,
        likely=rows.asked_until(until),
        fewest=rows.asked_until(soonest),
        most=rows.asked_until(latest),
        rows=until,
        is_met=rows.is_met,
        is_short=rows.is_used_up,
    )
