"""The working tree beside a revision of its own: `throughput.py --against REV`.

Each pair is one run of either, A B then B A, every run a whole process in a folder of its own, against a fresh server
of the same kind. Both sides run from copies in a temporary folder, with this Python's packages: neither an installed
package nor an edit while it measures changes what is compared.
"""

from __future__ import annotations

import argparse
import compileall
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
import paired
from systems import OUR_PACKAGES, Run, System, run_once, source_system

ROOT = measure.HERE.parent
ROWS = 50_000  # start-up is a fifth of what such a process costs; of 20,000 rows it is more than a third
SMALLEST_ROWS = 20_000
COSTS = (  # a run's figure, what it is called, its unit, how it is written
    ("cpu_ms_per_row", "CPU a row", "ms", ".3f"),
    ("wall_s", "wall", "s", ".2f"),
    ("peak_mb", "peak memory", "MB", ".1f"),
    ("first_request_s", "first request", "s", ".2f"),
)


class WrongRevisionError(Exception):
    """A revision that isn't there, or that doesn't run from its own folder."""


def copy_of_revision(revision: str, folder: Path) -> tuple[Path, str]:
    """(the package's parent folder, the commit) of `revision`, unpacked below `folder`. Leaves git as it was."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", folder], input=_git("archive", "--format=tar", commit, "src"), check=True)
    return _compiled(folder / "src"), commit


def copy_of_working_tree(folder: Path) -> Path:
    """The package's parent folder, as it is now, uncommitted edits too, copied below `folder`."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return _compiled(folder / "src")


def _compiled(source: Path) -> Path:
    """`source` with its bytecode, as an installed package has it: else every process would compile it anew."""
    compileall.compile_dir(source, quiet=1)
    return source


def _git(*words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False)
    if done.returncode:
        raise WrongRevisionError(f"git {shlex.join(words)}: {done.stderr.decode().strip() or 'unknown revision'}")
    return done.stdout


def check_origin(system: System, source: Path) -> None:
    """Raises WrongRevisionError where Python would import another copy of the package than the one to be measured."""
    code = "import herogen_async; print(herogen_async.__file__)"
    env = measure.child_env(**system.env)
    found = subprocess.run([system.python, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
    if not Path(found.strip()).resolve().is_relative_to(source.resolve()):
        raise WrongRevisionError(f"{system.name}: Python imports {found.strip()}, not {source}")


def same_source(one: Path, other: Path) -> bool:
    """Whether two folders hold the same Python files: then the ratio is the machine's noise."""
    return _contents(one) == _contents(other)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def two_sides(options: argparse.Namespace, work: Path) -> tuple[dict[str, System], dict[str, Any]]:
    """Both, from copies below `work`, and what is compared, as plain data. Raises WrongRevisionError."""
    before, commit = copy_of_revision(options.against, work / "before")
    after = copy_of_working_tree(work / "after")
    sides = {}
    for side, source in (("before", before), ("after", after)):
        sides[side] = source_system(side, source, options.work)
        check_origin(sides[side], source)
    return sides, {"revision": options.against, "commit": commit, "same_source": same_source(before, after)}


def measure_pairs(sides: dict[str, System], work: Path, options: argparse.Namespace) -> list[Run]:
    """A warm-up of either, which isn't counted (it compiles the modules), then all pairs."""
    for system in sides.values():
        run_once(system, max(options.rows // 10, 1), work, delay_ms=0, round_number=0)
    runs = []
    for pair in range(1, options.pairs + 1):
        both = {}
        for side in paired.order(pair):
            both[side] = run_once(sides[side], options.rows, work, delay_ms=options.delay_ms[0], round_number=pair)
            runs.append(both[side])
        quotient = both["before"].cpu_s / both["after"].cpu_s
        print(f"pair {pair} of {options.pairs}: CPU before / after {quotient:.3f}", file=sys.stderr, flush=True)
    return runs


def cost(run: Run, name: str) -> float:
    """One of COSTS of a run."""
    return 1000 * run.cpu_s / run.rows if name == "cpu_ms_per_row" else float(getattr(run, name))


def ratios(runs: Sequence[Run]) -> dict[str, paired.Ratio]:
    """The ratio of each of COSTS over the pairs."""
    pairs = sorted(runs, key=lambda run: run.round)
    sides = {side: [run for run in pairs if run.system == side] for side in ("before", "after")}
    return {
        name: paired.ratio([cost(run, name) for run in sides["before"]], [cost(run, name) for run in sides["after"]])
        for name, *_ in COSTS
    }


def compare(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Measure, and all that is known, as plain data. Raises WrongRevisionError, measure.ChildFailedError."""
    sides, compared = two_sides(options, work)
    runs = measure_pairs(sides, work, options)
    found = ratios(runs)
    return {
        "command": shlex.join(["python", "benchmarks/throughput.py", *sys.argv[1:]]),
        "against": compared,
        "machine": options.machine,
        "versions": measure.versions(sys.executable, OUR_PACKAGES[1:]),
        "rows": options.rows,
        "pairs": options.pairs,
        "delay_ms": options.delay_ms[0],
        "work": options.work.name,
        "concurrency": options.work.concurrency,
        "interval": {"level": paired.LEVEL, "resamples": paired.RESAMPLES, "seed": paired.SEED},
        "least": options.least,
        "reach": options.reach,
        "ratios": {name: asdict(one) for name, one in found.items()},
        "shortfalls": paired.shortfalls(found["cpu_ms_per_row"], least=options.least, reach=options.reach),
        "problems": [problem for run in runs for problem in run.problems()],
        "runs": [asdict(run) for run in runs],
    }


def table(found: dict[str, dict[str, float]]) -> str:
    """A Markdown table, a line a cost."""
    lines = ["| cost | before / after | 90 % interval | before | after |", "|---" * 5 + "|"]
    for name, title, unit, spec in COSTS:
        one = found[name]
        sides = " | ".join(f"{format(one[side], spec)} {unit}" for side in ("before", "after"))
        lines.append(f"| {title} | {one['median']:.3f} | {one['low']:.3f} to {one['high']:.3f} | {sides} |")
    return "\n".join(lines)


def show(result: dict[str, Any]) -> None:
    against = result["against"]
    print(f"\n## The working tree against {against['revision']} ({against['commit'][:9]})\n")
    print(
        f"Pairs: {result['pairs']}, of {result['rows']:,} rows each, at {result['delay_ms']:g} ms; medians; above 1,"
        " the working tree is cheaper.\n"
    )
    print(table(result["ratios"]))
    print("\nmachine:", ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    print("versions:", ", ".join(f"{package} {version}" for package, version in result["versions"].items()))
    if against["same_source"]:
        print("caveat: both sides are the same source, so the ratio is this machine's noise")
    if result["rows"] < SMALLEST_ROWS:
        print(f"caveat: below {SMALLEST_ROWS:,} rows a process' start-up hides what a row costs")
    for problem in result["problems"]:
        print(f"PROBLEM: {problem}")
    for shortfall in result["shortfalls"]:
        print(f"SLOWER: {shortfall}")
    print("reproduce:", result["command"])
