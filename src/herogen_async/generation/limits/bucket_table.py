"""The buckets of one key: a bucket for every limit that is given or told, taken from together.

A limit is known by its resource and the seconds that it counts over. What a day or an hour permits may be spent at
once (its burst is all of it), what a minute permits is spread evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from herogen_async.core.limits import DAY_S, LIMITS, MINUTE_S, Limit, Limits, Reading, per_s
from herogen_async.generation.limits.tickets import Ticket, Used, Wait
from herogen_async.generation.limits.token_bucket import Bucket
from herogen_async.generation.limits.window_inference import WindowGuess

RESOURCES = ("requests", "tokens", "input_tokens", "output_tokens")
SHARED: tuple[Limit, ...] = tuple(LIMITS.values())
# A quarter of what a server has saved up is left alone: others use it, and its figures are as old as the answer.
BOOST_RESERVE = 0.25
# Four resources by second, minute, hour, day and month: a server that tells more windows tells something else by them.
MOST_LIMITS = 20
_SAME = 1e-3  # two limits that differ by less are one, told with rounding
VALUES = 3 + 2 * len(SHARED)  # how many `levels` there are


class _Entry:
    """One bucket of the table; `kind` is its place in a need, `ceiling` the rate that the user gave.

    `saves`: what the server says that it has saved up may be spent. Never where its limit is above the user's: that
    would be spent again and again, and the user's limit be no ceiling. `told` is the rate that the server says.
    """

    __slots__ = ("bucket", "ceiling", "kind", "limit", "saves", "told", "why")

    def __init__(self, limit: Limit, bucket: Bucket, ceiling: float | None) -> None:
        self.limit = limit
        self.bucket = bucket
        self.ceiling = ceiling
        self.saves = True
        self.told: float | None = None
        self.kind = RESOURCES.index(limit[0])
        self.why = "day" if limit[1] >= DAY_S else limit[0]

    def set_saves(self, saves: bool) -> None:
        self.saves = saves
        if not saves:
            self.bucket.boost = 0.0


class BucketTable:
    """All that is limited. Rates in units a second; `ceiling_per_s` is the user's own limit of requests a minute."""

    def __init__(self, given: Limits, now: float, *, by_window: bool) -> None:
        self.margin = 1.0
        self.by_window = by_window
        self._guesses = {resource: WindowGuess() for resource in RESOURCES}
        self._reserved = (0.0, 0.0, 0.0)  # requests, prompt and answer tokens less what came back, of all who share
        self.buckets: list[_Entry] = []
        for limit, rate in given.per_s().items():
            self.buckets.append(_Entry(limit, _bucket(limit, rate, now), rate))
        self._changed()

    def find(self, resource: str, window_s: float = MINUTE_S) -> Bucket | None:
        """The bucket of a limit, None where there is none."""
        return next((entry.bucket for entry in self.buckets if entry.limit == (resource, window_s)), None)

    def limits(self) -> dict[str, float]:
        """The limits that hold now, by name: `requests_per_minute`, `tokens_per_day`, ..."""
        words = {1.0: "second", MINUTE_S: "minute", 3600.0: "hour", DAY_S: "day", 30 * DAY_S: "month"}
        return {
            f"{entry.limit[0]}_per_{words.get(entry.limit[1], f'{entry.limit[1]:g}_s')}": round(
                entry.bucket.rate_per_s * entry.limit[1], 6
            )
            for entry in self.buckets
        }

    def accounts(self, now: float) -> dict[str, tuple[float, float]]:
        """(taken, permitted) in units since the start, of every limit that counts over a minute or less."""
        found = {}
        for entry in self.buckets:
            if entry.limit[1] <= MINUTE_S:
                entry.bucket.refill(now)
                found[entry.limit[0]] = (entry.bucket.granted, entry.bucket.permitted)
        return found

    def set_ceiling(self, name: str, value: float | None, now: float) -> None:
        """The user's own limit `name` is `value` from now on; None: there is only what the server tells."""
        limit = LIMITS[name]
        entry, ceiling = self._entry(limit), None if value is None else per_s(name, value)
        if entry is None and ceiling is not None:
            entry = _Entry(limit, _bucket(limit, ceiling, now), ceiling)
            entry.bucket.margin = self.margin
            self.buckets.append(entry)
        elif entry is not None:
            entry.ceiling = ceiling
            rates = [rate for rate in (entry.told, ceiling) if rate is not None]
            if not rates:
                self.buckets = [each for each in self.buckets if each is not entry]
            else:
                entry.set_saves(len(rates) < 2 or rates[0] <= rates[1] * (1 + _SAME))
                entry.bucket.refill(now)
                entry.bucket.set_rate(min(rates))
        self._changed()

    # -- the hot path ------------------------------------------------------------------------------------------

    def wait(self, prompt: float, answer: float, now: float) -> Wait | None:
        """How long until all of it may be taken; None when it may be now."""
        needs = (1.0, prompt + answer, prompt, answer)
        longest, why = 0.0, ""
        for entry in self.buckets:
            bucket, need = entry.bucket, needs[entry.kind]
            bucket.refill(now)
            if entry.kind and 2 * need > bucket.burst:
                bucket.widen(need)
            wait_s = bucket.wait_s(need)
            if wait_s > longest:
                longest, why = wait_s, entry.why
        return Wait(longest, why) if longest > 0 else None

    def has_plenty(self, count: int, needs: Sequence[tuple[float, float]], now: float) -> bool:
        """Whether `count` requests may be taken now, of so many prompt and answer tokens each where those are counted,
        and none of them is large for any limit.
        """
        prompts, answers = sum([prompt for prompt, _ in needs]), sum([answer for _, answer in needs])
        all_need = (float(count), prompts + answers, prompts, answers)
        largest = max([prompt + answer for prompt, answer in needs], default=0.0)
        for entry in self.buckets:
            bucket = entry.bucket
            bucket.refill(now)
            if all_need[entry.kind] > bucket.level or (entry.kind and 2 * largest > bucket.burst):
                return False
        return True

    def take(self, prompt: float, answer: float) -> tuple[float, float, float]:
        """Take it all; what has been reserved so far, this one included."""
        if self.buckets:
            needs = (1.0, prompt + answer, prompt, answer)
            for entry in self.buckets:
                entry.bucket.take(needs[entry.kind])
        requests, prompts, answers = self._reserved
        self._reserved = sent = (requests + 1.0, prompts + prompt, answers + answer)
        return sent

    @property
    def reserved(self) -> tuple[float, float, float]:
        """What has been reserved so far: requests, prompt and answer tokens."""
        return self._reserved

    def take_together(self, needs: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
        """As `take`, of each of `needs`, prompt and answer tokens."""
        before = requests, prompts, answers = self._reserved
        taken: list[tuple[float, float, float]] = []
        for prompt, answer in needs:
            requests, prompts, answers = requests + 1.0, prompts + prompt, answers + answer
            taken.append((requests, prompts, answers))
        self._reserved = after = requests, prompts, answers
        all_need = _since(before, after)
        for entry in self.buckets:
            entry.bucket.take(all_need[entry.kind])
        return taken

    def take_requests(self, count: int) -> list[tuple[float, float, float]]:
        """As `take`, of so many requests whose tokens nobody counts."""
        requests, prompts, answers = self._reserved
        self._reserved = (requests + count, prompts, answers)
        for entry in self.buckets:
            if not entry.kind:
                entry.bucket.take(count)
        return [(requests + place, prompts, answers) for place in range(1, count + 1)]

    def give_back(self, requests: float, prompt: float, answer: float, now: float) -> None:
        """Return what was not used (negative: take what was used besides)."""
        amounts = (requests, prompt + answer, prompt, answer)
        total = self._reserved
        self._reserved = (total[0] - requests, total[1] - prompt, total[2] - answer)
        for entry in self.buckets:
            if amount := amounts[entry.kind]:
                entry.bucket.refill(now)
                entry.bucket.give_back(amount)

    def give_back_together(self, tokens: Sequence[tuple[float, float]], now: float) -> None:
        """As `give_back`, of the prompt and answer tokens of each of several requests."""
        prompts, answers = [prompt for prompt, _ in tokens], [answer for _, answer in tokens]
        total = self._reserved
        self._reserved = (total[0], total[1] - sum(prompts), total[2] - sum(answers))
        for entry in self.buckets:
            if kind := entry.kind:
                entry.bucket.refill(now)
                entry.bucket.give_back_together(
                    prompts if kind == 2 else answers if kind == 3 else [prompt + answer for prompt, answer in tokens]
                )

    def believable(self, ticket: Ticket, used: Used) -> tuple[float, float]:
        """`used` within reason: no server lets one answer cost more than a minute's limit, and none less than nothing.

        A count that is a mistake must not stall a run.
        """
        most = max(ticket.tokens, self._most_tokens)
        prompt = min(max(used.prompt, 0.0), most)
        return prompt, min(max(used.answer, 0.0), most - prompt)

    # -- learning ----------------------------------------------------------------------------------------------

    def learn(self, reading: Reading, sent: tuple[float, float, float], at: float, now: float) -> bool:
        """Believe `reading`, the headers of a request that went at `at` when `sent` had been reserved.

        True when a rate changed.
        """
        if reading.resource not in RESOURCES:
            return False
        window_s = self._guesses[reading.resource].of(reading)
        entry, changed = self._entry((reading.resource, window_s)), False
        if entry is None and len(self.buckets) >= MOST_LIMITS:
            return False
        if reading.limit is not None and reading.limit > 0:
            entry, changed = self._set_limit(entry, reading, window_s, now)
        elif entry is not None and entry.ceiling is not None:
            entry.set_saves(False)  # left of how much?
        if entry is not None and reading.remaining is not None:
            self._correct(entry, reading.remaining, sent, at, now)
        return changed

    def _set_limit(self, entry: _Entry | None, reading: Reading, window_s: float, now: float) -> tuple[_Entry, bool]:
        assert reading.limit is not None
        rate = reading.limit / window_s
        if entry is None:
            entry = _Entry((reading.resource, window_s), _bucket((reading.resource, window_s), rate, now), None)
            entry.bucket.margin = self.margin if window_s <= MINUTE_S else 1.0
            if window_s > MINUTE_S and reading.window_s is None:
                self._forget_minute(reading.resource)
            self.buckets.append(entry)
        elif entry.ceiling is not None:
            entry.set_saves(rate <= entry.ceiling * (1 + _SAME))
            rate = min(rate, entry.ceiling)
        was_told, entry.told = entry.told is not None, reading.limit / window_s
        if was_told and math.isclose(entry.bucket.rate_per_s, rate, rel_tol=_SAME):
            return entry, False
        entry.bucket.refill(now)
        if window_s > MINUTE_S:
            entry.bucket.burst = max(rate * window_s, 1.0)
            entry.bucket.level = min(entry.bucket.level, entry.bucket.burst)
        entry.bucket.set_rate(rate)
        self._changed()
        return entry, True

    def _correct(
        self, entry: _Entry, remaining: float, sent: tuple[float, float, float], at: float, now: float
    ) -> None:
        """What must be left on the server by now, from what was left when it counted the request."""
        bucket, kind = entry.bucket, entry.kind
        bucket.refill(now)
        full = bucket.rate_per_s * entry.limit[1]
        implied = min(remaining - _since(sent, self._reserved)[kind] + bucket.rate_per_s * (now - at), full)
        if implied < bucket.level:
            bucket.level = implied  # others use the key, or the server counts more: believe it
            bucket.boost = 0.0
        elif entry.limit[1] == MINUTE_S and entry.saves and not self.by_window:
            bucket.set_boost(max(implied - BOOST_RESERVE * full - bucket.burst, 0.0))

    def end_boost(self, *, by_the_second: bool, until: float) -> None:
        """A refusal: what was saved up is gone. `by_the_second`: this server saves nothing up, nor until `until`."""
        self.by_window = self.by_window or by_the_second
        for entry in self.buckets:
            entry.bucket.boost = 0.0
            if by_the_second and entry.limit[0] == "requests":
                entry.bucket.pause(until)

    def set_margin(self, margin: float) -> None:
        """The share of the rates that is used."""
        self.margin = margin
        for entry in self.buckets:
            if entry.limit[1] <= MINUTE_S:
                entry.bucket.margin = margin

    # -- what several processes share --------------------------------------------------------------------------

    def levels(self, now: float) -> list[float]:
        """What others need to know: the reserved sums, then of each of SHARED its level and its boost.

        Of a day's limit what it lacks, and not its level: so one that is raised between two runs adds what it was
        raised by. NaN where there is no such limit.
        """
        values = [*self._reserved]
        buckets = {entry.limit: entry.bucket for entry in self.buckets}
        for limit in SHARED:
            bucket = buckets.get(limit)
            values += [math.nan, 0.0] if bucket is None else [_told(limit, bucket, bucket.level_at(now)), bucket.boost]
        return values

    def restore(self, values: Sequence[float], written: float, now: float) -> None:
        """Go on from the `levels` that somebody left at `written`."""
        requests, prompts, answers, *levels = values
        mine, self._reserved = self._reserved, (requests, prompts, answers)
        others = _since(mine, self._reserved)
        entries = {entry.limit: entry for entry in self.buckets}
        for limit, told, boost in zip(SHARED, levels[::2], levels[1::2], strict=True):
            entry = entries.get(limit)
            if entry is None or not math.isfinite(told):
                continue
            # Another process may know of a limit that is above this one's ceiling.
            most = (1 - BOOST_RESERVE) * entry.bucket.rate_per_s * limit[1] if entry.saves else 0.0
            entry.bucket.restore(_told(limit, entry.bucket, told), min(boost, most), written)
            entry.bucket.granted += max(others[entry.kind], 0.0)
            entry.bucket.refill(now)

    # ----------------------------------------------------------------------------------------------------------

    def _entry(self, limit: Limit) -> _Entry | None:
        for entry in self.buckets:  # there are a few at most
            if entry.limit == limit:
                return entry
        return None

    def _forget_minute(self, resource: str) -> None:
        """What was taken for a minute's limit counts over longer."""
        entry = self._entry((resource, MINUTE_S))
        if entry is not None:
            entry.told = None
            if entry.ceiling is None:
                self.buckets = [each for each in self.buckets if each is not entry]

    def _changed(self) -> None:
        """What the hot path asks for every time, and what the gate's fuse is made for."""
        requests = self._entry(LIMITS["rpm"])
        self.ceiling_per_s = None if requests is None else requests.ceiling
        self.counts_tokens = any(entry.kind for entry in self.buckets)
        self.limits_prompts = any(entry.limit[0] == "input_tokens" for entry in self.buckets)
        rates = [entry.bucket.rate_per_s for entry in self.buckets if entry.kind == 0 and entry.limit[1] <= MINUTE_S]
        self.requests_per_s = min(rates, default=math.inf)
        self.knows_requests = bool(rates)
        self._most_tokens = max(
            (entry.bucket.rate_per_s * entry.limit[1] for entry in self.buckets if entry.kind), default=0.0
        )


def _bucket(limit: Limit, rate_per_s: float, now: float) -> Bucket:
    bucket = Bucket(rate_per_s, now, burst=None if limit[1] <= MINUTE_S else max(rate_per_s * limit[1], 1.0))
    if limit[0] == "requests" and limit[1] <= MINUTE_S:
        # A burst on top of the first second's rate is more than a server that counts by the second grants in it.
        bucket.level = 1.0
    return bucket


def _since(before: tuple[float, float, float], after: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """By kind, what was reserved between two sums."""
    prompt, answer = after[1] - before[1], after[2] - before[2]
    return after[0] - before[0], prompt + answer, prompt, answer


def _told(limit: Limit, bucket: Bucket, level: float) -> float:
    """A level as the others are told of it, and back."""
    return bucket.burst - level if limit[1] > MINUTE_S else level
