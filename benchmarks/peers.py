"""herogen-async beside its peers: rows a second, a rate limit, faults. Each peer in an environment of its own.

    python benchmarks/peers.py [--peer NAME ...] [--part throughput|limit|faults ...] [--rows 2000] [--json FILE]
    python benchmarks/peers.py --part throughput --work text form columns --rows 3000

Environments are made on first use under ~/.cache/herogen-async/bench (a minute and up to 1 GB a peer). A peer that
can't be installed, fails, or doesn't end becomes a row that says so.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import measure
from works import WORKS, Work

sys.path.append(str(measure.HERE / "peers"))

import roster
import tables
import trials

PARTS = ("throughput", "limit", "faults")
LIMIT_RPM = 1_200
FAULT_ROWS = 1_000
FAULTS = {"500": 0.05, "reset": 0.01, "hang": 0.005}
LIMIT_SERVER = f"--rpm {LIMIT_RPM} --enforce bucket-second --headers openai --latency-ms 100"
FAULTS_SERVER = "--latency-ms 50 --seed 1 " + " ".join(f"--fault {name}={share:g}" for name, share in FAULTS.items())

CAVEATS = (
    "Loopback, plain HTTP (`--work tls`: TLS): real endpoints are slower, and then the endpoint binds.",
    "Everyone is asked for 64 in flight, with its own rate limit and retries where it has them, and results on disk.",
    "Rows a second are requests at the server, by a regression over the middle 80 % of the run; first request s counts"
    " any request, also a probe.",
    "CPU is of the process and of the children that it waited for; peak MB is of the largest process.",
    "Peers know no columns and no forms here: they are asked for as many calls with as long prompts, unchecked.",
    "Libraries that do more than this (evaluation, pipelines, curation) pay for it here.",
)


@dataclass(frozen=True, slots=True)
class Absent:
    """A peer that can't be run here, and why."""

    name: str
    why: str


def prepare(names: Sequence[str], *, skip_ours: bool) -> tuple[list[roster.System], list[Absent]]:
    """Environments and versions first, so that nothing is installed while something is measured."""
    systems = [] if skip_ours else [roster.ours()]
    absent = []
    for name in names:
        try:
            systems.append(roster.peer_system(roster.PEERS[name]))
        except (roster.NotInstallableError, subprocess.SubprocessError, OSError) as error:
            absent.append(Absent(name, str(error)))
    return systems, absent


def attempt(part: str, system: roster.System, run: Callable[[Path], trials.Trial], work: Path) -> trials.Trial:
    """One trial in a fresh folder. Whatever goes wrong with a system is its row."""
    folder = Path(tempfile.mkdtemp(prefix=f"{part}-{system.name}-", dir=work))
    try:
        trial = run(folder)
    except (measure.ChildFailedError, subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
        trial = trials.Trial(
            part, system.name, "failed", f"{type(error).__name__}: {roster.last_line(str(error).encode())}"
        )
    shutil.rmtree(folder, ignore_errors=True)
    note(f"{part} {system.name}: {trial.status} {trial.note} { ({k: round(v, 2) for k, v in trial.figures.items()}) }")
    return trial


def throughput(
    asked: Work, systems: Sequence[roster.System], work: Path, options: argparse.Namespace
) -> list[trials.Trial]:
    """One after the other, alone on the machine. Each has a short run, which also warms, and the long ones."""
    found = []
    for system in systems:
        long = options.rows * system.row_factor
        plan = [(long // 10, 0.0), *((long, delay_ms) for _ in range(options.rounds) for delay_ms in options.delay_ms)]
        for rows, delay_ms in plan:

            def run(folder: Path, rows: int = rows, delay_ms: float = delay_ms, system: Any = system) -> trials.Trial:
                return trials.whole_run(system, rows, folder, work=asked, delay_ms=delay_ms, limit_s=options.limit_s)

            trial = attempt(trials.part_of(asked), system, run, work)
            is_asked = trial.figures and trial.figures["rows"] == options.rows and trial.figures["delay_ms"] == 0
            found.append(replace(trial, figures={**trial.figures, "asked": 1.0}) if is_asked else trial)
            if trial.status != "ok":
                break
    return found


def at_once(
    part: str,
    systems: Sequence[roster.System],
    run: Callable[[roster.System, Path], trials.Trial],
    work: Path,
    jobs: int,
) -> list[trials.Trial]:
    """Several systems side by side, each with a server of its own; in the order of `systems`."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            return list(pool.map(lambda one: attempt(part, one, lambda folder: run(one, folder), work), systems))
        except KeyboardInterrupt:
            trials.STOP.set()
            pool.shutdown(cancel_futures=True)
            raise


def measure_all(systems: Sequence[roster.System], work: Path, options: argparse.Namespace) -> list[trials.Trial]:
    found = []
    if "throughput" in options.part:
        for name in options.work:
            found += throughput(WORKS[name], systems, work, options)
    if "limit" in options.part:

        def limited(system: roster.System, folder: Path) -> trials.Trial:
            simulate = LIMIT_SERVER.split()
            return trials.limited_run(system, folder, rpm=LIMIT_RPM, window_s=options.window_s, simulate=simulate)

        found += at_once("limit", systems, limited, work, options.jobs)
    if "faults" in options.part:
        timeout_s = options.timeout_s or None

        def faulty(system: roster.System, folder: Path) -> trials.Trial:
            return trials.faulty_run(
                system,
                folder,
                rows=FAULT_ROWS,
                timeout_s=timeout_s,
                limit_s=options.fault_limit_s,
                simulate=FAULTS_SERVER.split(),
            )

        found += at_once("faults", systems, faulty, work, options.jobs)
    return found


def settings(options: argparse.Namespace) -> dict[str, str]:
    """One line a part: what was asked of everyone."""
    shares = ", ".join(f"{100 * share:g} % {name}" for name, share in FAULTS.items())
    timeout = f"requests time out after {options.timeout_s:g} s" if options.timeout_s else "everyone's own timeouts"
    return {
        **{part: WORKS[name].what + "." for part, name in _parts_of(options).items()},
        "throughput": f"{options.rows:,} rows ({roster.OURS}: ten times as many), 64 in flight, results on disk; the"
        " client has a core of its own, and so has the server.",
        "limit": f"{LIMIT_RPM:,} requests a minute, enforced by the second, 100 ms, 64 in flight; the best"
        f" {options.window_s} s of {options.window_s + trials.GRACE_S}.",
        "faults": f"{FAULT_ROWS:,} rows, 50 ms, {shares}; {timeout} where that can be set; cut off at"
        f" {options.fault_limit_s:g} s.",
    }


def _parts_of(options: argparse.Namespace) -> dict[str, str]:
    """The tables of throughput, and the kind of work of each."""
    return {trials.part_of(WORKS[name]): name for name in options.work}


def report(
    found: Sequence[trials.Trial],
    systems: Sequence[roster.System],
    absent: Sequence[Absent],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """All that is known, as plain data."""
    parts = [one for part in options.part for one in (_parts_of(options) if part == "throughput" else [part])]
    missing = [trials.Trial(part, peer.name, "absent", peer.why) for part in parts for peer in absent]
    return {
        "command": shlex.join(["python", "benchmarks/peers.py", *sys.argv[1:]]),
        "machine": options.machine,
        "settings": settings(options),
        "versions": {system.name: system.versions for system in systems},
        "caveats": {"": list(CAVEATS), **{system.name: system.caveat for system in systems}},
        "trials": [asdict(trial) for trial in [*found, *missing]],
    }


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", choices=[*roster.PEERS, "none"], help="repeatable; default: all")
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all three")
    parser.add_argument(
        "--work", nargs="+", choices=WORKS, default=["text"], help="kinds of work of the throughput part (default text)"
    )
    parser.add_argument("--rows", type=int, default=2_000, help="rows of a throughput run (default 2000)")
    parser.add_argument("--rounds", type=int, default=1, help="throughput runs of each kind; medians are shown")
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[0.0, 20.0], help="server delays (default 0 20)")
    parser.add_argument("--limit-s", type=float, default=300, help="seconds that a throughput run may take")
    parser.add_argument("--window-s", type=int, default=60, help="seconds over which the rate limit is judged")
    parser.add_argument("--fault-limit-s", type=float, default=150, help="seconds after which a faults run is cut off")
    parser.add_argument(
        "--timeout-s", type=float, default=30, help="request timeout in the faults part; 0: everyone's own default"
    )
    parser.add_argument("--jobs", type=int, default=2, help="systems side by side in the limit and faults parts")
    parser.add_argument("--skip-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--install-only", action="store_true", help="make the environments and stop")
    parser.add_argument("--dir", type=Path, help="where results are written while measuring (default: temporary)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.part = [part for part in PARTS if part in (options.part or PARTS)]
    try:
        for name in options.work:
            for rows in (options.rows // 10, options.rows, options.rows * 10):
                WORKS[name].spec(rows)
    except ValueError as error:
        parser.error(f"--rows {options.rows}: {error}")
    return options


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    options.machine = measure.machine()
    names = [name for name in dict.fromkeys(options.peer or roster.PEERS) if name != "none"]
    started = time.monotonic()
    systems, absent = prepare(names, skip_ours=options.skip_ours)
    for peer in absent:
        note(f"{peer.name} is left out: {peer.why}")
    if options.install_only:
        return
    with tempfile.TemporaryDirectory(prefix="herogen-peers-", dir=options.dir) as work:
        found = measure_all(systems, Path(work), options)
    result = report(found, systems, absent, options)
    print(tables.render(result))
    note(f"took {time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
