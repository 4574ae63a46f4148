"""What `recovery.py` measures, each a process of its own: `write`, `lines`, `recover` or `verify` a run.

    python benchmarks/recovery_steps.py recover RUN

The last line of its output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grids
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import replay as fold
from herogen_async.generation.journal import row_line
from herogen_async.generation.journal.verify import verify as verify_run
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder import Manifest, RunFolder, RunLock, read_manifest, write_manifest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec


def write(run: Path, rows: int, tasks: int, base_url: str) -> dict[str, Any]:
    """A run folder whose first `rows` tasks are answered."""
    cells = min(tasks, 1_000_000)
    prompt, sampling = grids.PROMPT, dict(grids.SAMPLING)
    spec = Spec(
        name="bench", attributes=grids.attributes(cells), repeats=tasks // cells, prompt=prompt, sampling=sampling
    )
    plan, folder, at = Plan(spec, endpoint="completions", model="m"), RunFolder(run), datetime.now(UTC)
    folder.create()
    prints = {"grid_fingerprint": plan.grid_fingerprint, "generation_fingerprint": plan.generation_fingerprint}
    about = {"endpoint": "completions", "model": "m", "base_url": base_url, "created_at": at.isoformat()}
    write_manifest(folder, Manifest(spec=spec.as_dict(), **prints, **about))
    usage = {"prompt_tokens": 61, "completion_tokens": 132, "total_tokens": 193}
    text = "An answer. " * 31
    store = Store(folder, keeps=False)
    store.open()
    for first in range(0, rows, 1000):
        batch = Batch()
        for index in range(first, min(first + 1000, rows)):
            completion = Completion(text, "stop", "m", {**usage, "total_tokens": 193 + index % 400}, f"req_{index:x}")
            batch.rows.append(row_line(plan.call(index), completion, attempts=1, latency_ms=12.3, at=at))
        store.write(batch)
        if store.is_segment_full:
            store.roll()
    store.sync()
    lock = RunLock.acquire(folder, at.isoformat())
    lock.vouch(store.mark)
    lock.release()
    store.close()
    return {"tasks": plan.size}


def lines(run: Path) -> dict[str, Any]:
    """Seconds of processor time for the lines alone."""
    started, count = time.process_time(), 0
    for path in sorted(run.glob("rows-*.jsonl")):
        with path.open("rb") as file:
            for _ in file:
                count += 1
    return {"seconds": time.process_time() - started, "rows": count}


def recover(run: Path) -> dict[str, Any]:
    """Seconds of processor time for the fold over them, imports apart."""
    folder = RunFolder(run)
    lineage = read_manifest(folder).lineage()
    started = time.process_time()
    found = fold(folder, lineage)
    return {"seconds": time.process_time() - started, "rows": len(found.done)}


def verify(run: Path, cores: int) -> dict[str, Any]:
    """Seconds by the clock and of processor time, its processes' included, on so many cores (0: all there are)."""
    os.sched_setaffinity(0, range(cores or os.cpu_count() or 1))  # `recovery.py` has pinned this to one
    started, used = time.perf_counter(), sum(os.times()[:4])
    verdict = verify_run(f"{run}/")
    if verdict.damage:
        raise SystemExit(f"damage was found: {verdict.findings[0].message}")
    spent_s = time.perf_counter() - started
    return {"seconds": spent_s, "cpu_s": sum(os.times()[:4]) - used, "rows": verdict.answered}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["write", "lines", "recover", "verify"])
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--base-url", default="http://127.0.0.1:1/v1")
    parser.add_argument("--cores", type=int, default=0)
    options = parser.parse_args()
    if options.step == "write":
        print(json.dumps(write(options.run, options.rows, options.tasks, options.base_url)))
    elif options.step == "verify":
        print(json.dumps(verify(options.run, options.cores)))
    else:
        print(json.dumps({"lines": lines, "recover": recover}[options.step](options.run)))


if __name__ == "__main__":
    main()
