"""What TLS costs a row: the same run at https:// and at http://, and at https:// as a git revision does it.

    python benchmarks/tls.py [--against REV] [--rows 20000] [--rounds 5] [--concurrency 64 512] [--json FILE]

Whole processes, pinned as in `throughput.py`, against a fresh `fast_server.py` whose certificate is made at the start.
Each round runs every way, short and long, in an order that turns: a row's CPU is the long run's less the short one's,
so that start-up and handshakes are out of it. Where `server busy` is near 100 %, the rows a second are the server's,
and CPU a row alone says what the client can do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import against
import measure
from systems import Run, run_once, source_system
from works import WORKS


@dataclass(frozen=True, slots=True)
class Way:
    """How a run reaches its server."""

    name: str
    source: Path
    has_tls: bool


def ways_of(options: argparse.Namespace, work: Path) -> list[Way]:
    """Plain HTTP and TLS by the working tree, and TLS by the revision, where one is given."""
    tree = against.copy_of_working_tree(work / "tree")
    found = [Way("http", tree, False), Way("https", tree, True)]
    for number, revision in enumerate(options.against):
        source, commit = against.copy_of_revision(revision, work / f"revision-{number}")
        found.append(Way(f"https, {commit[:9]}", source, True))
    return found


def one_run(way: Way, rows: int, work: Path, concurrency: int, round_number: int) -> Run:
    """A whole process against a server of its own."""
    asked = replace(WORKS["tls" if way.has_tls else "text"], concurrency=concurrency)
    return run_once(source_system(way.name, way.source, asked), rows, work, delay_ms=0, round_number=round_number)


def measured(ways: list[Way], work: Path, options: argparse.Namespace, concurrency: int) -> dict[str, list[list[Run]]]:
    """By way and round the short and the long run."""
    for way in ways:
        one_run(way, options.rows // 10, work, concurrency, 0)
    found: dict[str, list[list[Run]]] = {way.name: [] for way in ways}
    for number in range(options.rounds):
        first = number % len(ways)
        for way in ways[first:] + ways[:first]:
            runs = [one_run(way, rows, work, concurrency, number) for rows in (options.rows // 10, options.rows)]
            found[way.name].append(runs)
            print(f"{concurrency} in flight, round {number + 1}, {way.name}: {cpu_us(*runs):.1f} us a row", flush=True)
    return found


def cpu_us(short: Run, long: Run) -> float:
    """Of a row, in microseconds."""
    return 1e6 * (long.cpu_s - short.cpu_s) / (long.rows - short.rows)


def table(found: dict[str, list[list[Run]]]) -> str:
    """Medians over the rounds; the ratios are medians of each round's own."""
    lines = ["| way | CPU us a row | to http | rows/s | server busy % | peak MB | connections |", "|---" * 7 + "|"]
    base = [cpu_us(*pair) for pair in found["http"]]
    for name, pairs in found.items():
        costs = [cpu_us(*pair) for pair in pairs]
        longs = [pair[1] for pair in pairs]
        ratio = statistics.median(cost / plain for cost, plain in zip(costs, base, strict=True))
        cells = [
            f"{statistics.median(costs):.1f}",
            f"{ratio:.2f}",
            *(
                f"{statistics.median(getattr(run, figure) for run in longs):,.0f}"
                for figure in ("steady_rows_per_s", "server_busy_pct", "peak_mb", "connections")
            ),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", action="append", default=[], help="a git revision; repeatable")
    parser.add_argument("--rows", type=int, default=20_000, help="of the long run (default 20,000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    machine = measure.machine()
    result: dict[str, Any] = {"machine": machine, "runs": {}}
    problems = []
    with tempfile.TemporaryDirectory(prefix="herogen-bench-") as folder:
        ways = ways_of(options, Path(folder))
        for concurrency in options.concurrency:
            found = measured(ways, Path(folder), options, concurrency)
            print(f"\n## {concurrency} in flight: medians of {options.rounds} rounds\n\n{table(found)}\n", flush=True)
            result["runs"][concurrency] = {
                name: [[asdict(run) for run in pair] for pair in pairs] for name, pairs in found.items()
            }
            runs = [run for pairs in found.values() for pair in pairs for run in pair]
            problems += [problem for run in runs for problem in run.problems()]
    print("machine:", ", ".join(f"{key} {value}" for key, value in machine.items()))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
