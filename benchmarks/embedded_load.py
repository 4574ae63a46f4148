"""How much slower is the embedded model beside programs that compute, and how soon does a first row come?

    python benchmarks/embedded_load.py [--rows 48] [--pairs 3] [--busy 4] [--apart] [--source DIR] [--json FILE]

A pair is the built-in spec's first rows on the machine as it is, and the same beside `--busy` processes that do nothing
but compute; every other pair begins with the latter. Whole processes are timed, their start included. `--apart` gives
each busy process a session of its own: Linux's autogroups then divide the cores among sessions, which is the harder
case for one that waits in few threads. `--source` takes another checkout's `src`, to compare with an earlier one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import measure

_LOOK_S = 0.05
_MOST_S = 1800.0  # the threads of an earlier release could stand still beside a load


@dataclass(frozen=True, slots=True)
class Trial:
    """One whole run: seconds from the process's start to its end, and to its first row in the journal."""

    busy: int
    seconds: float
    first_row_s: float | None
    rows: int
    load: float


@contextlib.contextmanager
def busy_processes(count: int, *, apart: bool) -> Iterator[None]:
    """So many processes that compute, until the block ends."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command, start_new_session=apart) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def trial(rows: int, busy: int, *, apart: bool, source: Path | None, work: Path) -> Trial:
    """One run in a new folder. Raises ChildFailedError when it fails or takes more than half an hour."""
    shutil.rmtree(work / "runs", ignore_errors=True)
    environment = measure.child_env()
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    for name in [name for name in environment if name.startswith("OPENAI_")]:
        del environment[name]
    command = [sys.executable, "-m", "herogen_async", "run", "--limit", str(rows)]
    journal = work / "runs" / "superhero" / "rows-00000.jsonl"
    load = os.getloadavg()[0]
    first_row_s = None
    with busy_processes(busy, apart=apart), (work / "said").open("wb") as said:
        began = time.monotonic()
        with subprocess.Popen(command, cwd=work, env=environment, stdout=said, stderr=said) as run:
            while run.poll() is None and time.monotonic() - began < _MOST_S:
                if first_row_s is None and journal.exists() and journal.stat().st_size:
                    first_row_s = time.monotonic() - began
                time.sleep(_LOOK_S)
            run.kill()
        seconds = time.monotonic() - began
    if run.returncode != 0:
        raise measure.ChildFailedError(f"exit code {run.returncode}: {(work / 'said').read_text()[-2000:]}")
    return Trial(busy, round(seconds, 2), first_row_s and round(first_row_s, 2), measure.count_lines(journal), load)


def main() -> None:
    """Measure and print; exit code 1 where the loaded time is more than `--most` times the idle one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--most", type=float, default=2.5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    trials: list[Trial] = []
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(asked.pairs):
            seconds = {}
            for busy in (0, asked.busy) if pair % 2 == 0 else (asked.busy, 0):
                found = trial(asked.rows, busy, apart=asked.apart, source=asked.source, work=Path(folder))
                trials.append(found)
                seconds[busy] = found.seconds
                print(
                    f"{busy} busy: {found.rows} rows in {found.seconds:.1f} s, the first after {found.first_row_s} s "
                    f"(load before {found.load:.1f})",
                    flush=True,
                )
            ratios.append(seconds[asked.busy] / seconds[0])
            print(f"  ratio {ratios[-1]:.2f}", flush=True)
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} over {len(ratios)} pairs; {os.cpu_count()} cores")
    if asked.json:
        told = {"machine": measure.machine(), "ratios": ratios, "trials": [asdict(each) for each in trials]}
        asked.json.write_text(json.dumps(told, indent=1))
    sys.exit(median > asked.most)


if __name__ == "__main__":
    main()
