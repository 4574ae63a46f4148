"""Does anything grow? One process, minutes of runs against a server with the usual faults, looked at from inside.

    python benchmarks/soak.py [--minutes 10] [--concurrency 32] [--latency-ms 50] [--fault 500=0.02 ...] [--json FILE]

A run follows on a run, each with its own folder and session, in one process on one event loop after the other, against
one `herogen-async simulate` in a process of its own. After each run it notes the resident memory, the open descriptors,
the threads and the tasks left over. The first fifth of the time warms up; then memory may grow by 10 % and 4 MB, and
nothing else may grow at all; otherwise it exits with 1. Each run's rows and failures must make up its grid.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import herogen_async
import measure
from herogen_async.specs.spec import Spec

HEROGEN = [sys.executable, "-m", "herogen_async"]
FAULTS = ["500=0.02", "overloaded=0.01", "reset=0.01", "cut=0.01", "hang=0.002", "html=0.005", "no_usage=0.02"]
ROWS_A_RUN = 2000
WARM_UP = 0.2  # of the time
GROWTH, ALLOWANCE_MB = 1.10, 4.0


@dataclass(frozen=True)
class Sample:
    """What the process holds after a run that ended `at_s` seconds after the start."""

    at_s: float
    rows: int
    given_up: int
    rss_mb: float
    files: int
    threads: int
    tasks: int


def sample(at_s: float, report: herogen_async.RunReport, tasks: int) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        round(at_s, 1),
        report.done,
        report.failed,
        round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        tasks,
    )


async def one_run(folder: Path, url: str, given: argparse.Namespace) -> tuple[herogen_async.RunReport, int]:
    spec = Spec(
        name="soak",
        attributes={"number": [str(number) for number in range(ROWS_A_RUN)]},
        prompt="Describe {number}:",
        sampling={"max_tokens": 50},
    )
    report = await herogen_async.arun(
        spec,
        run=folder,
        base_url=url,
        model="m",
        concurrency=given.concurrency,
        timeout_s=10.0,
        min_timeout_s=given.min_timeout,
    )
    return report, len(asyncio.all_tasks()) - 1


def soak(url: str, place: Path, given: argparse.Namespace) -> list[Sample]:
    samples: list[Sample] = []
    started = time.monotonic()
    while (at_s := time.monotonic() - started) < 60 * given.minutes or len(samples) < 3:
        report, tasks = asyncio.run(one_run(place / "run", url, given))
        shutil.rmtree(place / "run")
        if report.state not in ("done", "failed_rows") or report.done + report.failed != ROWS_A_RUN:
            raise SystemExit(f"a run of {ROWS_A_RUN} rows ended as {report}")
        samples.append(sample(time.monotonic() - started, report, tasks))
        if len(samples) == 1 or at_s > 60 * given.minutes * len(samples) / 20:
            print(samples[-1], flush=True)
    return samples


def growth(samples: list[Sample]) -> list[str]:
    """What grew between the end of the warm-up and the end."""
    warm = next((each for each in samples if each.at_s >= WARM_UP * samples[-1].at_s), samples[0])
    last = samples[-1]
    grown = [
        f"{name}: {getattr(warm, name)} -> {getattr(last, name)}"
        for name in ("files", "threads", "tasks")
        if getattr(last, name) > getattr(warm, name)
    ]
    if last.rss_mb > GROWTH * warm.rss_mb + ALLOWANCE_MB:
        grown.append(f"memory: {warm.rss_mb} -> {last.rss_mb} MB")
    return grown


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency-ms", default="50")
    parser.add_argument("--min-timeout", type=float, default=1.0, help="seconds before a hang may be cut off (1)")
    parser.add_argument("--fault", nargs="*", default=FAULTS, metavar="NAME=SHARE")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    return parser.parse_args()


def main() -> None:
    given = parse()
    shares = [word for fault in given.fault for word in ("--fault", fault)]
    server = subprocess.Popen(
        [*HEROGEN, "simulate", "--latency-ms", given.latency_ms, *shares],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        with tempfile.TemporaryDirectory() as place:
            samples = soak(server.stdout.readline().strip(), Path(place), given)
    finally:
        server.kill()
        server.wait()
    grown = growth(samples)
    first, last = samples[0], samples[-1]
    rows = sum(each.rows for each in samples)
    print(f"{len(samples)} runs, {rows} rows, {sum(each.given_up for each in samples)} given up, {last.at_s:.0f} s")
    for name in ("rss_mb", "files", "threads", "tasks"):
        print(f"{name}: {getattr(first, name)} at the start, {getattr(last, name)} at the end")
    if given.json:
        figures: dict[str, Any] = {"machine": measure.machine(), "samples": [asdict(each) for each in samples]}
        given.json.write_text(json.dumps(figures, indent=2))
    if grown:
        raise SystemExit("grew: " + "; ".join(grown))


if __name__ == "__main__":
    main()
