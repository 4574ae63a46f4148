"""How long a run still takes, from when its rows were finished; of several calls a row, its calls. Pure.

Kept here:
1. Once some rows are finished there is an estimate, and it stays: silence makes it longer, not unknown.
2. Answers come in bursts where many calls are sent at once. So a rate is measured from one arrival to another, over
   many times what is in flight, and between two arrivals the estimate counts down.
3. One burst that is early or late moves it little: it follows a change within a tenth of the time so far.
4. A limit that is known is not passed for long, however fast the start was: what was saved up is spent once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import exp

FEWEST_SECONDS = 30.0
WINDOW_SHARE = 0.5  # of the time so far: the estimate of a long run stands on a long time, and still follows a change
FEWEST = 8  # finished rows in the window, and BURSTS times what is in flight
BURSTS = 3
MOST_MOMENTS = 512
PATIENCE = 1.5  # times the longest silence so far: from there on, silence is slowness
FOLLOWS_S, FOLLOWS_SHARE = 4.0, 0.1  # within that long, or that share of the time so far, a change is shown
_UNITS_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


class Eta:
    """Follows one session that began at `started_s`; all times are seconds of its clock."""

    def __init__(self, started_s: float) -> None:
        self._times = [started_s]  # when something was finished, and how much was by then
        self._counts = [0]
        self._seen_s = started_s
        self._held_s = 0.0
        self._told: tuple[float, float] | None = None  # when an estimate was given last, and which

    def seconds(
        self, now: float, finished: int, pending: int, *, in_flight: int, ceiling_per_s: float, is_paused: bool
    ) -> float | None:
        """Until `pending` rows are finished, too, `finished` of the session being so at `now`.

        None before the first few, and while paused. `ceiling_per_s` is how many rows a second the known limits allow.
        """
        if is_paused:
            self._held_s += now - self._seen_s  # time in which nothing was wanted says nothing of how fast it is
        self._seen_s = now
        at = now - self._held_s
        if finished > self._counts[-1]:
            self._note(at, finished)
        if is_paused or (self._told is None and finished < max(min(FEWEST, in_flight), 1)):
            return None
        measured_s = self._remaining(at, pending, in_flight, ceiling_per_s)
        # The first answers are the fastest of the first wave, or a burst: what they said is not held on to.
        told_s = self._steadied(at, measured_s) if finished >= max(FEWEST, in_flight) else measured_s
        self._told = at, told_s
        return told_s

    def _note(self, at: float, finished: int) -> None:
        self._times.append(at)
        self._counts.append(finished)
        if len(self._times) > MOST_MOMENTS:  # the older half in half as many moments
            old = MOST_MOMENTS // 2
            del self._times[1:old:2], self._counts[1:old:2]

    def _steadied(self, at: float, measured_s: float) -> float:
        if self._told is None:
            return measured_s
        told_at, told_s = self._told
        follows_s = min(max(FOLLOWS_S, FOLLOWS_SHARE * (at - self._times[0])), max(measured_s / 4, 1e-9))
        counted_down_s = max(told_s - (at - told_at), 0.0)
        return measured_s + (counted_down_s - measured_s) * exp(-(at - told_at) / follows_s)

    def _remaining(self, at: float, pending: int, in_flight: int, ceiling_per_s: float) -> float:
        times, counts = self._times, self._counts
        since = at - max(FEWEST_SECONDS, WINDOW_SHARE * (at - times[0]))
        enough = counts[-1] - max(FEWEST, BURSTS * in_flight)
        start = max(min(bisect_left(times, since), bisect_left(counts, enough + 1) - 1, len(times) - 2), 0)
        longest_s = max(after - before for before, after in zip(times[start:], times[start + 1 :], strict=False))
        silent_s = at - times[-1]
        overdue_s = max(silent_s - PATIENCE * longest_s, 0.0)
        rate = (counts[-1] - counts[start]) / max(times[-1] - times[start] + overdue_s, 1e-9)
        return max(pending / min(rate, ceiling_per_s) - min(silent_s, PATIENCE * longest_s), 0.0)


def ceiling_per_s(
    limits: Mapping[str, float], usage: Mapping[str, int], rows: int, *, requests: int | None = None
) -> float:
    """Rows a second that the `limits` of a report allow, tokens and `requests` by what `rows` rows used on average.

    Without `requests` each row took one.
    """
    used = {
        "requests": rows if requests is None else requests,
        "tokens": usage.get("total_tokens", 0),
        "input_tokens": usage.get("prompt_tokens", 0),
        "output_tokens": usage.get("completion_tokens", 0),
    }
    rates = []
    for name, value in limits.items():
        resource, _, per = name.partition("_per_")
        if per in _UNITS_S and rows and used.get(resource, 0) > 0:
            rates.append(value / _UNITS_S[per] / (used[resource] / rows))
    return min((each for each in rates if each > 0), default=float("inf"))
