"""Requests, tokens and time for a number of calls. Arithmetic over a sample; the grid is never walked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from herogen_async.core.limits import Limits
from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.calls import Plan

SAMPLED_PROMPTS = 1000  # calls: gives the mean prompt length to about 1 % in 10 ms
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples spread evenly, without a stride


@dataclass(frozen=True, slots=True)
class Observed:
    """Means over a run's earlier answers, None where unknown: tokens per answer, seconds per request."""

    answer_tokens: float | None = None
    request_s: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of `requests` calls.

    `answer_tokens_most` is the most that may come back, None where the spec sets no limit; `answer_tokens` extrapolates
    from earlier answers, None where there are none. `at_least_s` is the time that the rate limits require and, if
    `time_is_known`, the server's own latency; None where neither is known.
    """

    requests: int
    prompt_tokens: int
    answer_tokens_most: int | None
    answer_tokens: int | None
    at_least_s: float | None
    time_is_known: bool

    @property
    def likely_answer_tokens(self) -> int | None:
        """The observed value if there is one, or else the maximum."""
        return self.answer_tokens_most if self.answer_tokens is None else self.answer_tokens


@dataclass(frozen=True, slots=True)
class Estimator:
    """The cost of one call of a plan, scaled to any number of them.

    `prompt_tokens` is the mean per prompt; `most` is the token limit of one answer, None without one. `in_flight` is
    the number of concurrent requests, None where it adapts.
    """

    prompt_tokens: float
    most: int | None
    observed: Observed
    limits: Limits
    in_flight: int | None

    def of(self, requests: int) -> Estimate:
        """The cost of `requests` calls."""
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
        """By Little's law, as if there were no rate limit."""
        if self.observed.request_s is None or self.in_flight is None:
            return None
        return requests * self.observed.request_s / self.in_flight

    def _times_s(self, requests: int, prompt: int, answer: int | None) -> Iterator[float]:
        """The time that each limit requires."""
        answer = answer or 0
        amounts = {"requests": requests, "tokens": prompt + answer, "input_tokens": prompt, "output_tokens": answer}
        for (resource, _), rate in self.limits.per_s().items():
            yield amounts[resource] / rate


def sample(plan: Plan, count: int = SAMPLED_PROMPTS) -> Iterator[Call]:
    """`count` calls spread over the whole grid, or all of them if there are fewer."""
    if plan.size <= count:
        yield from map(plan.call, range(plan.size))
        return
    for number in range(count):
        yield plan.call((number * _GOLDEN % 2**64) * plan.size >> 64)


def mean_prompt_tokens(plan: Plan, tokens: Callable[[str], float]) -> float:
    """The mean tokens per prompt of `plan`, including the system text; `tokens` estimates those of one text."""
    counts = [tokens(task.prompt + (task.system or "")) for task in sample(plan)]
    return sum(counts) / len(counts)
