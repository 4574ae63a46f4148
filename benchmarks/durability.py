"""What durability costs: rows a second with `process`, `periodic` and `power`, 64 in flight, against a local server.

    python benchmarks/durability.py [--rows 20000] [--rounds 5] [--dir DIR] [--json FILE]

Whole processes, one durability after the other in every round, a fresh server that answers at once each time; ratios
are of one round, and their median counts. The disk is that of the folder for temporary files, or of --dir: on a tmpfs
a sync costs nothing, and there is nothing to be measured.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grids
import measure
from systems import TEXT_WORK, Run, System, run_once
from throughput import note

DURABILITIES = ("process", "periodic", "power")
FIRST, *OTHERS = DURABILITIES


def system(durability: str) -> System:
    """Our command line with that durability."""
    return System(
        name=durability,
        command=lambda rows, folder, server: [
            *measure.our_run(TEXT_WORK.spec_file(rows, folder), folder / "run", server),
            *("--durability", durability),
        ],
        persisted=lambda folder: measure.our_rows(folder / "run"),
        python=sys.executable,
        packages=("herogen-async",),
    )


def rounds(systems: list[System], work: Path, options: argparse.Namespace) -> list[dict[str, Run]]:
    """All rounds; each begins with another durability, after a warm-up that isn't counted."""
    run_once(systems[0], options.rows // 10, work, delay_ms=0, round_number=0)
    found = []
    for number in range(1, options.rounds + 1):
        shift = number % len(systems)
        runs = {}
        for each in (*systems[shift:], *systems[:shift]):
            run = run_once(each, options.rows, work, delay_ms=0, round_number=number)
            note(f"round {number}, {each.name}: {run.steady_rows_per_s:,.0f} rows/s")
            runs[each.name] = run
        found.append(runs)
    return found


def table(found: list[dict[str, Run]]) -> str:
    lines = ["| durability | rows/s, median | of `process`, median | least | most | CPU ms a row |", "|---" * 6 + "|"]
    for durability in DURABILITIES:
        rates = [runs[durability].steady_rows_per_s for runs in found]
        ratios = [runs[durability].steady_rows_per_s / runs[FIRST].steady_rows_per_s for runs in found]
        cpu_ms = statistics.median(1000 * runs[durability].cpu_s / runs[durability].rows for runs in found)
        lines.append(
            f"| {durability} | {statistics.median(rates):,.0f} | {statistics.median(ratios):.3f} | {min(ratios):.3f} | "
            f"{max(ratios):.3f} | {cpu_ms:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="where the runs are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    try:
        for divisor in (1, 10):
            grids.attributes(options.rows // divisor)
    except ValueError as error:
        parser.error(f"--rows {options.rows}: {error}")
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        found = rounds([system(durability) for durability in DURABILITIES], Path(folder), options)
    print(table(found))
    command = shlex.join(["python", "benchmarks/durability.py", *sys.argv[1:]])
    machine = measure.machine()
    print("machine:", ", ".join(f"{key} {value}" for key, value in machine.items()))
    print("reproduce:", command)
    problems = [problem for runs in found for run in runs.values() for problem in run.problems()]
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if options.json:
        runs: list[dict[str, Any]] = [asdict(run) for each in found for run in each.values()]
        options.json.write_text(json.dumps({"command": command, "machine": machine, "runs": runs}, indent=2) + "\n")
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
