"""Requests, tokens and time for a number of calls. Arithmetic over a sample; the grid is never walked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from herogen_async.core.limits import Limits
from herogen_async.specs.columns import AskedColumn
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
        return self._timed(requests, prompt, most, answer)

    def together(self, parts: Iterable[Estimate]) -> Estimate:
        """What all `parts` cost that are requested at all, under the same limits."""
        asked = [each for each in parts if each.requests]
        return self._timed(
            sum(each.requests for each in asked),
            sum(each.prompt_tokens for each in asked),
            _sum(each.answer_tokens_most for each in asked),
            _sum(each.answer_tokens for each in asked) if asked else None,
        )

    def _timed(self, requests: int, prompt: int, most: int | None, answer: int | None) -> Estimate:
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


def _sum(amounts: Iterable[int | None]) -> int | None:
    """None where one of them is not known."""
    known = list(amounts)
    return None if None in known else sum(each for each in known if each is not None)


def sample(plan: Plan, count: int = SAMPLED_PROMPTS) -> Iterator[Call]:
    """`count` calls spread over the whole grid, or all of them if there are fewer."""
    yield from map(plan.call, _spread(plan.size, count))


def _spread(size: int, count: int) -> Iterator[int]:
    """`count` of `size` numbers, or all of them if there are fewer."""
    if size <= count:
        return iter(range(size))
    return ((number * _GOLDEN % 2**64) * size >> 64 for number in range(count))


def mean_prompt_tokens(plan: Plan, tokens: Callable[[str], float]) -> float:
    """The mean tokens per prompt of `plan`, including the system text; `tokens` estimates those of one text."""
    counts = [tokens(task.prompt + (task.system or "")) for task in sample(plan)]
    return sum(counts) / len(counts)


def column_prompt_tokens(
    plan: Plan, column: AskedColumn, tokens: Callable[[str], float], answers: Mapping[str, float]
) -> float:
    """The mean tokens per prompt of one column, of which several build on earlier ones.

    `answers` are the tokens of an answer of each column. What is not there yet counts as so many.
    """
    shape = plan.shape
    longest = shape.longest_answers(column)
    templates = (column.prompt,) if column.system is None else (column.prompt, column.system)

    is_jinja = any(template.is_jinja for template in templates)
    blank = "x" if is_jinja else ""  # a condition takes an answer for what is there

    def text(cell: Mapping[str, str], **filled: str) -> str:
        values = {**cell, **dict.fromkeys(longest, blank), **filled}
        return "".join(template.preview(values) for template in templates)

    rows = [
        (plan.cells.cell(row // plan.repeats), row % plan.repeats + 1, plan.cells.identity(row // plan.repeats))
        for row in _spread(plan.rows, SAMPLED_PROMPTS)
    ]
    given = [plan.given(*each) if column.examples is not None else None for each in rows]
    cells = [cell if of is None else of() for (cell, _, _), of in zip(rows, given, strict=True)]
    own = sum(tokens(text(cell)) for cell in cells) / len(cells)
    unfilled = len(text(cells[0]))
    times = {name: len(text(cells[0], **{name: f"{blank}x"})) - unfilled for name in longest}
    if is_jinja and not any(times.values()):  # nothing is known of it before real answers are there
        times = dict.fromkeys(times, 1)
    return own + sum(times[name] * sum(answers[call.column.name] for call in calls) for name, calls in longest.items())
