"""What a call costs where a row has three, beside a row of one: CPU a call at a server without delay, in pairs.

    python benchmarks/columns.py [--calls 60000] [--pairs 9] [--most 1.1] [--json FILE]

Both sides send as many requests, with prompts of the same length. Each pair is a short and a long run of either, one
column first and then three first in turn: the difference of short and long is the cost of a call with start-up taken
out. Exit code 1 when the median of the pairs' ratios is above `--most`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grids
import measure
import paired
from fast_server import TEXT
from systems import OUR_PACKAGES, Run, System, run_once

MOST = 1.10
SHORT = 10  # the short run has so many times fewer calls


def side(columns: int) -> System:
    """This package with rows of so many calls; its `rows` are calls."""

    def command(calls: int, folder: Path, server: measure.FastServer) -> list[str]:
        spec = folder / "spec.json"
        spec.write_text(json.dumps(grids.columns_spec(calls // columns, columns=columns, answer=TEXT)))
        return measure.our_run(spec, folder / "run", server)

    return System(
        name=f"{columns} a row",
        command=command,
        persisted=lambda folder: measure.our_rows(folder / "run"),
        python=sys.executable,
        packages=OUR_PACKAGES,
    )


def measure_pairs(one: System, three: System, work: Path, options: argparse.Namespace) -> list[Run]:
    """A warm-up of either, which isn't counted, then all pairs."""
    for system in (one, three):
        run_once(system, options.calls // SHORT, work, delay_ms=0, round_number=0)
    runs = []
    for pair in range(1, options.pairs + 1):
        for system in (one, three) if pair % 2 else (three, one):
            runs += [
                run_once(system, calls, work, delay_ms=0, round_number=pair)
                for calls in (options.calls // SHORT, options.calls)
            ]
        found = [cost(runs, system.name, pair) for system in (three, one)]
        print(f"pair {pair} of {options.pairs}: three / one {found[0] / found[1]:.3f}", file=sys.stderr, flush=True)
    return runs


def cost(runs: Sequence[Run], name: str, pair: int) -> float:
    """Milliseconds of CPU a call, start-up taken out."""
    short, long = sorted((run for run in runs if run.system == name and run.round == pair), key=lambda run: run.rows)
    return 1000 * (long.cpu_s - short.cpu_s) / (long.rows - short.rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=60_000, help="of a long run (default 60,000)")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--most", type=float, default=MOST, help="the largest median ratio (default 1.1)")
    parser.add_argument("--dir", type=Path, help="where the runs are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    try:
        for calls in (options.calls, options.calls // SHORT):
            grids.attributes(calls)
            grids.attributes(calls // grids.COLUMNS)
    except ValueError as error:
        parser.error(f"--calls {options.calls}: {error}")
    return options


def main() -> None:
    options = parse()
    machine = measure.machine()
    one, three = side(1), side(grids.COLUMNS)
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        runs = measure_pairs(one, three, Path(folder), options)
    pairs = range(1, options.pairs + 1)
    found = paired.ratio(
        [cost(runs, three.name, pair) for pair in pairs], [cost(runs, one.name, pair) for pair in pairs]
    )
    problems = [problem for run in runs for problem in run.problems()]
    result: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/columns.py", *sys.argv[1:]]),
        "machine": machine,
        "versions": measure.versions(sys.executable, OUR_PACKAGES),
        "ratio": asdict(found),
        "most": options.most,
        "problems": problems,
        "runs": [asdict(run) for run in runs],
    }
    print(f"CPU a call, three columns / one: {found.median:.3f} ({found.low:.3f} to {found.high:.3f})")
    print(f"ms a call: {found.before:.4f} of three columns, {found.after:.4f} of one; {options.pairs} pairs")
    print("machine:", ", ".join(f"{key} {value}" for key, value in machine.items()))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("reproduce:", result["command"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if problems or found.median > options.most:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
