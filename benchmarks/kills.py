"""SIGKILL, at random moments and at each system call that changes a file: what is lost, what is asked again.

    python benchmarks/kills.py [--columns] [--kills 1000] [--calls] [--errors] [--every 1] [--jobs N] [--json FILE]
    python benchmarks/kills.py --processes [--kills 200]

Random: runs of 120 rows, 16 in flight, are killed after a random time, again and again until one gets to its end; a new
run then. Kills meet the start, the recovery, the work and the end. `--calls`: a run of 8 rows, one of them refused, is
killed by strace at the first, the second, ... write, sync, rename and cut of each of its files, until it survives;
from three beginnings: no folder, a folder without rows, a folder that a crash left with a torn end. `--errors`: at the
same places the call fails with EIO and with ENOSPC instead. After each: resumed, then the exact grid is compared.
`--columns`: each row has three columns that build on each other, and what each call was made from is compared.
`--processes`: runs by two worker processes, whose workers and homes are killed at random, and nothing else.

Violations: an acknowledged row that is not on disk; a row twice, or missing at the end; more asked again than what was
in flight and a batch; a run that hangs or ends with a traceback. Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import crash_runs
import measure
from crash_runs import Child, Page, Shape
from herogen_async.core.errors import HerogenError
from herogen_async.generation.cluster.messages import HELD_LINES
from herogen_async.generation.journal.write.writer import BATCH_LINES
from support.process_runs import CONCURRENCY, PROCESSES, ProcessRun, is_alive
from support.runs import assert_exact_grid, small_spec


def at_work(has_columns: bool) -> Shape:
    """What is killed at random."""
    return Shape(values=15, repeats=4, has_columns=has_columns)


def short(has_columns: bool) -> Shape:
    """What is struck at each call."""
    return Shape(values=2, repeats=2, concurrency=2, durability="power", has_columns=has_columns)


PARKED = 3
# Which files a call is counted for: strace counts each thread's calls apart, and a file has one thread that writes it.
# The names of temporary files are random: all calls of a kind together, where there is no name.
CALLS: tuple[tuple[str, str | None], ...] = (
    ("pwrite64", "rows-00000.jsonl"),
    ("pwrite64", "rows-00001.jsonl"),
    ("pwrite64", "failures.jsonl"),
    ("pwrite64", "lock"),
    ("pwrite64", None),
    ("fdatasync", "rows-00000.jsonl"),
    ("fdatasync", "rows-00001.jsonl"),
    ("fdatasync", "failures.jsonl"),
    ("fdatasync", None),
    ("fsync", None),
    ("rename", None),
    ("ftruncate", None),
    ("write", "events.jsonl"),
    ("write", None),
)
BEGINNINGS = ("nothing", "no rows", "a torn end")
ERRORS = ("error=EIO", "error=ENOSPC")
MOST_CALLS = 400


@dataclass(slots=True)
class Found:
    """What some kills came to. `again`: how many rows each made to be asked again, of those that met a run at work."""

    kills: int = 0
    survived: int = 0
    again: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        self.kills += other.kills
        self.survived += other.survived
        self.again += other.again
        self.violations += other.violations

    def line(self, name: str) -> str:
        again = self.again or [0]
        figures = f"{statistics.mean(again):.1f} | {statistics.median(again):.0f} | {max(again)}"
        return f"| {name} | {self.kills:,} | {figures} | {self.survived:,} | {len(self.violations)} |"


def killed_at_random(kills: int, seed: int, shape: Shape) -> Found:
    """`kills` of them, in as many runs as that takes."""
    found, points = Found(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="herogen-kills-") as place:
        started = time.monotonic()
        ended = crash_runs.run_to_end(Path(place) / "whole", shape, Page())
        whole_s = time.monotonic() - started
        found.violations += crash_runs.faults_of_finished(Path(place) / "whole", shape, ended)
        number = 0
        while found.kills < kills and len(found.violations) < 20:
            number += 1
            folder = Path(place) / str(number)
            name = f"seed {seed} run {number}"
            found.add(_killed_until_it_ends(folder, shape, points, whole_s, most=kills - found.kills, name=name))
            shutil.rmtree(folder)
    return found


def _killed_until_it_ends(
    folder: Path, shape: Shape, points: random.Random, whole_s: float, *, most: int, name: str
) -> Found:
    found, page = Found(), Page()
    while found.kills < most:
        asked, rows = page.asked, len(crash_runs.sound_keys(folder))
        child = Child(folder, shape, page)
        child.go()
        time.sleep(points.uniform(0, whole_s))
        child.signal(signal.SIGKILL)
        ended = child.end()
        if not ended.killed:
            found.survived += 1
            break
        found.kills += 1
        found.violations += [f"{name}: {fault}" for fault in _lost(folder, shape, page)]
        again = page.asked - asked - (len(crash_runs.sound_keys(folder)) - rows)
        if page.asked > asked:
            found.again.append(again)
        if again > shape.concurrency + BATCH_LINES:
            found.violations.append(f"{name}: {again} rows are asked again")
    ended = crash_runs.run_to_end(folder, shape, page)
    found.violations += [f"{name}: {fault}" for fault in crash_runs.faults_of_finished(folder, shape, ended)]
    if page.asked != shape.calls + sum(found.again):
        found.violations.append(
            f"{name}: {page.asked} requests for {shape.calls} calls, {sum(found.again)} of them lost"
        )
    return found


def _lost(folder: Path, shape: Shape, page: Page) -> Iterator[str]:
    on_disk = crash_runs.whole_rows(folder, shape)
    if on_disk < page.acknowledged:
        yield f"{page.acknowledged} rows were acknowledged, {on_disk} are on disk"


def struck_at_every_call(call: str, name: str | None, beginning: str, fault: str, *, every: int, shape: Shape) -> Found:
    """A run from that beginning, struck at the first such call, at the second, ... until none is left to strike."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="herogen-kills-") as place:
        for number in range(1, MOST_CALLS, every):
            folder = Path(place) / str(number)
            _begin(folder, shape, beginning)
            case = f"{fault} at {call} {number} of {name or 'any file'}, from {beginning}"
            if not _strike(folder, shape, (call, name), f"{fault}:when={number}", case=case, found=found):
                return found
            shutil.rmtree(folder)
    return found


def _begin(folder: Path, shape: Shape, beginning: str) -> None:
    """A folder as `beginning` says, made by a run of its own."""
    if beginning == "nothing":
        return
    crash_runs.run_to_end(folder, shape, Page(), refuses=True)
    rows = folder / "rows-00000.jsonl"
    if beginning == "no rows":
        for name in (rows.name, "failures.jsonl", "events.jsonl", "lock"):
            (folder / name).unlink()
        return
    # Half of the rows; behind them, a torn one and a sound one that no sync has vouched for, as a power cut leaves it.
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:3]) + lines[3][:100] + b"\n" + lines[4] + lines[5][:50])
    lock = (folder / "lock").read_bytes()
    (folder / "lock").unlink()
    mark = _mark(len(b"".join(lines[:3])), (folder / "failures.jsonl").stat().st_size)
    (folder / "lock").write_bytes(lock[:533] + mark + lock[533 + len(mark) :])


def _mark(rows: int, failures: int) -> bytes:
    line = b"%05d %020d %020d" % (0, rows, failures)
    return b"%b %08x" % (line, crc32(line))


def _strike(folder: Path, shape: Shape, at: tuple[str, str | None], fault: str, *, case: str, found: Found) -> bool:
    """One run, struck at a call of a file; False when it never came to that."""
    (call, name), page = at, Page()
    before = len(crash_runs.sound_keys(folder)) + _given_up(folder)
    child = Child(folder, shape, page, refuses=True)
    with tempfile.NamedTemporaryFile(prefix="herogen-strace-") as log:
        where = [] if name is None else ["-P", str(folder / name)]
        trace = ["strace", "-f", "-qq", "-o", log.name, "-p", str(child.pid), "-e", f"trace={call}", *where]
        tracer = subprocess.Popen([*trace, "-e", f"inject={call}:{fault}"], stderr=subprocess.PIPE, text=True)
        _wait_until_traced(child.pid, tracer)
        child.go()
        ended = child.end()
        tracer.communicate(timeout=10)
        struck = ended.killed or b"(INJECTED)" in Path(log.name).read_bytes()
    if not struck:
        found.survived += 1
        return False
    found.kills += 1
    if not ended.killed and ended.code not in (0, 1, 2, PARKED):
        found.violations.append(f"{case}: it ended with {ended.code}: {ended.said[-2000:]}")
    found.violations += [f"{case}: {fault}" for fault in _lost(folder, shape, page)]
    if page.asked:
        found.again.append(page.asked - (len(crash_runs.sound_keys(folder)) + _given_up(folder) - before))
    ended = crash_runs.run_to_end(folder, shape, page)
    found.violations += [f"{case}: {fault}" for fault in crash_runs.faults_of_finished(folder, shape, ended)]
    return True


def _given_up(folder: Path) -> int:
    """Refused rows: what is on disk of them is not asked again, but for the retry at the very end."""
    path = folder / "failures.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_until_traced(pid: int, tracer: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            said = tracer.stderr.read().strip() if tracer.stderr and tracer.poll() is not None else ""
            os.kill(pid, signal.SIGKILL)
            raise SystemExit(f"strace can't attach here: {said}; fix: as root, or with kernel.yama.ptrace_scope=0")
        time.sleep(0.001)


def workers_killed(kills: int, seed: int) -> Found:
    """`kills` of workers and homes of runs by two processes, each run killed again and again until it ends."""
    found, points = Found(), random.Random(seed)
    spec = small_spec(values=60, repeats=10)  # 1,200 rows, half a minute of kills
    while found.kills < kills and len(found.violations) < 20:
        with tempfile.TemporaryDirectory(prefix="herogen-kills-") as place, ProcessRun(Path(place), spec) as run:
            found.add(_workers_killed_until_it_ends(run, points, most=kills - found.kills, name=f"seed {seed}"))
    return found


def _is_struck_at_work(run: ProcessRun, points: random.Random) -> bool:
    """Wait for the moment of a kill, of four one at the start and three at work; False where the run ends before."""
    assert run.child is not None
    asked = run.asked + points.randint(1, 300)
    end_s = time.monotonic() + (points.uniform(0.05, 1.5) if points.random() < 0.25 else 60.0)
    while run.asked < asked and time.monotonic() < end_s:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.child.wait(0.005)
            return False
    return True


def _workers_killed_until_it_ends(run: ProcessRun, points: random.Random, *, most: int, name: str) -> Found:
    found, rows = Found(), 1200
    code, may_be_again = -signal.SIGKILL, 0
    while code == -signal.SIGKILL:
        run.start()
        assert run.child is not None
        while found.kills < most:
            if not _is_struck_at_work(run, points):
                break
            # A worker that has just ended by itself is no victim.
            victims = [(process, 1) for process in run.workers() if is_alive(process)]
            victim, workers = points.choice([*victims, (run.child.pid, PROCESSES)])
            with contextlib.suppress(ProcessLookupError):
                run.kill(victim)
                found.kills += 1
                may_be_again += CONCURRENCY + workers * HELD_LINES
            if victim == run.child.pid:
                break
        code, _ = run.end()
        if code not in (0, -signal.SIGKILL, PARKED):
            found.violations.append(f"{name}: it ended with {code}: {run.said[-2000:]}")
        if code == PARKED:  # every worker was killed before it had brought anything
            code = -signal.SIGKILL
    again = run.asked - rows
    found.again.append(again)
    if again > may_be_again:
        found.violations.append(f"{name}: {again} rows are asked again, at most {may_be_again} may be")
    try:
        assert_exact_grid(run.folder, run.spec)
    except (AssertionError, HerogenError) as wrong:
        found.violations.append(f"{name}: not the exact grid: {wrong}")
    return found


def table(results: dict[str, Found]) -> str:
    lines = ["| struck | times | asked again: mean | median | most | not struck | violations |", "|---" * 7 + "|"]
    return "\n".join([*lines, *(found.line(name) for name, found in results.items())])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", action="store_true", help="rows of three columns")
    parser.add_argument("--processes", action="store_true", help="workers and homes of runs by two processes")
    parser.add_argument("--kills", type=int, default=1000, help="at random moments (default 1000)")
    parser.add_argument("--calls", action="store_true", help="a kill at each call that changes a file, by strace")
    parser.add_argument("--errors", action="store_true", help="EIO and ENOSPC at each such call, by strace")
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth of those calls (default 1: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once (default: a core each)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    if (options.calls or options.errors) and shutil.which("strace") is None:
        parser.error("strace is not installed; fix: install it, or leave out --calls and --errors")
    return options


def main() -> None:
    options = parse()
    started = time.monotonic()
    crash_runs.warm_up()
    faults = [*(["signal=SIGKILL"] if options.calls else []), *(ERRORS if options.errors else [])]
    results: dict[str, Found] = {}
    if options.processes:
        results["SIGKILL of workers and homes"] = workers_killed(options.kills, options.seed)
        options.kills = 0
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("fork")) as pool:
        shares = [options.kills // options.jobs + (job < options.kills % options.jobs) for job in range(options.jobs)]
        at_random = [
            pool.submit(killed_at_random, share, options.seed + job, at_work(options.columns))
            for job, share in enumerate(shares)
            if share
        ]
        struck = {
            (fault, call): [
                pool.submit(
                    struck_at_every_call,
                    call,
                    name,
                    beginning,
                    fault,
                    every=options.every,
                    shape=short(options.columns),
                )
                for which, name in CALLS
                # An event loop that can't wake itself aborts: that is no disk's fault.
                if which == call and (fault not in ERRORS or (call, name) != ("write", None))
                for beginning in BEGINNINGS
            ]
            for fault in faults
            for call in dict(CALLS)
        }
        if at_random:
            results["SIGKILL at random"] = _sum(at_random)
        for (fault, call), each in struck.items():
            results[f"{fault.partition('=')[2]} at {call}"] = _sum(each)
    print(table(results))
    for name, found in results.items():
        for violation in found.violations:
            print(f"VIOLATION, {name}: {violation}")
    command = shlex.join(["python", "benchmarks/kills.py", *sys.argv[1:]])
    print(f"seed {options.seed}; took {time.monotonic() - started:.0f} s; reproduce: {command}")
    if options.json:
        figures: dict[str, Any] = {name: asdict(found) for name, found in results.items()}
        options.json.write_text(json.dumps({"command": command, "machine": measure.machine(), **figures}, indent=2))
    if any(found.violations for found in results.values()):
        raise SystemExit(1)


def _sum(futures: list[Any]) -> Found:
    total = Found()
    for future in futures:
        total.add(future.result())
    return total


if __name__ == "__main__":
    main()
