"""The page on a large run, in a real browser: how soon something is there, how it scrolls, what it takes.

    python benchmarks/page.py [--rows 1000000] [--live] [--json FILE]

A run of a million rows (about 0.9 GB) is written, `herogen-async view` serves it as a process of its own, and the
distribution's Chromium looks at it through Playwright. Each figure stands beside what it may be; the exit code is 1
where one is above. `--live` measures instead what a run of some 3,000 rows/s costs a row with the page open, beside the
same run without, by turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import grids
import measure
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import row_line
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder import Manifest, RunFolder, write_manifest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.browsers import PROGRAMS

WORDS = grids.TEXT.split()
RARE = 100_000  # one row in so many has a word that no other has
SHOWN = ".row-text >> nth=0"
COUNTED = "() => !/%|Reading|Searching/.test(document.querySelector('.count-line')?.textContent ?? '%')"
ASKED = """(query) => {
  document.querySelector(".count-line [role=status]").textContent = "";
  location.hash = `#/bench/rows?${query}`;
}"""
ANSWERED = "() => /^[0-9,]+ rows?/.test(document.querySelector('.count-line [role=status]').textContent)"
QUERIES = {
    "text in every answer": "text=a",
    "text in one answer of 100,000": "text=zeppelin",
    "text in no answer": "text=nothing like this",
    "finish reason": "finish=length",
    "attribute": "cell=age%3D7",
    "state": "state=done",
    "without a mark": "mark=none",
    "tokens within bounds": "figure=tokens&least=100&most=120",
    "most tokens first": "order=most:tokens",
    "longest answer first": "order=most:length",
    "latest first": "order=latest",
}
SCROLL = """async (seconds) => {
  const list = document.querySelector(".list");
  const long = [];
  const note = (seen) => long.push(...seen.getEntries().map((each) => each.duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  const until = performance.now() + 1000 * seconds;
  let blankSince = null, longestBlank = 0, frames = 0;
  while (performance.now() < until) {
    list.scrollTop = (frames % 40 === 39 ? Math.random() * list.scrollHeight : list.scrollTop + 180);
    await new Promise(requestAnimationFrame);
    frames += 1;
    const isBlank = list.querySelector(".blank") !== null;
    if (isBlank) blankSince ??= performance.now();
    else blankSince = null;
    if (isBlank) longestBlank = Math.max(longestBlank, performance.now() - blankSince);
  }
  return { longest: Math.max(0, ...long), blank: longestBlank, frames: frames / seconds };
}"""


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was measured, and what it may be; None: it is shown alone."""

    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def is_good(self) -> bool:
        return self.most is None or self.value <= self.most


def write_run(path: Path, rows: int) -> None:
    """A run whose rows are all answered, in an order as several calls in flight give it."""
    spec = Spec(name="bench", attributes=grids.attributes(rows), prompt=grids.PROMPT, sampling=dict(grids.SAMPLING))
    plan, folder, at = Plan(spec, endpoint="completions", model="m"), RunFolder(path), datetime.now(UTC)
    folder.create()
    prints = {"grid_fingerprint": plan.grid_fingerprint, "generation_fingerprint": plan.generation_fingerprint}
    about = {"endpoint": "completions", "model": "m", "base_url": "http://127.0.0.1:1/v1", "created_at": at.isoformat()}
    write_manifest(folder, Manifest(spec=spec.as_dict(), **prints, **about))
    store, rng = Store(folder, keeps=False), random.Random(1)
    store.open()
    for first in range(0, rows, 1000):
        batch, order = Batch(), list(range(first, min(first + 1000, rows)))
        for place in range(0, len(order), 64):
            order[place : place + 64] = rng.sample(order[place : place + 64], len(order[place : place + 64]))
        for index in order:
            words = rng.choices(WORDS, k=rng.randint(25, 110))
            text = f"{' '.join(words)}{' zeppelin' if index % RARE == 7 else ''}."
            usage = {"prompt_tokens": 61, "completion_tokens": len(text) // 4, "total_tokens": 61 + len(text) // 4}
            completion = Completion(text, "length" if index % 50 == 0 else "stop", "m", usage, f"req_{index:x}")
            latency = rng.lognormvariate(6, 0.5)
            batch.rows.append(row_line(plan.call(index), completion, attempts=1, latency_ms=latency, at=at))
        store.write(batch)
        if store.is_segment_full:
            store.roll()
    store.sync()
    store.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A page's server."""

    url: str
    pid: int

    @property
    def peak_mb(self) -> float:
        """Its largest memory, as the kernel has it: in MB of a million bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6  # type: ignore[index]


@contextlib.contextmanager
def serving(work: Path, *names: str) -> Iterator[Served]:
    """`view` of the run of that name below `work`/runs, or of all, as a process of its own."""
    command = [*measure.ours(), "view", *names, "--no-open"]
    child = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert child.stdout is not None
        yield Served(child.stdout.readline().strip(), child.pid)
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(20)


@contextlib.contextmanager
def browser_tab() -> Iterator[Page]:
    programs = PROGRAMS["chromium"]
    program = next(filter(None, map(shutil.which, programs)), None)
    if program is None:
        raise SystemExit(f"none of {', '.join(programs)} is installed; fix: install Chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 800})
        finally:
            browser.close()


def opened(tab: Page, url: str, ready: str) -> float:
    """Seconds until `ready` is there, of a page that is opened anew."""
    tab.goto("about:blank")
    start = time.perf_counter()
    tab.goto(url, wait_until="commit")
    tab.wait_for_selector(ready, timeout=60_000)
    return time.perf_counter() - start


def measured(work: Path) -> Iterator[Figure]:
    with browser_tab() as tab, serving(work, "bench") as server:
        start = time.perf_counter()
        rows = f"{server.url}#/bench/rows"
        yield Figure("first rows, of a server that has read nothing", opened(tab, rows, SHOWN), "s", 1)
        paint = "performance.getEntriesByType('paint').find((each) => each.name === 'first-paint').startTime / 1000"
        yield Figure("first paint", tab.evaluate(paint), "s", 1)
        tab.wait_for_function(COUNTED, timeout=120_000)
        yield Figure("all rows counted", time.perf_counter() - start, "s")
        yield Figure("first rows from then on", opened(tab, rows, SHOWN), "s", 1)
        for name, query in QUERIES.items():
            yield from searched(tab, name, query)
        tab.evaluate("location.hash = '#/bench/rows'")
        tab.wait_for_timeout(500)
        seen = tab.evaluate(SCROLL, 6)
        yield Figure("longest task while scrolling", seen["longest"], "ms", 50)
        yield Figure("longest blank row while scrolling", seen["blank"], "ms", 100)
        yield Figure("frames while scrolling", seen["frames"], "a second")
        yield Figure("memory of the server, at its peak", server.peak_mb, "MB", 150)


def searched(tab: Page, name: str, query: str) -> Iterator[Figure]:
    """How long until the first rows of a filter are there, and until all were searched."""
    start = time.perf_counter()
    tab.evaluate(ASKED, query)
    tab.wait_for_function(ANSWERED)
    yield Figure(f"{name}: first rows", time.perf_counter() - start, "s", 2)
    tab.wait_for_function(COUNTED, timeout=120_000)
    yield Figure(f"{name}: all searched", time.perf_counter() - start, "s")


def live(work: Path, rows: int, pairs: int) -> Iterator[Figure]:
    """CPU a row of a run of its own process, with a page open and without, by turns."""
    spec = work / "spec.json"
    grids.write_spec(rows, spec)
    costs: dict[bool, list[float]] = {False: [], True: []}
    rates = []
    with browser_tab() as tab:
        for number in range(2 * pairs):
            is_watched = number % 2 == 1
            run = work / "runs" / f"live-{number}"
            with measure.fast_server(15) as server, contextlib.ExitStack() as open_page:
                if is_watched:
                    page = open_page.enter_context(serving(work))
                    tab.goto(f"{page.url}#/{run.name}/live")
                used = measure.run_child(measure.our_run(spec, run, server), log=work / "child")
                if is_watched:
                    tab.goto("about:blank")
            costs[is_watched].append(used.cpu_s / rows * 1e6)
            rates.append(rows / used.wall_s)
    yield Figure("rows a second", statistics.median(rates), "")
    yield Figure("CPU a row, without", statistics.median(costs[False]), "us")
    yield Figure("CPU a row, with the page open", statistics.median(costs[True]), "us")
    ratio = statistics.median(above / below for above, below in zip(costs[True], costs[False], strict=True))
    yield Figure("with / without, of pairs", ratio, "", 1.05)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="rows of the run (default: 1,000,000; with --live 20,000)")
    parser.add_argument("--live", action="store_true", help="what a run costs with the page open")
    parser.add_argument("--pairs", type=int, default=3, help="of --live (default: 3)")
    parser.add_argument("--work", type=Path, help="a folder to write the run to, and to find it in the next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, too")
    return parser.parse_args()


def main() -> int:
    options = parse()
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = work / "runs" / "bench"
        run.parent.mkdir(parents=True, exist_ok=True)
        if options.live:
            figures = live(work, options.rows or 20_000, options.pairs)
        else:
            if not run.exists():
                write_run(run, options.rows or 1_000_000)
            figures = measured(work)
        seen = []
        for each in figures:
            seen.append(each)
            may = "" if each.most is None else f"  (at most {each.most:g}{'' if each.is_good else ': ABOVE'})"
            print(f"{each.name:<48} {each.value:>10,.2f} {each.unit}{may}", flush=True)
    if options.json:
        told: dict[str, Any] = {"machine": measure.machine(), "figures": [asdict(each) for each in seen]}
        options.json.write_text(json.dumps(told, indent=2))
    return 0 if all(each.is_good for each in seen) else 1


if __name__ == "__main__":
    sys.exit(main())
