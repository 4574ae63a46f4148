"""What do faults cost? 1,000 rows at a 50 ms server: with 5 % 500s, 1 % resets and 0.5 % hangs, and without.

    python benchmarks/faults.py [--concurrency 16] [--min-timeout 1] [--json FILE]

Each is a whole `herogen-async run` in a process of its own at a simulated server of its own; the seconds are the run's,
imports apart. A hang is cut off at 4 times the p99 that was seen, but not before `--min-timeout` (seconds).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

HEROGEN = [sys.executable, "-m", "herogen_async"]
FAULTS = ["500=0.05", "reset=0.01", "hang=0.005"]
ROWS = 1000


def trial(folder: Path, faults: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """Rows, requests and seconds of one run."""
    shares = [word for fault in faults for word in ("--fault", fault)]
    server = subprocess.Popen(
        [*HEROGEN, "simulate", "--latency-ms", "50", *shares],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        ask = ["run", str(folder / "spec.json"), "--run", str(folder / f"run{len(faults)}"), "--base-url", url]
        more = ["--model", "m", "--concurrency", given.concurrency, "--min-timeout", given.min_timeout, "--json"]
        run = subprocess.run([*HEROGEN, *ask, *more], capture_output=True, text=True, check=False)
        report = json.loads(run.stdout.splitlines()[-1])
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
            stats = json.load(answer)
    finally:
        server.kill()
        server.wait()
    return {
        "rows": report["done"],
        "given_up": report["failed"],
        "requests": stats["requests"],
        "faults": stats["faults"],
        "doubles": stats["doubles"],
        "seconds": round(report["elapsed_s"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--concurrency", default="16")
    parser.add_argument("--min-timeout", default="1")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        values = [str(number) for number in range(ROWS)]
        spec = {"name": "faults", "attributes": {"number": values}, "prompt": "Describe {number}:"}
        (folder / "spec.json").write_text(json.dumps(spec))
        results = {"without": trial(folder, [], given), "with": trial(folder, FAULTS, given)}
    results["ratio"] = round(results["with"]["seconds"] / results["without"]["seconds"], 2)
    for name, result in results.items():
        print(f"{name}: {result}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
