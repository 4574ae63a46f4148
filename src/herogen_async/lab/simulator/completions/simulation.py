"""What happens to each request, alike for the HTTP server and virtual time. Pure: the caller passes the time.

A request goes `arrived -> judge -> (slots.enter -> slots.leave) -> settle -> left`. The limiter comes first and is
charged for faults, too: failed requests count. Which fault meets a request follows from its prompt and from how often
that prompt passed the limiter: refusals, which depend on everybody's timing, change nothing about it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from herogen_async.core.limits import Reading
from herogen_async.lab.simulator.completions.answers import Question, SimulatedAnswer, answer, mixed_text, near_text
from herogen_async.lab.simulator.completions.form_answers import broken_text
from herogen_async.lab.simulator.faults import AT_ONCE, FAULTS, SPOILT, Refusal
from herogen_async.lab.simulator.limits.dialect import go_duration, header_number, told_wait_s
from herogen_async.lab.simulator.limits.limiter import LimitDecision, Limiter
from herogen_async.lab.simulator.limits.slots import Slots
from herogen_async.lab.simulator.policy import NO_REASONING, Policy
from herogen_async.lab.simulator.seeded_random import draws, lognormal, uniform
from herogen_async.lab.simulator.tally import Stats, Tally

_LIMIT_NAMES = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "input_tokens": "input tokens per min (ITPM)",
    "output_tokens": "output tokens per min (OTPM)",
    "requests_per_day": "requests per day (RPD)",
}


class Fate(NamedTuple):
    """What becomes of one request.

    With a `refusal` it is told so at once. Else it is worked on for `first_s`, and `token_s` for each token of
    `answer`, and meets its `fault` (a name of `faults.FAULTS`) where it has one. `retry_after_s` is the wait as the
    headers name it, `verdict` has the exact one.
    """

    verdict: LimitDecision
    refusal: Refusal | None = None
    retry_after_s: float | None = None
    fault: str | None = None
    answer: SimulatedAnswer | None = None
    first_s: float = 0.0
    token_s: float = 0.0

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What the headers say about the limits."""
        return self.verdict.readings

    @property
    def work_s(self) -> float:
        """From the start of the work to the last token."""
        return self.first_s + self.token_s * (self.answer.completion_tokens if self.answer else 0)


class Simulation:
    """A policy at work. `slots` and `tally` are for those who carry the requests."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.slots = Slots(policy.slots)
        self.tally = Tally()
        self._limiter = Limiter(policy)
        self._turns: dict[int, int] = {}  # how often each prompt passed the limiter
        self._arrivals = 0
        self._fault_shares = [(name, policy.faults[name]) for name in FAULTS if policy.faults.get(name)]

    def arrived(self, now: float) -> float:
        """A request left its client; how many seconds later it reaches the limiter. `tally.left` must follow."""
        self.tally.arrived(now)
        jitter_ms = self.policy.jitter_ms
        if not jitter_ms:
            return 0.0
        self._arrivals += 1
        return uniform(draws(self.policy.seed, b"arrival %d" % self._arrivals)[0]) * jitter_ms / 1000

    def judge(self, now: float, question: Question) -> Fate:
        """The request reaches the limiter."""
        policy = self.policy
        prompt_tokens, max_tokens = question.tokens, question.max_tokens or 0
        verdict = self._limiter.arrive(
            now,
            tokens=max(max_tokens, prompt_tokens),
            input_tokens=prompt_tokens,
            output_tokens=max_tokens,
        )
        self.tally.judged(now, verdict.refused_by)
        if verdict.accepted:
            return self._admitted(verdict, question)
        wait_s = told_wait_s(policy.headers, policy.retry_after, verdict.wait_s)
        return Fate(verdict, refusal=_limit_refusal(policy.headers, verdict), retry_after_s=wait_s)

    def worked(self, now: float, fate: Fate) -> None:
        """The work is over: what it did not use is given back, where the policy does so."""
        done = fate.answer
        if done is not None and fate.fault != "500":
            self._limiter.settle(
                now,
                fate.verdict,
                tokens=done.prompt_tokens + done.completion_tokens,
                input_tokens=done.prompt_tokens,
                output_tokens=done.completion_tokens,
            )

    def answered(self, fate: Fate) -> None:
        """The whole response to this request was sent."""
        done = fate.answer
        if done is not None and (fate.fault is None or fate.fault not in (*SPOILT, "500", "cut")):
            self.tally.answered(done.identity, done.prompt_tokens, done.completion_tokens)

    def stats(self) -> Stats:
        """What happened so far."""
        return self.tally.stats(queued_peak=self.slots.queued_peak)

    def reset_stats(self) -> None:
        """Count from here on; limits and faults go on as they were."""
        self.tally.begin()
        self.slots.queued_peak = self.slots.queued

    def _admitted(self, verdict: LimitDecision, question: Question) -> Fate:
        policy = self.policy
        text = question.voice + question.text if question.voice else question.text
        drawn = draws(policy.seed, text)
        told = answer(question, policy.answers, drawn[:4], has_thoughts=policy.reasoning != NO_REASONING)
        turn = self._turns.get(told.identity, 0)
        self._turns[told.identity] = turn + 1
        first, second, third, _ = (drawn if turn == 0 else draws(policy.seed, text, turn))[4:]
        fault = self._fault(uniform(first)) if self._fault_shares else None
        if fault is not None:
            self.tally.faults[fault] += 1
            if fault in AT_ONCE:
                return Fate(verdict, AT_ONCE[fault], fault=fault)
            if fault == "broken_form" and question.form is not None:
                told = told._replace(text=broken_text(told.text, told.identity))
        if policy.faults.get("near_copy") and question.form is None and not told.tool_calls:
            told = near_text(told) if fault == "near_copy" else mixed_text(told)
        latency = policy.latency
        first_s = lognormal(latency.ms, latency.sigma, second, third) / 1000
        return Fate(verdict, None, None, fault, told, first_s, latency.ms_per_token / 1000)

    def _fault(self, drawn: float) -> str | None:
        for name, share in self._fault_shares:
            if drawn < share:
                return name
            drawn -= share
        return None


def _limit_refusal(dialect: str, verdict: LimitDecision) -> Refusal:
    """The 429 for a verdict that refuses."""
    refused_by = verdict.refused_by or ""
    kind = "requests" if refused_by.startswith("requests") else "tokens"
    about = f"on {_LIMIT_NAMES[refused_by]}: Limit {header_number(verdict.limit)}, Requested {verdict.need:.0f}."
    if not math.isfinite(verdict.wait_s):
        message = f"Request too large {about} It can never fit; use a shorter prompt or fewer max_tokens."
    elif dialect == "silent":
        message = f"Rate limit reached {about}"
    else:
        message = f"Rate limit reached {about} Please try again in {go_duration(verdict.wait_s)}."
    return Refusal(429, kind, "rate_limit_exceeded", message)
