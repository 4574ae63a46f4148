"""What limit to try next, given what was measured so far: the elasticity of throughput, tried and compared.

Elasticity: by what share throughput grows for a share more in flight. It is 1 for a server with free slots, 0 for one
that only queues longer, and falls smoothly in between for one that batches. Steps are ratios, gaps their logs.

- *hold* windows at the present level pool into an anchor; *trial* windows at another limit are compared with it until
  the difference stands out from the noise. Fine trials take turns with hold windows, so that both sides are as sure;
- a level that is kept makes the step larger (doubling at most), one that is not makes it smaller, a quarter at least;
- throughput that changes while nothing was changed is a new server: the limit jumps by as much, as a trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

WORTH_UP = 0.3  # more in flight is kept when it gains three tenths of proportional
WORTH_DOWN = 0.2  # fewer are kept when they lose less than a fifth of it: between the two the level rests
FULL = 0.6  # from here on the lower of two levels had no queue to speak of
FIRST_STEP = 2.0  # slow start
FRESH_STEP = sqrt(2.0)  # after a surprise: wide enough to tell, and no doubling of a server in trouble
FINE_STEP = 1.25  # finer ones drown in noise; coarser ones leave more than a tenth of the throughput unseen
LEAST_GAP = 0.001  # in log: half a step of 1 at the largest limits is more
COARSE_GAP = 0.5  # in log: a wider gap needs so few calls that taking turns would only cost time
CALLS_A_WINDOW = 24  # a mean of 24 is within 10 % for usual latencies; change is noticed within two windows
FEWEST_CALLS = 8  # enough to tell 2 x from 1 x, when steps double
SURE = 2.0  # standard errors before a trial ends early
FINE_ENOUGH = 0.2  # standard error of an elasticity, below which it is taken at its word
MOST_CALLS = 9.0  # / gap^2: calls of a trial after which it is taken at its word
TURN = 1.2  # a trial takes turns once it has this many times the anchor's calls
LEAST_SPREAD = 0.4  # of latencies: a queue evens them out, without making throughput any surer
REMEMBERED_CALLS = 200  # of the anchor: 4 % sure, and no older than a few trials
DRIFT = 0.2  # in log: a fifth more or less, if noise can't explain it
DRIFT_SURE = 3.0  # standard errors; two windows in a row must say so
JUMP_ROOM = 1.25  # a jump down lands above the knee: too low costs answers, too high only waiting
LONGEST_JUMP = (0.125, 4.0)  # a window of failures, or one odd one, must not take the level to the end of its range
QUEUED = 1.3  # latency over that without a queue: from here on it is worth looking below
HOLDS = 2  # windows between trials once settled: a new server is noticed in one of them, a knee that rose in a trial
LOOK_DOWN_QUEUED, LOOK_DOWN = 3, 8  # every so many trials go down: where no queue is seen that costs throughput
CONCURRENCY_CUT = 0.8  # of the limit: a rate limit's edge is found by a step from below, so a little less is enough
CEILING = 0.95  # of the limit that was refused: below it until all is calm
RELAX = 1.05  # small: a ceiling that is still there is met by a few calls, and not by a quarter of them


@dataclass(frozen=True, slots=True)
class Sample:
    """Throughput as measured over `calls`: mean in flight, answers a second; mean latency; how throughput spreads."""

    in_flight: float
    per_s: float
    calls: float
    latency_s: float
    spread: float

    def pooled(self, other: Sample, most: float = float("inf")) -> Sample:
        """Both, weighed by their calls; of this one's at most `most`."""
        mine = min(self.calls, most)
        calls = mine + other.calls
        share = other.calls / calls
        return Sample(
            self.in_flight + (other.in_flight - self.in_flight) * share,
            exp(log(self.per_s) + (log(other.per_s) - log(self.per_s)) * share),
            calls,
            self.latency_s + (other.latency_s - self.latency_s) * share,
            self.spread + (other.spread - self.spread) * share,
        )

    def noise(self, other: Sample) -> float:
        """Standard error of the log of both throughputs' ratio; `self` says how much they spread."""
        return max(LEAST_SPREAD, self.spread) * sqrt(1 / self.calls + 1 / other.calls)


class Reach:
    """How far a level may be moved: smallest, largest, and a ceiling below what was refused. Begins at `initial`.

    `calm`: the last refusal is long enough ago to try what lies above.
    """

    __slots__ = ("calm", "ceiling", "initial", "largest", "smallest")

    def __init__(self, smallest: int, initial: int, largest: int) -> None:
        self.smallest, self.initial, self.largest = smallest, initial, largest
        self.ceiling = float(largest)
        self.calm = True

    def moved(self, level: int, ratio: float) -> int:
        """`level` x `ratio`, at least one away from `level` where there is room."""
        to = round(level * ratio)
        if ratio > 1:
            return max(level, min(max(to, level + 1), int(self.ceiling), self.largest))
        return max(min(to, level - 1), self.smallest)

    def refused(self, limit: int) -> None:
        self.ceiling = max(float(self.smallest), CEILING * limit)

    def relax(self) -> None:
        """Allow a little more, if all is calm."""
        if not self.calm:
            return
        self.ceiling = min(float(self.largest), max(self.ceiling * RELAX, self.ceiling + 1))


class Climb:
    """What to try next: a function of the samples so far. `limit` is the outcome, `level` what it returns to."""

    __slots__ = (
        "_aim",
        "_anchor",
        "_base_s",
        "_doubted",
        "_holds",
        "_rounds",
        "_step",
        "_trial",
        "flat",
        "level",
        "limit",
        "reach",
    )

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.level = self.limit = self._aim = reach.initial
        self._step = FIRST_STEP
        self._anchor: Sample | None = None
        self._trial: Sample | None = None
        self._base_s = 0.0  # latency where there was no queue; 0 while unknown
        self._doubted = False  # one odd window may straddle a change: only the next one says what it is like now
        self._holds = self._rounds = 0
        self.flat = False

    @property
    def settled(self) -> bool:
        return self._step <= FINE_STEP

    @property
    def calls_wanted(self) -> int:
        return max(FEWEST_CALLS, min(CALLS_A_WINDOW, int(4.5 / log(self._step) ** 2)))

    @property
    def latency_s(self) -> float:
        """Mean latency at this level; 0 while unknown."""
        return 0.0 if self._anchor is None else self._anchor.latency_s

    def feed(self, sample: Sample | None) -> None:
        """Take in one window (None: it says nothing) and set `limit` for the next."""
        if sample is None:
            self._hold()
        elif self._anchor is None or self.limit == self.level:
            self._held(sample)
        else:
            self._tried(sample, self._anchor)

    def failed(self) -> None:
        """A window of mostly failures: no trial is worth that, and if it was none, half as many may fare better.

        Not below the initial limit: when everything fails it is for other reasons.
        """
        if self.limit != self.level:
            self._finer()
            self._hold()
        elif self._doubted:
            self.level = max(min(self.level, self.reach.initial), self.level // 2)
            self._step, self.flat = FRESH_STEP, False
            self.forget()
        else:
            self._doubted = True

    def cut(self) -> None:
        """The server refused at this limit: fewer, and not as many again for a while."""
        self.reach.refused(self.limit)
        self.level = max(self.reach.smallest, min(int(self.limit * CONCURRENCY_CUT), self.level))
        self._step, self.flat = FRESH_STEP, False
        self.forget()

    def forget(self) -> None:
        """What was measured no longer holds; the level does."""
        self._anchor, self._doubted = None, False
        self._hold()

    def _held(self, sample: Sample) -> None:
        anchor = self._anchor
        if anchor is None:
            anchor = sample
        elif abs(log(sample.per_s / anchor.per_s)) > max(DRIFT, DRIFT_SURE * anchor.noise(sample)):
            if self._doubted:
                self._jump(sample, sample.per_s / anchor.per_s)
            else:
                self._doubted, self._step = True, max(self._step, FRESH_STEP)
            return
        else:
            anchor = anchor.pooled(sample, REMEMBERED_CALLS)
        self._anchor, self._doubted = anchor, False
        if anchor.calls >= CALLS_A_WINDOW:
            self._base_s = min(self._base_s, anchor.latency_s)
        self._holds += 1
        if self._holds >= (HOLDS if self.settled else 1):
            self._holds = 0
            self._choose(anchor)

    def _jump(self, sample: Sample, ratio: float) -> None:
        """With the service time unchanged the knee moved as throughput did. If it was the service time, the trial
        loses in proportion, and the level stays."""
        self._anchor, self._trial, self._doubted = sample, None, False
        self._step, self.flat = FRESH_STEP, False
        shortest, longest = LONGEST_JUMP
        if ratio > 1:
            self._try(max(FRESH_STEP, min(longest, ratio)))
        else:
            self._try(min(1 / FRESH_STEP, max(shortest, ratio * JUMP_ROOM)))

    def _choose(self, anchor: Sample) -> None:
        """After a hold: go on with the trial that takes turns, or begin one."""
        if self._trial is not None:
            self.limit = self._aim
            return
        queued = anchor.latency_s > QUEUED * self._base_s
        if self.settled:
            self._rounds += 1
            down = self._rounds % (LOOK_DOWN_QUEUED if queued else LOOK_DOWN) == 0
        else:
            # Before anything was tried there is no base, and up is the way to find one.
            down = queued and (self._base_s > 0 or self._step < FIRST_STEP)
        self._try(1 / self._step if down else self._step)

    def _try(self, ratio: float) -> None:
        self._trial = None
        self._aim = self.limit = self.reach.moved(self.level, ratio)
        if self._aim != self.level:
            return
        if ratio > 1:
            self.reach.relax()
        self._finer()
        self._hold()

    def _tried(self, sample: Sample, anchor: Sample) -> None:
        trial = self._trial = sample if self._trial is None else self._trial.pooled(sample)
        gap = log(trial.in_flight / anchor.in_flight)
        up = self.limit > self.level
        if (gap > 0) != up or abs(gap) < LEAST_GAP:  # the caller held back: nothing was compared
            self._hold()
            return
        elasticity = log(trial.per_s / anchor.per_s) / gap
        worth = WORTH_UP if up or gap < -COARSE_GAP else WORTH_DOWN
        error = anchor.noise(trial) / abs(gap)
        if abs(elasticity - worth) < SURE * error and self._unsure(trial, gap, error):
            if abs(gap) < COARSE_GAP and trial.calls > TURN * anchor.calls:
                self._holds, self.limit = 0, self.level
        elif (elasticity >= worth) == up:
            self._keep(trial, anchor, elasticity, up)
        else:
            self._reject(trial, elasticity, up)

    def _unsure(self, trial: Sample, gap: float, error: float) -> bool:
        if abs(gap) >= COARSE_GAP:
            return trial.calls < MOST_CALLS / gap**2
        return error > FINE_ENOUGH and trial.calls < 2 * MOST_CALLS / gap**2

    def _keep(self, trial: Sample, anchor: Sample, elasticity: float, up: bool) -> None:
        if elasticity >= FULL:
            self._base_s = anchor.latency_s  # only a step up can have gained so much
        self.level, self._anchor, self._trial, self._holds = self.limit, trial, None, 0
        if up:
            self.flat = False
            self._step = min(FIRST_STEP, self._step**2)
            self._try(self._step)
        else:
            self._choose(trial)

    def _reject(self, trial: Sample, elasticity: float, up: bool) -> None:
        self.flat = self.flat or up
        if not up and elasticity >= FULL:
            self._base_s = trial.latency_s
        self._finer()
        self._hold()

    def _finer(self) -> None:
        self._step = max(FINE_STEP, sqrt(self._step))

    def _hold(self) -> None:
        self._trial, self._holds, self.limit = None, 0, self.level
