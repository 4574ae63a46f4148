"""What `run --processes` costs and brings: home over pipes alone, and two processes beside one.

    python benchmarks/processes.py [--home] [--pair] [--rows 100000] [--feeders 4] [--rounds 3] [--work text]
                                   [--json FILE]

`--home`: a real home with its journal in a temporary folder; its workers only bring lines that they have made before,
over pipes, as quickly as home takes them. Rows a second and CPU time a row at home, from a tenth of the rows on.
`--pair`: whole runs of one process and of two at a server that costs nothing, short and long ones, so that start-up is
taken out. One process has a core of its own; two have both cores, and share one with the server. CPU time a row is that
of all processes of the run together. Without either option, both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import grids
import measure
from herogen_async.core.clock import MonotonicClock, process_busy_s
from herogen_async.core.event_loop import quickest_loop
from herogen_async.generation.cluster.desk import Desk
from herogen_async.generation.cluster.door import Door
from herogen_async.generation.cluster.half_done import HalfDone
from herogen_async.generation.cluster.home import Home
from herogen_async.generation.cluster.local_placer import LocalPlacer
from herogen_async.generation.cluster.messages import SharedRun, Welcome
from herogen_async.generation.cluster.till import Till, Tills
from herogen_async.generation.engine import Counters, tuned_for_throughput
from herogen_async.generation.journal import JournalWriter, Recovered
from herogen_async.generation.limits import BlockAdmission
from herogen_async.generation.run_folder import Manifest, RunFolder, package_versions
from herogen_async.specs.plan import IndexSet, Plan
from herogen_async.specs.spec import Spec
from systems import System, ours_system, run_once
from works import WORKS

LEAST_ROWS_PER_S, MOST_US = 40_000, 12.0
LEAST_TIMES, MOST_CPU = 1.4, 1.2
HERE = Path(__file__).resolve().parent


async def _fed(rows: int, feeders: int, folder: Path) -> dict[str, float]:
    spec = Spec(**grids.spec(rows))
    plan = Plan(spec, endpoint="completions", model="m")
    settled, clock, counters = IndexSet(), MonotonicClock(), Counters(total=plan.rows)
    run = RunFolder(folder)
    folder.mkdir()
    manifest = Manifest(
        spec=spec.as_dict(),
        grid_fingerprint=plan.grid_fingerprint,
        generation_fingerprint=plan.generation_fingerprint,
        endpoint="completions",
        model="m",
        base_url="http://127.0.0.1:1/v1",
        created_at="",
    )
    door = Door(plan, settled, IndexSet(), lambda _: {})
    paths = os.pathsep.join([str(HERE), *sys.path])
    home = Home(
        plan,
        JournalWriter(run),
        desk=Desk([range(plan.rows)], settled, 1),
        tills=Tills([Till(BlockAdmission(clock.now()), 64)], [["completion"]]),
        half_done=HalfDone(plan, Recovered(), door, lambda *_: {}, lambda _: {}),
        shared=SharedRun(
            lambda lanes: Welcome(asdict(manifest), lanes=lanes),
            package_versions()["herogen-async"],
            [plan.grid_fingerprint, plan.generation_fingerprint, "m"],
            plan.size,
            feeders,
        ),
        placer_for=lambda hub: LocalPlacer(
            hub, "process_feeder", {**os.environ, "PYTHONPATH": paths, "FEEDERS": str(feeders)}
        ),
        clock=clock,
        counters=counters,
    )
    began: list[tuple[float, float, int]] = []
    exchange, done = home.exchange, counters

    def noted(*arguments: Any) -> None:
        if not began or (len(began) == 1 and done.done > plan.rows // 10):
            began.append((clock.now(), process_busy_s(), done.done))
        exchange(*arguments)

    home.exchange = noted  # type: ignore[method-assign]
    await home.run()
    # From a tenth on: by then all feeders have made their lines.
    (at_s, busy_s, before) = began[1]
    brought = counters.done - before
    return {
        "rows": brought,
        "rows_per_s": brought / (clock.now() - at_s),
        "us_per_row": 1e6 * (process_busy_s() - busy_s) / brought,
    }


def home_alone(rows: int, feeders: int) -> dict[str, float]:
    """Rows a second, and microseconds of CPU time a row, at home."""
    with (
        tempfile.TemporaryDirectory(prefix="herogen-home-") as place,
        tuned_for_throughput(),
        asyncio.Runner(loop_factory=quickest_loop) as runner,
    ):
        return runner.run(_fed(rows, feeders, Path(place) / "run"))


def both(work: str) -> tuple[System, System]:
    """The same run by one process and by two."""
    one = WORKS[work]
    two = replace(one, run=(*one.run, "--processes", "2"))
    return ours_system(one, name="one"), replace(ours_system(two, name="two"), on_all_cores=True)


def beside_one(rows: int, rounds: int, work: str) -> dict[str, list[float]]:
    """Of each round: how many times as fast two processes are, and how many times the CPU time of a row."""
    found: dict[str, list[float]] = {"times": [], "cpu_times": [], "one_rows_per_s": [], "two_rows_per_s": []}
    with tempfile.TemporaryDirectory(prefix="herogen-pair-") as place:
        for number in range(rounds + 1):
            figures: dict[str, tuple[float, float]] = {}
            for system in both(work) if number % 2 else reversed(both(work)):
                short, long = (
                    run_once(system, count, Path(place), delay_ms=0, round_number=number) for count in (rows // 5, rows)
                )
                for each in (short, long):
                    if problems := each.problems():
                        raise SystemExit("; ".join(problems))
                more = long.rows - short.rows
                figures[system.name] = more / (long.wall_s - short.wall_s), (long.cpu_s - short.cpu_s) / more
                print(f"round {number}, {system.name}: {figures[system.name][0]:,.0f} rows/s", file=sys.stderr)
            if number:  # the first one warms up
                (one_rate, one_cpu), (two_rate, two_cpu) = figures["one"], figures["two"]
                found["times"].append(two_rate / one_rate)
                found["cpu_times"].append(two_cpu / one_cpu)
                found["one_rows_per_s"].append(one_rate)
                found["two_rows_per_s"].append(two_rate)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", action="store_true", help="home alone")
    parser.add_argument("--pair", action="store_true", help="two processes beside one")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--feeders", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", choices=WORKS, default="text")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    is_all = not (options.home or options.pair)
    told: dict[str, Any] = {"machine": measure.machine(), "rows": options.rows}
    if options.home or is_all:
        runs = [home_alone(options.rows, options.feeders) for _ in range(options.rounds)]
        told["home"] = runs
        rate, cost = (statistics.median(run[name] for run in runs) for name in ("rows_per_s", "us_per_row"))
        print(f"home over pipes: {rate:,.0f} rows/s (aim {LEAST_ROWS_PER_S:,}), {cost:.1f} us a row (aim {MOST_US:g})")
    if options.pair or is_all:
        found = beside_one(options.rows, options.rounds, options.work)
        told["pair"] = found
        times, cpu = statistics.median(found["times"]), statistics.median(found["cpu_times"])
        print(
            f"two processes: {times:.2f} times one (aim {LEAST_TIMES}), {cpu:.2f} times its CPU a row (aim {MOST_CPU})"
        )
    if options.json:
        options.json.write_text(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
