"""From what a server's headers say to the limit that is meant: over which time does it count?

Most headers name no window. A minute is the field's habit; a day is told from it by the reset: a bucket that fills up
in a day needs `reset = (limit - remaining) * day / limit`, and a minute's bucket never needs more than a minute.
"""

from __future__ import annotations

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading

HOUR_S = 3600.0
_LONGER_S = (HOUR_S, DAY_S)
_A_MINUTE_AT_MOST_S = 90.0  # clocks and roundings apart
_TOLERANCE = 0.05
_ALIKE = 3  # deficits that fit a longer window, one after the other, and not a minute, before that is believed
_GROWS = 1.5  # ... of which the largest has so much longer a reset: a window's is the same whatever is left
# A window shorter than a minute is believed only where it is named: guessing one would multiply the rate.


class WindowGuess:
    """Over how many seconds the limits of one resource count."""

    __slots__ = ("_fits", "window_s")

    def __init__(self) -> None:
        self.window_s = MINUTE_S
        self._fits: dict[float, dict[float, float]] = {window_s: {} for window_s in _LONGER_S}  # reset by deficit

    def of(self, reading: Reading) -> float:
        """The window of `reading`, in seconds."""
        if reading.window_s is not None:
            return reading.window_s
        limit, remaining, reset_s = reading.limit, reading.remaining, reading.reset_s
        if not limit or remaining is None or reset_s is None or self.window_s > MINUTE_S:
            return self.window_s
        deficit = limit - remaining
        if reset_s > _A_MINUTE_AT_MOST_S:
            self.window_s = _nearest(limit * reset_s / deficit) if deficit > 0 else _at_least(reset_s)
        elif deficit > 0:
            self._weigh(limit, deficit, reset_s)
        return self.window_s

    def _weigh(self, limit: float, deficit: float, reset_s: float) -> None:
        is_minute = _needs(limit, deficit, MINUTE_S, reset_s)
        if is_minute and not any(self._fits.values()):
            return
        for window_s, resets in self._fits.items():
            if is_minute or not _needs(limit, deficit, window_s, reset_s):
                resets.clear()
                continue
            resets[deficit] = reset_s
            if len(resets) >= _ALIKE and resets[max(resets)] >= _GROWS * resets[min(resets)]:
                self.window_s = window_s


def _needs(limit: float, deficit: float, window_s: float, reset_s: float) -> bool:
    """Whether a bucket of `window_s` that lacks `deficit` is full after `reset_s`, as far as it is rounded."""
    expected_s = deficit * window_s / limit
    rounding_s = 1.0 if reset_s == int(reset_s) else 0.01
    return abs(expected_s - reset_s) <= _TOLERANCE * expected_s + rounding_s


def _nearest(seconds: float) -> float:
    return min(_LONGER_S, key=lambda window_s: max(window_s / seconds, seconds / window_s))


def _at_least(seconds: float) -> float:
    return next((window_s for window_s in _LONGER_S if seconds <= window_s), DAY_S)
