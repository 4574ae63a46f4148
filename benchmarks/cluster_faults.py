"""Faults of a run by workers, in virtual time: deaths of workers and homes, partitions, doubled and late frames.

    python benchmarks/cluster_faults.py [--seconds 60] [--seed N] [--first 0 --scenarios 300]

Each scenario is a whole run, chosen by its seed: how many workers, what is limited, which faults strike when. Without
`--first` they are random ones, for so many seconds of CPU time. Exit code 1 if a promise is broken; the seed shows it
again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from random import SystemRandom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.cluster_rig import ClusterScenario
from support.crash_harness import Violation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU time, for random scenarios (default 60)")
    parser.add_argument("--seed", type=int, help="one scenario alone")
    parser.add_argument("--first", type=int, help="scenarios from this seed on, one after the other")
    parser.add_argument("--scenarios", type=int, default=300, help="how many of them (default 300)")
    options = parser.parse_args()
    seed = SystemRandom().randrange(1 << 48) if options.first is None else options.first
    count = options.scenarios if options.first is not None else sys.maxsize
    if options.seed is not None:
        seed, count = options.seed, 1
    started_s, run, faults, violations = time.process_time(), 0, 0, 0
    while run < count and (options.first is not None or time.process_time() - started_s < options.seconds):
        try:
            faults += ClusterScenario(seed + run).run()
        except Violation as broken:
            violations += 1
            print(f"VIOLATION, seed {seed + run}: {broken}", flush=True)
        run += 1
    print(
        f"{run:,} runs, {faults:,} faults, {violations} violations; {time.process_time() - started_s:.0f} s of CPU time"
    )
    if violations:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
