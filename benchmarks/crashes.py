"""Does the journal lose anything on a disk that crashes, fails and forgets? Random crashes, on all cores.

    python benchmarks/crashes.py [--kind KIND] [--crashes 1000000] [--workers N] [--json FILE]
    python benchmarks/crashes.py [--kind KIND] --seed N
    python benchmarks/crashes.py [--kind KIND] --planted

The disk is in memory (`tests/support/simulated_disk.py`), the rest is the journal's own code. The kinds:

- store: the files alone, without time (`tests/support/crash_harness.py`);
- writer: `JournalWriter` with its threads and timers, in virtual time, on a disk that is slow at times
  (`tests/support/timed_crashes.py`);
- rot: as store, and then durable bytes change (`tests/support/bit_rot.py`);
- columns: runs whose rows have several columns, what they ask and of what (`tests/support/column_crashes.py`);
- column-rot: as columns, and then durable bytes change (`tests/support/column_rot.py`).

Without `--kind` all of them take turns. Each file says what is checked after each crash. A scenario is one seed;
`--seed N` runs only that one, and shows what fails in it. `--planted` plants each bug of the tests, and counts in how
many scenarios it is found.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from random import SystemRandom

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.bit_rot import RottenScenario
from support.column_crashes import ColumnScenario
from support.column_rot import RottenColumns
from support.crash_harness import Scenario, Violation
from support.timed_crashes import TimedScenario

KINDS: dict[str, tuple[type[Scenario], int]] = {  # with the scenarios of a chunk: a second or two of work
    "store": (Scenario, 500),
    "writer": (TimedScenario, 50),
    "rot": (RottenScenario, 200),
    "columns": (ColumnScenario, 100),
    "column-rot": (RottenColumns, 100),
}
PLANTED_IN = {
    "store": "test_crashes",
    "writer": "test_timed_crashes",
    "rot": "test_bit_rot",
    "columns": "test_column_crashes",
    "column-rot": "test_column_rot",
}
PLANTED_SCENARIOS = 1000


@dataclass
class Result:
    """Of some scenarios. `violations`: what was broken, by what runs the scenario again."""

    scenarios: int = 0
    crashes: int = 0
    calls: int = 0
    violations: dict[str, str] = field(default_factory=dict)

    def add(self, other: Result) -> None:
        self.scenarios += other.scenarios
        self.crashes += other.crashes
        self.calls += other.calls
        self.violations |= other.violations


def run_seeds(kinds: Sequence[str], first: int) -> Result:
    result = Result()
    for kind in kinds:
        run_kind(kind, first, result)
    return result


def run_kind(kind: str, first: int, result: Result) -> None:
    scenario_of, chunk = KINDS[kind]
    for seed in range(first, first + chunk):
        scenario = scenario_of(seed)
        try:
            scenario.run()
        except (Violation, Exception) as error:
            result.violations[f"--kind {kind} --seed {seed}"] = f"{type(error).__name__}: {error}"[:300]
        result.scenarios += 1
        result.crashes += scenario.crashes
        result.calls += scenario.disk.calls


def run_until(kinds: Sequence[str], crashes: int, first: int, workers: int) -> Iterator[Result]:
    """The sum so far, after each chunk."""
    total, chunk = Result(), sum(KINDS[kind][1] for kind in kinds)
    starts = count(first, chunk)
    with ProcessPoolExecutor(workers) as pool:
        waiting = {pool.submit(run_seeds, kinds, start) for start in islice(starts, 2 * workers)}
        while waiting:
            done = next(as_completed(waiting))
            waiting.remove(done)
            total.add(done.result())
            yield total
            if total.crashes + len(waiting) * total.crashes * chunk // total.scenarios < crashes:
                waiting.add(pool.submit(run_seeds, kinds, next(starts)))


def count_planted(kind: str) -> None:
    """In how many scenarios each planted bug of this kind is found."""
    tests = importlib.import_module(f"promises.{PLANTED_IN[kind]}")
    for bug in tests.BUGS:
        with pytest.MonkeyPatch.context() as patch:
            bug(patch)
            found = sum(tests.SEEDS.violates(seed) for seed in range(PLANTED_SCENARIOS))
        print(f"{found:5,} of {PLANTED_SCENARIOS:,}  {bug.__name__.replace('_', ' ')}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, help="one kind alone")
    parser.add_argument("--crashes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, help="run this scenario alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--planted", action="store_true", help="count in how many scenarios each planted bug is found")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else list(KINDS)
    if options.planted:
        for kind in kinds:
            count_planted(kind)
        return 0
    if options.seed is not None:
        for kind in kinds:
            print(f"{kind}: {KINDS[kind][0](options.seed).run()} crashes, 0 violations")
        return 0
    first, started = SystemRandom().randrange(1 << 40), time.perf_counter()
    total = Result()
    for total in run_until(kinds, options.crashes, first, options.workers):
        rate = total.crashes / (time.perf_counter() - started)
        line = f"{total.crashes:,} crashes, {len(total.violations)} violations, {rate:,.0f} crashes/s"
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elapsed_s = time.perf_counter() - started
    print(file=sys.stderr)
    report = {
        **asdict(total),
        "kinds": kinds,
        "first_seed": first,
        "elapsed_s": round(elapsed_s, 1),
        "crashes_per_s": round(total.crashes / elapsed_s),
        "workers": options.workers,
        "python": platform.python_version(),
    }
    for again, what in total.violations.items():
        print(f"{again}: {what}")
    print(
        f"{total.crashes:,} crashes in {total.scenarios:,} scenarios and {total.calls:,} calls to the disk: "
        f"{len(total.violations)} violations; {report['crashes_per_s']:,} crashes/s on {options.workers} cores"
    )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
