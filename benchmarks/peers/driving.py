"""What all drivers share: the command line, the questions, the JSON line at the end, counting rows on disk.

    python drive_NAME.py --base-url URL --rows N --concurrency 64 --out DIR [--rpm R] [--timeout-s T] [--work W]
    python drive_NAME.py --out DIR --count

A driver asks `--rows` questions in its library's own way, with the results in `--out`, and prints one JSON line. With
`--count` it asks nothing: it says how many distinct questions have an answer in `--out`, also after it was killed. So
a driver imports its library inside `generate`, after this module has made the environment quiet.

Standard library only: it runs in every peer's own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # last: no file there may hide a library of the peer's

import grids
import works

SAMPLING = grids.SAMPLING
KEY = "none"  # a dummy: the servers here ask for none, and the libraries refuse to start without one
MODEL = "m"
UNLIMITED_RPM = 60_000_000  # a million a second, for libraries whose limiter can't be turned off
UNLIMITED_TPM = 1_000_000_000_000
QUIET = {
    "DO_NOT_TRACK": "1",  # telemetry off, as far as a library heeds it
    "TELEMETRY_ENABLED": "false",  # bespokelabs-curator
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its prices from the package instead of from the network
    "NEMO_TELEMETRY_ENABLED": "false",  # data-designer
    "TQDM_DISABLE": "1",
    "OPENAI_API_KEY": KEY,
}


@dataclass(frozen=True, slots=True)
class Job:
    """What a driver is asked to do. `rpm` and `timeout_s` are None where the library's own defaults hold."""

    base_url: str
    rows: int
    concurrency: int
    out: Path
    rpm: float | None
    timeout_s: float | None
    work: str = "text"

    def prompts(self) -> list[str]:
        """The questions, in the grid's order."""
        return list(works.WORKS[self.work].prompts(self.rows))

    def conversations(self) -> list[list[dict[str, str]]]:
        """The same as chat messages."""
        return [[{"role": "user", "content": prompt}] for prompt in self.prompts()]


def json_lines(paths: Iterable[Path]) -> Iterator[Any]:
    """The whole lines of some JSON lines files; a torn or foreign line is left out."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--base-url", help="the server, e.g. http://127.0.0.1:8000/v1")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--rpm", type=float, help="requests a minute that are permitted (default: no limit)")
    parser.add_argument("--timeout-s", type=float, help="seconds that a request may take (default: the library's own)")
    parser.add_argument("--work", choices=works.WORKS, default="text", help="whose prompts (default: text)")
    parser.add_argument("--count", action="store_true", help="only count the answers in --out")
    options = parser.parse_args()
    if not options.count and not options.base_url:
        parser.error("--base-url is missing")
    return options


def drive(generate: Callable[[Job], None], count: Callable[[Path], int]) -> None:
    """A driver's main: `generate(job)` asks and persists, `count(out)` counts distinct answers on disk."""
    options = _parse()
    if options.count:
        print(json.dumps({"persisted": count(options.out)}))
        return
    os.environ.update(QUIET)
    options.out.mkdir(parents=True, exist_ok=True)
    job = Job(
        options.base_url, options.rows, options.concurrency, options.out, options.rpm, options.timeout_s, options.work
    )
    start = time.perf_counter()
    generate(job)
    elapsed_s = time.perf_counter() - start
    print(json.dumps({"rows": job.rows, "persisted": count(job.out), "elapsed_s": elapsed_s}), flush=True)
