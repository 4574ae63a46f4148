"""Does the journal lose anything on a disk that crashes, fails and forgets? Random crashes, on all cores.

    python benchmarks/crashes.py [--crashes 1000000] [--seed N] [--workers N] [--json FILE]

The disk is in memory (`tests/support/simulated_disk.py`), the rest is the journal's own code.
`tests/support/crash_harness.py` says what is checked after each crash. A scenario is one seed; `--seed N` runs only
that one, and shows what fails in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from random import SystemRandom

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.crash_harness import Scenario, Violation

CHUNK = 500  # scenarios: a second of work


@dataclass
class Result:
    """Of some scenarios. `violations`: what was broken, by seed."""

    scenarios: int = 0
    crashes: int = 0
    calls: int = 0
    violations: dict[int, str] = field(default_factory=dict)

    def add(self, other: Result) -> None:
        self.scenarios += other.scenarios
        self.crashes += other.crashes
        self.calls += other.calls
        self.violations |= other.violations


def run_seeds(first: int) -> Result:
    result = Result()
    for seed in range(first, first + CHUNK):
        scenario = Scenario(seed)
        try:
            scenario.run()
        except (Violation, Exception) as error:
            result.violations[seed] = f"{type(error).__name__}: {error}"[:300]
        result.scenarios += 1
        result.crashes += scenario.crashes
        result.calls += scenario.disk.calls
    return result


def run_until(crashes: int, first: int, workers: int) -> Iterator[Result]:
    """The sum so far, after each chunk."""
    total = Result()
    starts = count(first, CHUNK)
    with ProcessPoolExecutor(workers) as pool:
        waiting = {pool.submit(run_seeds, start) for start in islice(starts, 2 * workers)}
        while waiting:
            done = next(as_completed(waiting))
            waiting.remove(done)
            total.add(done.result())
            yield total
            if total.crashes + len(waiting) * total.crashes * CHUNK // total.scenarios < crashes:
                waiting.add(pool.submit(run_seeds, next(starts)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crashes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, help="run this scenario alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.seed is not None:
        print(f"{Scenario(options.seed).run()} crashes, 0 violations")
        return 0
    first, started = SystemRandom().randrange(1 << 40), time.perf_counter()
    total = Result()
    for total in run_until(options.crashes, first, options.workers):
        rate = total.crashes / (time.perf_counter() - started)
        line = f"{total.crashes:,} crashes, {len(total.violations)} violations, {rate:,.0f} crashes/s"
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elapsed_s = time.perf_counter() - started
    print(file=sys.stderr)
    report = {
        **asdict(total),
        "first_seed": first,
        "elapsed_s": round(elapsed_s, 1),
        "crashes_per_s": round(total.crashes / elapsed_s),
        "workers": options.workers,
        "python": platform.python_version(),
    }
    for seed, what in total.violations.items():
        print(f"seed {seed}: {what}")
    print(
        f"{total.crashes:,} crashes in {total.scenarios:,} scenarios and {total.calls:,} calls to the disk: "
        f"{len(total.violations)} violations; {report['crashes_per_s']:,} crashes/s on {options.workers} cores"
    )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
