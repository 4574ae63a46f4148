"""What columns cost a huge run: a column is added to a finished one, and a run of three columns is resumed.

    python benchmarks/column_recovery.py [--rows 1000000] [--dir DIR] [--json FILE]

Two journals of `--rows` rows are written by the journal's own code: one of a single prompt, finished, and one of
question, solution and verdict, of which the last hundredth has no verdict. To the first a column is added (`run
--extend`), the second is resumed, both at a fast server. Measured are the seconds from the process's start to its first
request, and its peak memory till then. Aims: 15 s and 150 MB. At the default size: 3 GB of disk, some five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measure
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import row_line, seal_of
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder import Manifest, RunFolder, RunLock, write_manifest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec

ROW_BYTES = 3000  # of both journals, about
MODEL = "m"
ANSWER = "An answer of a usual length, as a model gives it to a question. " * 4
TITLE = {"title": {"prompt": "A title of [{response_txt}]"}}
COLUMNS = {
    "question": {"prompt": "Ask about {topic} in the manner of {level}"},
    "solution": {"prompt": "Solve [{question}]"},
    "verdict": {"prompt": "Grade [{question}] [{solution}]"},
}


def spec_of(rows: int, kind: str) -> Spec:
    """`prompt`, `title` (the same with a column beside it) or `three`."""
    side = max(round(rows**0.5), 1)
    attributes = {"topic": [f"topic {n}" for n in range(side)], "level": [f"level {n}" for n in range(rows // side)]}
    if kind == "three":
        return Spec(name="b", attributes=attributes, columns=COLUMNS)
    more: dict[str, Any] = {"columns": TITLE} if kind == "title" else {}
    return Spec(name="b", attributes=attributes, prompt="Ask about {topic} in the manner of {level}", **more)


def write(run: Path, rows: int, kind: str, base_url: str) -> None:
    """A run folder with `rows` rows in its journal."""
    plan = Plan(spec_of(rows, kind), endpoint="completions", model=MODEL)
    folder = RunFolder(run)
    folder.create()
    now = datetime.now(UTC)
    store = Store(folder, keeps=False)
    store.open()
    batch = Batch()
    usage = {"prompt_tokens": 50, "completion_tokens": 60, "total_tokens": 110}
    for row in range(plan.rows):
        seals: list[str] = []
        for place in range(plan.calls_a_row):
            if place == 2 and row >= plan.rows - plan.rows // 100:
                break
            call = plan.call(row * plan.calls_a_row + place)
            answer = Completion(ANSWER, "stop", MODEL, usage, f"req_{row}")
            line = row_line(replace(call, built_on=tuple(seals)), answer, attempts=1, latency_ms=500.0, at=now)
            seals.append(seal_of(line))
            batch.rows.append(line)
        if len(batch.rows) > 2000:
            store.write(batch)
    store.write(batch)
    store.sync()
    lock = RunLock.acquire(folder, now.isoformat())
    lock.vouch(store.mark)
    lock.sent(plan.size - 1)
    lock.release()
    store.close()
    prints = {"grid_fingerprint": plan.grid_fingerprint, "generation_fingerprint": plan.generation_fingerprint}
    write_manifest(
        folder,
        Manifest(plan.spec.as_dict(), **prints, endpoint="completions", model=MODEL, base_url=base_url, created_at=""),
    )


def first_request(run: Path, words: list[str], server: measure.FastServer) -> dict[str, float]:
    """Seconds from the start of a session to its first request, and its peak memory till then."""
    with (run.parent / "said").open("wb") as said:
        started_at = time.time()
        process = subprocess.Popen([*measure.ours(), *words], stdout=said, stderr=said, env=measure.child_env())
        while not server.statistics()["requests"] and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 130:
        raise SystemExit(f"{words} ended with {process.returncode}: {(run.parent / 'said').read_text()[-2000:]}")
    first_at = server.statistics()["first_at"]
    return {
        "first_request_s": first_at - started_at,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
    }


def measured(work: Path, rows: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"rows": rows}
    spec = work / "title.json"
    spec.write_text(json.dumps(spec_of(rows, "title").as_dict()))
    for what, kind in (("add a column", "prompt"), ("resume three columns", "three")):
        run = work / kind
        with measure.fast_server(5.0) as server:
            print(f"{what}: writing {rows:,} rows", file=sys.stderr, flush=True)
            # In a process of its own: what a child is said to take is never less than its parent did.
            command = [sys.executable, __file__, "--rows", str(rows), "--write", kind, server.url, str(run)]
            subprocess.run(command, check=True)
            words = ["resume", f"{run}/"]
            if kind == "prompt":
                words = ["run", str(spec), "--run", f"{run}/", "--base-url", server.url, "--model", MODEL, "--extend"]
            figures[what] = first_request(run, words, server)
            figures[what]["mb"] = sum(path.stat().st_size for path in run.glob("rows-*.jsonl")) / 1e6
        print(f"{what}: {figures[what]}", file=sys.stderr, flush=True)
        shutil.rmtree(run)
    return figures


def show(figures: dict[str, Any]) -> None:
    print(
        f"| {figures['rows']:,} rows | journal | first request | CPU | peak memory |", "|---|---|---|---|---|", sep="\n"
    )
    for name, each in figures.items():
        if isinstance(each, dict):
            print(
                f"| {name} | {each['mb']:,.0f} MB | {each['first_request_s']:.1f} s | {each['cpu_s']:.1f} s "
                f"| {each['peak_mb']:.0f} MB |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, help="where the journals are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        kind, url, run = options.write
        write(Path(run), options.rows, kind, url)
        return
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        needed, free = options.rows * ROW_BYTES, shutil.disk_usage(folder).free
        if free < needed:
            raise SystemExit(f"{options.rows:,} rows need {needed / 1e9:.1f} GB in {folder!r}; fix: --dir, or --rows")
        figures = measured(Path(folder), options.rows)
    show(figures)
    command = shlex.join(["python", "benchmarks/column_recovery.py", *sys.argv[1:]])
    print("machine:", ", ".join(f"{key} {value}" for key, value in measure.machine().items()))
    print("reproduce:", command)
    if options.json:
        figures |= {"command": command, "machine": measure.machine()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
