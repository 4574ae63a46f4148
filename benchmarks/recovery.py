"""What it takes to read a journal: `recover()` and `verify` beside its lines alone, and a huge run that is resumed.

    python benchmarks/recovery.py [--rows 1000000] [--tasks 10000000] [--rounds 3] [--dir DIR] [--json FILE]

A journal of `--rows` rows of 1 kB is written by the journal's own code, of a plan of `--tasks` tasks. Then, in turn and
in processes of their own: `for line in file` over its segments, and `recover()`, in seconds of processor time (the file
is in the page cache, where it was just written); `verify` on one core and on all of them, by the clock. At last the run
is resumed at a fast server: the seconds from the process's start to its first request, and what is left of them when
`recover()` is taken away. Aims: 3 times the lines and 200 MB; 3 s and 250 MB. At the default size: 1 GB of disk, some
four minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure

ROW_BYTES = 1000  # about


def child(step: str, run: Path, *more: str) -> tuple[dict[str, Any], float]:
    """One of `recovery_steps.py` in a process of its own: what it found, and its peak memory in MB."""
    command = [sys.executable, measure.HERE / "recovery_steps.py", step, run, *more]
    usage = measure.run_child(command, log=run.parent / "child")
    return usage.last_line, usage.peak_mb


def resumed(run: Path, rows: int, tasks: int) -> dict[str, float]:
    """Seconds from the start of `resume` to its first request, and the peak memory till then."""
    with measure.fast_server(5.0) as server:
        shutil.rmtree(run.parent / "described", ignore_errors=True)
        child("write", run.parent / "described", "--rows", "0", "--tasks", str(tasks), "--base-url", server.url)
        shutil.copy(run.parent / "described" / "manifest.json", run / "manifest.json")  # with this server's address
        with (run.parent / "resume.err").open("wb") as said:
            started_at = time.time()
            process = subprocess.Popen(
                [*measure.ours(), "resume", f"{run}/"], stdout=said, stderr=said, env=measure.child_env()
            )
            while not server.statistics()["requests"] and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, status, used = os.wait4(process.pid, 0)
        first_at = server.statistics()["first_at"]
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 130:
        raise SystemExit(f"resume ended with {process.returncode}: {(run.parent / 'resume.err').read_text()[-2000:]}")
    after = measure.our_rows(run)
    if not rows < after < rows + 100_000:
        raise SystemExit(f"{after} rows are there after the resume of {rows}")
    return {"first_request_s": first_at - started_at, "peak_mb": used.ru_maxrss * 1024 / 1e6}


def measured(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    run = work / "run"
    size = ("--rows", str(options.rows), "--tasks", str(options.tasks), "--base-url", "http://127.0.0.1:1/v1")
    print(f"writing {options.rows:,} rows", file=sys.stderr, flush=True)
    child("write", run, *size)
    figures: dict[str, Any] = {
        "rows": options.rows,
        "tasks": options.tasks,
        "mb": sum(path.stat().st_size for path in run.glob("rows-*.jsonl")) / 1e6,
        "rounds": [],
    }
    for number in range(options.rounds):
        plain, _ = child("lines", run)
        folded, peak_mb = child("recover", run)
        if {plain["rows"], folded["rows"]} != {options.rows}:
            raise SystemExit(f"{plain['rows']} lines, {folded['rows']} rows recovered, of {options.rows}")
        ratio = folded["seconds"] / plain["seconds"]
        verified = {
            f"verify_{name}_s": child("verify", run, "--cores", cores)[0]["seconds"]
            for name, cores in (("one_core", "1"), ("all_cores", "0"))
        }
        each = {
            "lines_s": plain["seconds"],
            "recover_s": folded["seconds"],
            "ratio": ratio,
            "peak_mb": peak_mb,
            **verified,
        }
        print(f"round {number + 1}: {each}", file=sys.stderr, flush=True)
        figures["rounds"].append(each)
    figures["resume"] = resumed(run, options.rows, options.tasks)
    return figures


def show(figures: dict[str, Any]) -> None:
    rounds = figures["rounds"]
    lines_s, recover_s, ratio = (
        statistics.median(each[name] for each in rounds) for name in ("lines_s", "recover_s", "ratio")
    )
    resume = figures["resume"]
    one_s, all_s = (
        statistics.median(each[f"verify_{name}_s"] for each in rounds) for name in ("one_core", "all_cores")
    )
    print("| | |", "|---|---|", sep="\n")
    for name, value in (
        ("journal", f"{figures['rows']:,} rows, {figures['mb']:,.0f} MB, of {figures['tasks']:,} tasks"),
        ("its lines alone", f"{lines_s:.2f} s"),
        ("`recover()`", f"{recover_s:.2f} s, {ratio:.2f} times the lines"),
        ("peak memory", f"{max(each['peak_mb'] for each in rounds):.0f} MB"),
        ("`verify` on one core, on all", f"{one_s:.2f} s, {all_s:.2f} s"),
        ("`resume`: first request", f"{resume['first_request_s']:.2f} s after the process began"),
        ("... less `recover()`", f"{resume['first_request_s'] - recover_s:.2f} s"),
        ("... peak memory", f"{resume['peak_mb']:.0f} MB"),
    ):
        print(f"| {name} | {value} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=10_000_000, help="a multiple of a million, or 2,000 to a million")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the journal is written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        needed, free = options.rows * ROW_BYTES * 3 // 2, shutil.disk_usage(folder).free
        if free < needed:
            raise SystemExit(f"{options.rows:,} rows need {needed / 1e9:.1f} GB in {folder!r}; fix: --dir, or --rows")
        figures = measured(Path(folder), options)
    show(figures)
    command = shlex.join(["python", "benchmarks/recovery.py", *sys.argv[1:]])
    print("machine:", ", ".join(f"{key} {value}" for key, value in measure.machine().items()))
    print("reproduce:", command)
    if options.json:
        figures |= {"command": command, "machine": measure.machine()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
