"""What `recovery.py` measures, each a process of its own: `write`, `lines`, `recover` or `verify` a run.

`sparse` adds sealed segments with sidecars to a run without rows: of a gigabyte each, but only the lines that a
sidecar's checks look at are there.

    python benchmarks/recovery_steps.py recover RUN

The last line of its output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import grids
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import replay as fold
from herogen_async.generation.journal import row_line
from herogen_async.generation.journal.read.endings import Ended
from herogen_async.generation.journal.sidecar.sidecar import SEEN_LINES, Seen, Sidecar, plan_prints, seen_at
from herogen_async.generation.journal.verify import verify as verify_run
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder import Manifest, Mark, RunFolder, RunLock, read_manifest, write_manifest
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.specs.plan import IndexSet, Plan
from herogen_async.specs.plan.index_set import PAGE_BYTES
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


SEGMENT_ROWS = 1_000_000
SEGMENT_GAPS = 1_000  # calls between them that have no answer, as failures and kills leave them
SEGMENT_SIZE = 1_000_000_000


def sparse(run: Path, rows: int) -> dict[str, Any]:
    """So many rows, in sealed segments of SEGMENT_ROWS, and a last segment of one more."""
    folder, at = RunFolder(run), datetime.now(UTC)
    plan = read_manifest(folder).lineage().plan
    usage = {"prompt_tokens": 61, "completion_tokens": 132, "total_tokens": 193}

    def line(index: int) -> bytes:
        completion = Completion("An answer. " * 31, "stop", "m", usage, f"req_{index:x}")
        return row_line(plan.call(index), completion, attempts=1, latency_ms=12.3, at=at)

    width, segments = SEGMENT_ROWS + SEGMENT_GAPS, rows // SEGMENT_ROWS
    for number in range(segments):
        calls = _with_gaps(number * width, width)
        with folder.segment(number).open("wb+") as file:
            file.truncate(SEGMENT_SIZE)
            seen = []
            for place in range(SEEN_LINES + 1):
                told = line(number * width + place)
                seen.append(_put(file, SEGMENT_SIZE * place // (SEEN_LINES + 1), told))
            told = line((number + 1) * width - 1)
            seen.append(_put(file, SEGMENT_SIZE - len(told), told))
        sums = {name: count * SEGMENT_ROWS for name, count in usage.items()}
        ended = {0: Ended(SEGMENT_ROWS, sums, {"stop": SEGMENT_ROWS})}
        sidecar = Sidecar(SEGMENT_SIZE, plan_prints(plan), tuple(seen), True, calls, {}, ended)
        sidecar_of(folder.segment(number)).write_bytes(sidecar.in_bytes())
    folder.segment(segments).write_bytes(line(segments * width))
    lock = RunLock.acquire(folder, at.isoformat())
    lock.vouch(Mark(segments, folder.segment(segments).stat().st_size, 0))
    lock.release()
    return {"rows": segments * SEGMENT_ROWS + 1}


def _put(file: BinaryIO, offset: int, line: bytes) -> Seen:
    file.seek(offset)
    file.write(line)
    return seen_at(file, offset, len(line))


def _with_gaps(first: int, width: int) -> IndexSet:
    """So many calls, from the one at `first` on, without SEGMENT_GAPS of them."""
    bits = (1 << width) - 1
    for gap in random.Random(first).sample(range(width), SEGMENT_GAPS):
        bits ^= 1 << gap
    bits <<= first % (PAGE_BYTES * 8)
    pages = bits.to_bytes(-(-bits.bit_length() // 8 // PAGE_BYTES) * PAGE_BYTES, "little")
    number = first // (PAGE_BYTES * 8)
    return IndexSet.of_pages(
        (number + at // PAGE_BYTES, pages[at : at + PAGE_BYTES]) for at in range(0, len(pages), PAGE_BYTES)
    )


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
    parser.add_argument("step", choices=["write", "sparse", "lines", "recover", "verify"])
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--base-url", default="http://127.0.0.1:1/v1")
    parser.add_argument("--cores", type=int, default=0)
    options = parser.parse_args()
    if options.step == "write":
        print(json.dumps(write(options.run, options.rows, options.tasks, options.base_url)))
    elif options.step == "sparse":
        print(json.dumps(sparse(options.run, options.rows)))
    elif options.step == "verify":
        print(json.dumps(verify(options.run, options.cores)))
    else:
        print(json.dumps({"lines": lines, "recover": recover}[options.step](options.run)))


if __name__ == "__main__":
    main()
