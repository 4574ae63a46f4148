"""What one more row costs: runs of two lengths, so that start-up is out, of all that is compared, in pairs.

Three questions of `throughput.py` are answered in this way: the working tree beside a revision (`--against REV
--marginal`), ours beside the bare floor (`--peer floor` with it), and a kind of work beside the same work without what
it costs (`--cost-of`). Ratios are above / below: below 1, the first is the cheaper one.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import against
import measure
import paired
from systems import FLOOR, OUR_PACKAGES, Run, System, floor_system, ours_system, run_once
from works import CONCURRENCY, WORKS, Work

ROWS = 24_000
COST_ROWS = 36_000  # a short run of it, too, is a whole number of rows of three columns
SHORT = 12  # the short run has so many times fewer rows
PAIRS = 5  # of --cost-of


@dataclass(frozen=True, slots=True)
class Question:
    """Two systems, and how much the first may cost a row: so many times the second, or so many microseconds more."""

    above: str
    below: str
    most_ratio: float | None = None
    most_us: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pairs say. `costs` are the medians, in microseconds of CPU a row, of either."""

    question: Question
    unit: str
    delay_ms: float
    pairs: int
    ratio: paired.Middle
    extra_us: paired.Middle
    costs: tuple[float, float]

    def sentence(self) -> str:
        """All of it in one line."""
        above, below = self.question.above, self.question.below
        at = f" at {self.delay_ms:g} ms" if self.delay_ms else ""
        return (
            f"CPU a {self.unit}{at}, {above} / {below}: {self.ratio.written('.3f')};"
            f" {self.extra_us.written('+.1f')} us; {self.costs[0]:.1f} and {self.costs[1]:.1f} us; {self.pairs} pairs"
        )

    def shortfalls(self) -> list[str]:
        """What costs more than it may."""
        asked, found = self.question, []
        if asked.most_ratio is not None and self.ratio.median > asked.most_ratio:
            found.append(
                f"a {self.unit} of {asked.above} costs {self.ratio.median:.3f} times that of {asked.below},"
                f" above {asked.most_ratio:g}"
            )
        if asked.most_us is not None and self.extra_us.median > asked.most_us:
            found.append(
                f"a {self.unit} of {asked.above} costs {self.extra_us.median:.1f} us more than that of {asked.below},"
                f" above {asked.most_us:g}"
            )
        return found


def measure_pairs(
    systems: Sequence[System], work: Path, *, rows: int, pairs: int, delay_ms: float, until: float = float("inf")
) -> list[Run]:
    """A warm-up of each, which isn't counted, then the pairs; one at least, and none that begins after `until`."""
    by_name = {system.name: system for system in systems}
    for system in systems:
        run_once(system, rows // SHORT, work, delay_ms=0, round_number=0)
    runs: list[Run] = []
    for pair in range(1, pairs + 1):
        if runs and time.monotonic() > until:
            break
        for name, is_long in paired.long_together(list(by_name), pair):
            length = rows if is_long else rows // SHORT
            runs.append(run_once(by_name[name], length, work, delay_ms=delay_ms, round_number=pair))
        found = ", ".join(f"{name} {costs(runs, name)[-1]:.1f}" for name in by_name)
        print(f"{delay_ms:g} ms, pair {pair} of {pairs}: us of CPU a row: {found}", file=sys.stderr, flush=True)
    return runs


def costs(runs: Sequence[Run], name: str) -> list[float]:
    """Of each pair, in its order: microseconds of CPU for one more row."""
    by_pair: dict[int, list[Run]] = {}
    for run in runs:
        if run.system == name:
            by_pair.setdefault(run.round, []).append(run)
    found = []
    for _, both in sorted(by_pair.items()):
        short, long = sorted(both, key=lambda run: run.rows)
        found.append(1e6 * (long.cpu_s - short.cpu_s) / (long.rows - short.rows))
    return found


def answer(question: Question, runs: Sequence[Run], *, unit: str, delay_ms: float) -> Answer:
    """Both figures over the pairs. Raises ValueError where a side lacks a pair, or all of them."""
    above, below = (costs(runs, name) for name in (question.above, question.below))
    both = list(zip(above, below, strict=True))
    return Answer(
        question=question,
        unit=unit,
        delay_ms=delay_ms,
        pairs=len(both),
        ratio=paired.middle([one / other for one, other in both]),
        extra_us=paired.middle([one - other for one, other in both]),
        costs=(statistics.median(above), statistics.median(below)),
    )


def rates(runs: Sequence[Run], *, delay_ms: float) -> dict[str, dict[str, float]]:
    """Of the long runs, by system: rows a second, median and best; medians of the server's load and the peak memory."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(run.system for run in runs):
        own = [run for run in runs if run.system == name]
        long = [run for run in own if run.rows == max(one.rows for one in own)]
        steady = [run.steady_rows_per_s for run in long]
        found[name] = {
            "delay_ms": delay_ms,
            "median": statistics.median(steady),
            "best": max(steady),
            "busy": statistics.median(run.server_busy_pct for run in long),
            "peak_mb": statistics.median(run.peak_mb for run in long),
        }
    return found


def compare_revision(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The working tree beside a revision, and beside the floor where that is asked for."""
    sides, compared = against.two_sides(options, work)
    systems = list(sides.values())
    questions = [Question("after", "before", most_ratio=options.most)]
    if FLOOR in (options.peer or []):
        systems.append(floor_system(options.work))
        questions.append(Question("after", FLOOR))
    return {**_measured([(systems, questions, options.work)], work, options), "against": compared}


def compare_works(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Kinds of work, each beside the same work without what it costs."""
    return _measured([_sides_of(WORKS[name], options.concurrency) for name in options.cost_of], work, options)


def _sides_of(asked: Work, concurrency: int | None) -> tuple[list[System], list[Question], Work]:
    beside = WORKS[asked.beside]
    if concurrency and asked.concurrency == CONCURRENCY:
        asked, beside = (replace(one, concurrency=concurrency) for one in (asked, beside))
    question = Question(asked.name, beside.name, asked.most_ratio, asked.most_us)
    return [ours_system(one, name=one.name) for one in (asked, beside)], [question], asked


def _measured(
    series: Sequence[tuple[Sequence[System], Sequence[Question], Work]], work: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """The report of some series of pairs at all delays, as plain data."""
    until = time.monotonic() + (options.seconds or float("inf"))
    answers, speeds, all_runs = [], [], []
    for systems, questions, asked in series:
        rows, unit = options.rows * asked.times, "row" if asked.columns == 1 else "call"
        for delay_ms in options.delay_ms:
            runs = measure_pairs(systems, work, rows=rows, pairs=options.pairs, delay_ms=delay_ms, until=until)
            answers += [answer(question, runs, unit=unit, delay_ms=delay_ms) for question in questions]
            speeds.append(rates(runs, delay_ms=delay_ms))
            all_runs += runs
    return {
        "command": shlex.join(["python", "benchmarks/throughput.py", *sys.argv[1:]]),
        "machine": options.machine,
        "versions": measure.versions(sys.executable, OUR_PACKAGES[1:]),
        "rows": options.rows,
        "short": SHORT,
        "answers": [{**asdict(one), "sentence": one.sentence()} for one in answers],
        "rates": speeds,
        "shortfalls": [shortfall for one in answers for shortfall in one.shortfalls()],
        "problems": [problem for run in all_runs for problem in run.problems()],
        "runs": [asdict(run) for run in all_runs],
    }


def show(result: dict[str, Any]) -> None:
    if compared := result.get("against"):
        print(f"\n## After: the working tree; before: {compared['revision']} ({compared['commit'][:9]})\n")
        if compared["same_source"]:
            print("caveat: both sides are the same source, so the ratio is this machine's noise")
    for one in result["answers"]:
        print(one["sentence"])
    for speeds in result["rates"]:
        for name, found in speeds.items():
            print(
                f"rows/s of {name} at {found['delay_ms']:g} ms: {found['median']:,.0f}, best {found['best']:,.0f};"
                f" server busy {found['busy']:.0f} %; peak {found['peak_mb']:.0f} MB"
            )
    print("machine:", ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    print("versions:", ", ".join(f"{package} {version}" for package, version in result["versions"].items()))
    for problem in result["problems"]:
        print(f"PROBLEM: {problem}")
    for shortfall in result["shortfalls"]:
        print(f"DEARER: {shortfall}")
    print("reproduce:", result["command"])
