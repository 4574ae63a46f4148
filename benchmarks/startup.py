"""How long a user waits: `--help`, and the time until the first request arrives at the server. What costs it: imports.

    python benchmarks/startup.py [--json FILE]

The first request is timed by the server's clock, against the moment just before our process was started.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import grids
import measure

ROWS = 100
PACKAGES = (
    "openai",
    "httpx2",
    "pyreqwest",
    "pydantic",
    "typer",
    "rich",
    "ruamel.yaml",
    "orjson",
    "uvloop",
    "aiofiles",
    "tenacity",
    "asyncio_throttle",
    "herogen_async",
)
_OURS = ["-m", "herogen_async"]


def wall_ms(command: list[str], log: Path, runs: int) -> dict[str, float]:
    """Median, least and most wall milliseconds of a whole process, after one that isn't counted."""
    times = [measure.run_child(command, log=log).wall_s * 1000 for _ in range(runs + 1)][1:]
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


def first_request_ms(work: Path, runs: int) -> dict[str, float]:
    """From just before our process starts to its first request at the server; a new run folder each time."""
    spec = work / "spec.json"
    grids.write_spec(ROWS, spec)
    times = []
    for number in range(runs + 1):
        with measure.fast_server() as server:
            usage = measure.run_child(measure.our_run(spec, work / f"run-{number}", server), log=work / "child")
            times.append(1000 * (server.statistics()["first_at"] - usage.started_at))
    return {"median": statistics.median(times[1:]), "min": min(times[1:]), "max": max(times[1:])}


def import_times(log: str) -> list[tuple[str, float, float]]:
    """(module, self ms, cumulative ms) of each `-X importtime` line; other lines are skipped."""
    found = []
    for line in log.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(fields) == 3 and fields[0].strip().isdigit():
            found.append((fields[2].strip(), int(fields[0]) / 1000, int(fields[1]) / 1000))
    return found


def traced(arguments: list[str], work: Path) -> list[tuple[str, float, float]]:
    """The imports of one process of this Python."""
    log = work / "imports"
    measure.run_child([sys.executable, "-X", "importtime", *arguments], log=log)
    return import_times(log.with_suffix(".err").read_text())


def by_package(imports: list[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """Self time summed by top-level package, dearest first."""
    own: dict[str, list[float]] = {}
    for module, self_ms, _ in imports:
        own.setdefault(module.partition(".")[0], []).append(self_ms)
    packages = [{"package": name, "self_ms": sum(times), "modules": len(times)} for name, times in own.items()]
    return sorted(packages, key=lambda package: -package["self_ms"])


def import_alone_ms(package: str, work: Path, runs: int = 3) -> float | None:
    """Median cumulative milliseconds of importing `package` into a fresh interpreter; None when it isn't installed."""
    times = []
    for _ in range(runs):
        try:
            imports = traced(["-c", f"import {package}"], work)
        except measure.ChildFailedError:
            return None
        parts = {package, package.partition(".")[0]}
        times.append(max(cumulative for module, _, cumulative in imports if module in parts))
    return statistics.median(times)


def our_imports(work: Path) -> dict[str, list[dict[str, Any]]]:
    """What `--help` and a whole small run import."""
    spec = work / "spec.json"
    grids.write_spec(ROWS, spec)
    with measure.fast_server() as server:
        arguments = measure.our_run(spec, work / "run-traced", server)[len(measure.ours()) :]
        whole = traced([*_OURS, *arguments], work)
    return {"--help": by_package(traced([*_OURS, "--help"], work)), "run": by_package(whole)}


def show(result: dict[str, Any], top: int = 12) -> None:
    print("| what | median ms | min | max |\n|---|---|---|---|")
    for name in ("bare_interpreter_ms", "help_ms", "first_request_ms"):
        value = result[name]
        print(f"| {name.removesuffix('_ms')} | {value['median']:.0f} | {value['min']:.0f} | {value['max']:.0f} |")
    for command, packages in result["our_imports"].items():
        total_ms = sum(package["self_ms"] for package in packages)
        count = sum(package["modules"] for package in packages)
        print(
            f"\n`{command}` imports {count} modules in {total_ms:.0f} ms (traced: imports look slower than they are)\n"
        )
        print("| package | self ms | modules |\n|---|---|---|")
        for package in packages[:top]:
            print(f"| {package['package']} | {package['self_ms']:.1f} | {package['modules']} |")
    print("\n| imported alone | ms |\n|---|---|")
    for package, cost_ms in result["import_alone_ms"].items():
        print(f"| {package} | {'absent' if cost_ms is None else format(cost_ms, '.1f')} |")
    print("\nmachine:", ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    print("versions:", ", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    print("reproduce:", result["command"])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--help-runs", type=int, default=20)
    parser.add_argument("--first-runs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def main() -> None:
    options = parse()
    work = Path(tempfile.mkdtemp(prefix="herogen-bench-"))
    try:
        result = {
            "command": shlex.join(["python", "benchmarks/startup.py", *sys.argv[1:]]),
            "machine": measure.machine(),
            "versions": measure.versions(sys.executable, ("herogen-async", "openai", "typer", "pydantic")),
            "bare_interpreter_ms": wall_ms([sys.executable, "-c", "pass"], work / "child", options.help_runs),
            "help_ms": wall_ms([*measure.ours(), "--help"], work / "child", options.help_runs),
            "first_request_ms": first_request_ms(work, options.first_runs),
            "our_imports": our_imports(work),
            "import_alone_ms": {package: import_alone_ms(package, work) for package in PACKAGES},
        }
    finally:
        shutil.rmtree(work)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
