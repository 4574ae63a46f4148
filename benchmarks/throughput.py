"""Rows persisted a second, CPU and memory a row: herogen-async beside a peer, whole processes, interleaved.

    python benchmarks/throughput.py [--rows 20000] [--peer flexllm] [--rounds 3] [--json FILE]
    python benchmarks/throughput.py --against REV [--rows 50000] [--pairs 15] [--least 0.97] [--json FILE]
    python benchmarks/throughput.py --against REV --marginal [--peer floor] [--pairs 15] [--most 1.03] [--json FILE]
    python benchmarks/throughput.py --cost-of columns form limits in-flight [--pairs 5] [--json FILE]

A fresh fast server for each run has one core, the client the other; 64 requests in flight; results on disk. Each round
is a short and a long run of every system: their difference is the cost of a row with start-up taken out.

With `--against` the working tree is compared with a git revision, in pairs; exit code 1 when it is slower. `--marginal`
takes start-up out there, too. `--cost-of` says what a kind of work costs a call beside the same work without it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import against
import marginal
import measure
import paired
from systems import FLOOR, OURS, OUT, Run, System, floor_system, ours_system, out_lines, run_once
from works import COSTLY, WORKS, Work

sys.path.append(str(measure.HERE / "peers"))

import roster

CAVEATS = (
    "Loopback, plain HTTP (`--work tls`: TLS), a server that costs nothing: real endpoints are slower, and then the"
    " endpoint binds.",
    "The shape of work is one prompt of ~215 characters and one answer of ~600; larger answers cost more.",
    "flexllm has no completions route: it is asked for chat answers of the same text. Its limiter of 1,000 requests a"
    " second is off (flexllm-defaults leaves it on), and so is its progress bar.",
    "herogen-async syncs its journal in groups (durability: periodic) and seals each row with a checksum; the peers"
    " never sync.",
    "openai-sdk is the naive script (semaphore, gather, append), not a product; it gets a tenth of the rows.",
    "floor is no client: it does the bare exchange on the completions route, and keeps no promise.",
    "Peers know no columns and no forms: there they are asked for as many calls with as long prompts, unchecked.",
    "Whole-process figures hold start-up, so they depend on the number of rows; steady and marginal ones do not.",
)


def peer_system(name: str, peer_python: str | None, work: Work) -> System:
    """A peer by its name; creates flexllm's environment on first use."""
    if name == FLOOR:
        return floor_system(work)
    sdk = name == "openai-sdk"
    python = sys.executable if sdk else peer_python or str(flexllm_python())
    script = measure.HERE / ("peer_openai_sdk.py" if sdk else "peer_flexllm.py")
    flags = ["--defaults"] if name == "flexllm-defaults" else []

    def command(rows: int, folder: Path, server: measure.FastServer) -> list[str]:
        files = [str(work.prompts_file(rows, folder)), str(folder / OUT)]
        return [python, str(script), *files, server.url, str(work.concurrency), *flags]

    packages = ("openai", "httpx2") if sdk else ("flexllm", "aiohttp")
    share = 0.1 if sdk else 1.0
    return System(name, command, out_lines, python, packages, share=share, served=work.served, tls=work.tls)


def flexllm_python() -> Path:
    """The Python of the peer's own environment, the one of `peers.py`, made when it isn't there yet."""
    try:
        return roster.environment(roster.PEERS["flexllm"])
    except roster.NotInstallableError as error:
        raise SystemExit(f"flexllm can't be installed: {error}; fix: --peer-python PATH, or --peer none") from error


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure_all(systems: Sequence[System], work: Path, options: argparse.Namespace) -> list[Run]:
    """All rounds, systems interleaved, short runs before long ones; one warm-up run each that isn't counted."""
    for system in systems:
        note(f"warm-up {system.name}")
        run_once(system, int(options.rows * system.share) // 10, work, delay_ms=0, round_number=0)
    runs = []
    for delay_ms in options.delay_ms:
        for number in range(1, options.rounds + 1):
            for divisor in (10, 1):
                for system in systems if number % 2 else reversed(systems):
                    rows = int(options.rows * system.share) // divisor
                    run = run_once(system, rows, work, delay_ms=delay_ms, round_number=number)
                    note(f"{delay_ms:g} ms round {number} {run.system}: {rows} rows, {run.steady_rows_per_s:,.0f}/s")
                    runs.append(run)
    return runs


def figures(short: Run, long: Run) -> dict[str, float]:
    """The figures of one system in one round."""
    more_rows = long.rows - short.rows
    return {
        "rows": long.rows,
        "steady_rows_per_s": long.steady_rows_per_s,
        "client_rows_per_s": long.client_rows_per_s,
        "marginal_rows_per_s": more_rows / max(long.wall_s - short.wall_s, 1e-9),
        "process_rows_per_s": long.rows / long.wall_s,
        "cpu_ms_per_row": 1000 * long.cpu_s / long.rows,
        "marginal_cpu_ms_per_row": 1000 * (long.cpu_s - short.cpu_s) / more_rows,
        "peak_mb": long.peak_mb,
        "first_request_s": long.first_request_s,
        "server_busy_pct": long.server_busy_pct,
        "connections": long.connections,
        "requests": long.requests,
        "doubled": long.doubled,
    }


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """Medians over the rounds of one system at one delay."""
    rounds: dict[int, list[Run]] = {}
    for run in runs:
        rounds.setdefault(run.round, []).append(run)
    each = [figures(*sorted(pair, key=lambda run: run.rows)) for pair in rounds.values()]
    return {name: statistics.median(one[name] for one in each) for name in each[0]}


COLUMNS = (
    ("rows", "rows", ",.0f"),
    ("steady_rows_per_s", "rows/s steady", ",.0f"),
    ("client_rows_per_s", "rows/s its own clock", ",.0f"),
    ("marginal_rows_per_s", "rows/s marginal", ",.0f"),
    ("process_rows_per_s", "rows/s whole process", ",.0f"),
    ("marginal_cpu_ms_per_row", "CPU ms/row marginal", ".3f"),
    ("cpu_ms_per_row", "CPU ms/row whole", ".3f"),
    ("peak_mb", "peak MB", ".0f"),
    ("first_request_s", "first request s", ".2f"),
    ("server_busy_pct", "server busy %", ".0f"),
    ("requests", "requests", ",.0f"),
    ("doubled", "doubled", ",.0f"),
)


def table(by_system: dict[str, dict[str, float]]) -> str:
    """A Markdown table of medians, then the ratios of ours to each peer."""
    lines = ["| system | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, values in by_system.items():
        cells = (format(values[column], spec) for column, _, spec in COLUMNS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *ratio_lines(by_system)])


def ratio_lines(by_system: dict[str, dict[str, float]]) -> list[str]:
    """What a reader wants to know first, for each peer."""
    own = by_system.get(OURS)
    if own is None:
        return []
    lines = []
    for name, peer in by_system.items():
        if name != OURS:
            rate = own["steady_rows_per_s"] / peer["steady_rows_per_s"]
            cpu = peer["marginal_cpu_ms_per_row"] / max(own["marginal_cpu_ms_per_row"], 1e-9)
            dearer = own["marginal_cpu_ms_per_row"] / max(peer["marginal_cpu_ms_per_row"], 1e-9)
            share = f"1/{cpu:.1f} of" if cpu >= 1 else f"{dearer:.2f} x"
            memory = own["peak_mb"] / peer["peak_mb"]
            lines.append(f"{OURS} / {name}: {rate:.1f} x the rows/s, {share} the CPU a row, {memory:.2f} x the memory")
    return lines


def report(runs: Sequence[Run], systems: Sequence[System], options: argparse.Namespace) -> dict[str, Any]:
    """All that is known, as plain data."""
    by_delay: dict[str, dict[str, dict[str, float]]] = {}
    for delay_ms in options.delay_ms:
        chosen = {s.name: [r for r in runs if r.system == s.name and r.delay_ms == delay_ms] for s in systems}
        by_delay[f"{delay_ms:g}"] = {name: medians(found) for name, found in chosen.items()}
    return {
        "command": shlex.join(["python", "benchmarks/throughput.py", *sys.argv[1:]]),
        "machine": options.machine,
        "versions": {system.name: measure.versions(system.python, system.packages) for system in systems},
        "work": options.work.name,
        "concurrency": options.work.concurrency,
        "rounds": options.rounds,
        "rss_floor_mb": measure.rss_floor_mb(),
        "caveats": list(CAVEATS),
        "problems": [problem for run in runs for problem in run.problems()],
        "medians_by_delay_ms": by_delay,
        "runs": [asdict(run) for run in runs],
    }


def show(result: dict[str, Any]) -> None:
    for delay, by_system in result["medians_by_delay_ms"].items():
        ceiling = f", ceiling {result['concurrency'] / float(delay) * 1000:,.0f} rows/s" if float(delay) else ""
        print(f"\n## {result['work']}, server delay {delay} ms{ceiling}: medians of {result['rounds']} rounds\n")
        print(table(by_system))
    print("\nmachine:", ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    for name, found in result["versions"].items():
        print(f"{name}:", ", ".join(f"{package} {version}" for package, version in found.items()))
    print(f"peak MB can't read below {result['rss_floor_mb']:.0f} MB, the peak of this script")
    print("\n".join(f"caveat: {caveat}" for caveat in result["caveats"]))
    for problem in result["problems"]:
        print(f"PROBLEM: {problem}")
    print("reproduce:", result["command"])


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=int, help="rows of the long run (default 20,000; --against: 50,000; --marginal: 24,000)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--delay-ms", type=float, nargs="+", help="server delays (default 0 20; --against and --cost-of: 0)"
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=["flexllm", "flexllm-defaults", "openai-sdk", FLOOR, "none"],
        help="repeatable; default: flexllm and openai-sdk; `floor` is the bare sketch of floor.py",
    )
    parser.add_argument("--peer-python", help="a Python that has flexllm, instead of the environment made on first use")
    parser.add_argument("--work", choices=WORKS, default="text", help="the kind of work (default text; see works.py)")
    parser.add_argument("--concurrency", type=int, metavar="N", help="requests in flight (default 64)")
    parser.add_argument("--against", metavar="REV", help="compare the working tree with this git revision")
    parser.add_argument("--marginal", action="store_true", help="--against: a row's own cost, by runs of two lengths")
    parser.add_argument(
        "--cost-of", nargs="+", choices=COSTLY, metavar="WORK", help=f"what one of {', '.join(COSTLY)} costs a call"
    )
    parser.add_argument(
        "--pairs", type=int, help="--against, --cost-of: runs of either side (default 15, --cost-of: 5)"
    )
    parser.add_argument(
        "--least", type=float, default=paired.LEAST, help="--against: the least median ratio of CPU (default 0.97)"
    )
    parser.add_argument(
        "--reach", type=float, default=paired.REACH, help="--against: where its interval has to reach (default 1)"
    )
    parser.add_argument(
        "--most", type=float, default=1.03, help="--marginal: the largest median ratio of CPU, after / before"
    )
    parser.add_argument(
        "--seconds", type=float, help="--marginal, --cost-of: start no pair but the first after so many"
    )
    parser.add_argument("--warn", action="store_true", help="exit with 0 whatever is found, and say so in a warning")
    parser.add_argument("--skip-ours", action="store_true", help="measure the peers alone")
    parser.add_argument(
        "--dir", type=Path, help="where results are written while measuring (default: a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(words)
    for complaint in complaints(options):
        parser.error(complaint)
    return with_defaults(options, parser)


def complaints(options: argparse.Namespace) -> Iterator[str]:
    """What is asked for together and can't be."""
    if options.cost_of and (options.against or options.work != "text"):
        yield "--cost-of chooses the work of both sides; fix: leave --against and --work out"
    if options.marginal and not options.against:
        yield "--marginal belongs to --against; fix: --against REV"
    if options.seconds is not None and not (options.marginal or options.cost_of):
        yield "--seconds belongs to --marginal and --cost-of"
    permitted = {FLOOR, "none"} if options.marginal else set()
    if (options.against or options.cost_of) and (options.skip_ours or set(options.peer or []) - permitted):
        yield "--against and --cost-of compare herogen-async with itself; fix: leave --peer and --skip-ours out"
    if options.against and not options.marginal and len(options.delay_ms or []) > 1:
        yield "--against measures at one delay; fix: --marginal"
    for name in ("pairs", "concurrency", "rounds"):
        value = getattr(options, name)
        if value is not None and value < 1:
            yield f"--{name} {value}: at least 1"


def with_defaults(options: argparse.Namespace, parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What depends on the question that is asked; rows that no grid has are an error."""
    has_pairs = bool(options.against or options.cost_of)
    options.work = WORKS[options.work]
    if options.concurrency:
        options.work = replace(options.work, concurrency=options.concurrency)
    options.delay_ms = options.delay_ms or ([0.0] if has_pairs else [0.0, 20.0])
    options.pairs = options.pairs or (marginal.PAIRS if options.cost_of else 15)
    rows: int
    lengths: tuple[int, ...]
    if options.cost_of or options.marginal:
        rows, lengths = marginal.COST_ROWS if options.cost_of else marginal.ROWS, (1, marginal.SHORT)
    else:
        rows, lengths = (against.ROWS, (1, 10)) if options.against else (20_000, (1, 10, 100))
    options.rows = options.rows or rows
    try:
        for work in [WORKS[name] for name in options.cost_of or []] or [options.work]:
            for length in lengths:
                work.spec(options.rows * work.times // length)
    except ValueError as error:
        parser.error(f"--rows {options.rows}: {error}")
    return options


def compare_with_peers(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The report of all systems."""
    peers = [name for name in options.peer or ["flexllm", "openai-sdk"] if name != "none"]
    systems = [] if options.skip_ours else [ours_system(options.work)]
    systems += [peer_system(name, options.peer_python, options.work) for name in peers]
    return report(measure_all(systems, work, options), systems, options)


def chosen(options: argparse.Namespace) -> tuple[Callable[..., dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """What measures, and what prints that."""
    if options.cost_of:
        return marginal.compare_works, marginal.show
    if options.marginal:
        return marginal.compare_revision, marginal.show
    return (against.compare, against.show) if options.against else (compare_with_peers, show)


def main() -> None:
    options = parse()
    options.machine = measure.machine()
    measure.allow_connections()
    compare, present = chosen(options)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        try:
            result = compare(options, Path(folder))
        except (measure.ChildFailedError, against.WrongRevisionError) as failure:
            if options.warn:
                print(f"WARNING: the speed was not measured: {failure}")
                return
            raise SystemExit(str(failure)) from failure
    present(result)
    note(f"took {time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    found = [*result["problems"], *result.get("shortfalls", [])]
    if options.warn:
        print("\n".join(f"WARNING: {one}" for one in found) or "no warning: as fast as it has to be")
    elif found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
