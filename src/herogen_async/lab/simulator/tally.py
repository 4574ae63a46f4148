"""What a simulated server counted. Pure: the caller passes the time."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from herogen_async.lab.simulator.faults import JOB_FAULTS


class Stats(TypedDict):
    """The statistics, as `/stats` answers them. Times are seconds on the server's monotonic clock.

    `answered` are sound answers, given whole; `doubles` are prompts that were answered more than once; `abandoned` are
    requests whose client went away or gave up before their end. `refused` counts by the limit in the way, `faults` by
    name. `accepted_per_s` and `refused_per_s` hold a number for each second since the first arrival. What begins with
    `files`, `uploads` and `job` is of fine-tuning, `job_faults` by name; `repeated_keys` are requests whose idempotency
    key was answered before.
    """

    requests: int
    answered: int
    refused: dict[str, int]
    faults: dict[str, int]
    doubles: int
    abandoned: int
    in_flight: int
    in_flight_peak: int
    queued_peak: int
    first_arrival_s: float | None
    last_arrival_s: float | None
    accepted_per_s: list[int]
    refused_per_s: list[int]
    prompt_tokens: int
    completion_tokens: int
    files_created: int
    files_deleted: int
    uploads_created: int
    jobs_created: int
    job_cancels: int
    job_pauses: int
    job_resumes: int
    repeated_keys: int
    job_faults: dict[str, int]


class Tally:
    """Counts what happened. An answered prompt costs some 70 bytes."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.tuning: Counter[str] = Counter()  # what was done to files and jobs, and what went wrong with them
        self.begin()

    def begin(self) -> None:
        """Count from here on; what is in flight stays so."""
        self.faults: Counter[str] = Counter()
        self.tuning.clear()
        self.abandoned = 0
        self._requests = 0
        self._in_flight_peak = self.in_flight
        self._answered = [0, 0, 0]  # answers, their prompts' tokens, their own tokens
        self._known: set[int] = set()
        self._doubled: set[int] = set()
        self._refused: Counter[str] = Counter()
        self._span_s: list[float] = []
        self._by_second: tuple[list[int], list[int]] = [], []  # refused, accepted

    def arrived(self, now: float) -> None:
        """A request came in; `left` follows, once."""
        self._requests += 1
        self.in_flight += 1
        self._in_flight_peak = self.in_flight if self.in_flight > self._in_flight_peak else self._in_flight_peak
        if self._span_s:
            self._span_s[1] = now
        else:
            self._span_s = [now, now]

    def judged(self, now: float, refused_by: str | None) -> None:
        """The limiter let it in, or refused it."""
        seconds = self._by_second[refused_by is None]
        second = int(now - self._span_s[0]) if self._span_s else 0
        if second >= len(seconds):
            seconds.extend([0] * (second + 1 - len(seconds)))
        seconds[second] += 1
        if refused_by is not None:
            self._refused[refused_by] += 1

    def answered(self, identity: int, prompt_tokens: int, completion_tokens: int) -> None:
        """A sound answer to the question of that identity was given."""
        self._answered[0] += 1
        self._answered[1] += prompt_tokens
        self._answered[2] += completion_tokens
        if identity in self._known:
            self._doubled.add(identity)
        else:
            self._known.add(identity)

    def left(self) -> None:
        """A request is over, however it ended."""
        self.in_flight -= 1

    def stats(self, *, queued_peak: int) -> Stats:
        """What was counted so far."""
        refused, accepted = self._by_second
        answered = self._answered
        first_s, last_s = self._span_s or (None, None)
        length = max(len(refused), len(accepted))
        return Stats(
            requests=self._requests,
            refused=dict(self._refused),
            faults=dict(self.faults),
            doubles=len(self._doubled),
            abandoned=self.abandoned,
            in_flight=self.in_flight,
            in_flight_peak=self._in_flight_peak,
            queued_peak=queued_peak,
            first_arrival_s=first_s,
            last_arrival_s=last_s,
            accepted_per_s=accepted + [0] * (length - len(accepted)),
            refused_per_s=refused + [0] * (length - len(refused)),
            answered=answered[0],
            prompt_tokens=answered[1],
            completion_tokens=answered[2],
            files_created=self.tuning["files_created"],
            files_deleted=self.tuning["files_deleted"],
            uploads_created=self.tuning["uploads_created"],
            jobs_created=self.tuning["jobs_created"],
            job_cancels=self.tuning["job_cancels"],
            job_pauses=self.tuning["job_pauses"],
            job_resumes=self.tuning["job_resumes"],
            repeated_keys=self.tuning["repeated_keys"],
            job_faults={name: count for name, count in self.tuning.items() if name in JOB_FAULTS},
        )
