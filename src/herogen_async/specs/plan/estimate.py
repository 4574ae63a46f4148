"""What asking so many tasks takes: requests, tokens, time. Arithmetic over a sample; the grid is never walked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from herogen_async.core.limits import DAY_S, MINUTE_S, Limits
from herogen_async.specs.plan.calls import Call, Plan

SAMPLED_PROMPTS = 1000  # tasks: the mean of a prompt's length to a per cent or so, in 10 ms
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples are spread evenly, and with no stride


@dataclass(frozen=True, slots=True)
class Observed:
    """What earlier answers of a run took, None where that is not known: tokens of an answer, seconds of a request."""

    answer_tokens: float | None = None
    request_s: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `requests` tasks take.

    `answer_tokens_most` is what may come back at most, None where the spec sets no limit; `answer_tokens` is what
    would at the rate of earlier answers, None where there are none. `at_least_s` is how long the limits make it take,
    and, where `time_is_known`, the server's own latency; None where neither is known.
    """

    requests: int
    prompt_tokens: int
    answer_tokens_most: int | None
    answer_tokens: int | None
    at_least_s: float | None
    time_is_known: bool

    @property
    def likely_answer_tokens(self) -> int | None:
        """As observed, or else the most."""
        return self.answer_tokens_most if self.answer_tokens is None else self.answer_tokens


@dataclass(frozen=True, slots=True)
class Estimator:
    """What one task of a plan takes, for any number of them.

    `prompt_tokens` is a prompt's mean; `most` is what one answer may have, None without a limit. `in_flight` is how
    many requests there are at once, None where that is found out.
    """

    prompt_tokens: float
    most: int | None
    observed: Observed
    limits: Limits
    in_flight: int | None

    def of(self, requests: int) -> Estimate:
        """What `requests` tasks take."""
        prompt = round(requests * self.prompt_tokens)
        most = None if self.most is None else requests * self.most
        seen = self.observed.answer_tokens
        answer = None if seen is None else round(requests * (seen if self.most is None else min(seen, self.most)))
        times = list(self._times_s(requests, prompt, most if answer is None else answer))
        latency_s = self._latency_s(requests)
        if latency_s is not None:
            times.append(latency_s)
        return Estimate(requests, prompt, most, answer, max(times, default=None), latency_s is not None)

    def _latency_s(self, requests: int) -> float | None:
        """By Little's law, were there no limit."""
        if self.observed.request_s is None or self.in_flight is None:
            return None
        return requests * self.observed.request_s / self.in_flight

    def _times_s(self, requests: int, prompt: int, answer: int | None) -> Iterator[float]:
        """How long each limit makes it take."""
        total = prompt + (answer or 0)
        limits = self.limits
        for amount, limit, window_s in (
            (requests, limits.rpm, MINUTE_S),
            (total, limits.tpm, MINUTE_S),
            (prompt, limits.input_tpm, MINUTE_S),
            (answer or 0, limits.output_tpm, MINUTE_S),
            (requests, limits.rpd, DAY_S),
            (total, limits.tpd, DAY_S),
        ):
            if limit is not None:
                yield amount / limit * window_s


def sample(plan: Plan, count: int = SAMPLED_PROMPTS) -> Iterator[Call]:
    """Tasks from all over the grid: all of them, where there are no more than `count`."""
    if plan.size <= count:
        yield from map(plan.call, range(plan.size))
        return
    for number in range(count):
        yield plan.call((number * _GOLDEN % 2**64) * plan.size >> 64)


def mean_prompt_tokens(plan: Plan, tokens: Callable[[str], float]) -> float:
    """What a prompt of `plan`, system text and all, has on average; `tokens` estimates one."""
    counts = [tokens(task.prompt + (task.system or "")) for task in sample(plan)]
    return sum(counts) / len(counts)
