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

    `likely` rows more are requested, in 95 of 100 runs `fewest` to `most`: as many as `at_most` leaves at most.
    """

    wanted: int
    accepted: int
    at_most: int
    ended: int
    share: float | None
    likely: int
    fewest: int
    most: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as in `plan --json`."""
        return asdict(self)

    @property
    def rows(self) -> int:
        """About how many rows will have been requested in the end."""
        return self.ended + self.likely


def wanted_forecast(rows: WantedRows) -> WantedForecast:
    """By the rows that have ended."""
    left, missing = max(rows.most - rows.ended, 0), rows.wanted - rows.accepted
    ended, accepted = rows.ended, rows.outcomes[RowOutcome.ACCEPTED]

    def of(likely: float, fewest: float, most: float) -> WantedForecast:
        share = accepted / ended if ended else None
        bounds = (min(math.ceil(each), left) for each in (likely, fewest, most))
        return WantedForecast(rows.wanted, rows.accepted, rows.most, ended, share, *bounds)

    if rows.is_met or not missing:
        return of(0, 0, 0)
    if not accepted:
        return of(left, missing, left)
    share = min(accepted / ended, 1 - 1 / (2 * ended))  # never certain, however good it was so far
    likely = missing * ended / accepted
    # How far the share that was seen may be from the true one, and how far chance takes the rest from that.
    spread = math.sqrt((1 - share) / accepted + (1 - share) / missing)
    return of(likely, max(missing, likely * math.exp(-_SURE * spread)), likely * math.exp(_SURE * spread))
