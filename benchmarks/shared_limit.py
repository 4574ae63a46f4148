"""Four processes on one key: do they keep one limit between them, fairly, also when one is killed?

    python benchmarks/shared_limit.py [--rpm 12000] [--seconds 60] [--json FILE]

Four `herogen-async run` of the same model at the same simulated server, which enforces the limit by the second. What
the server accepted is its own count; the shares are rows in each run's journal. After half of the time one process is
killed with SIGKILL.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

RUNS = 4


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        return json.load(answer)


def rows_of(folder: Path) -> int:
    path = folder / "rows-00000.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def measure(url: str, folders: list[Path], seconds: float, per_s: float) -> dict[str, Any]:
    """What the server accepted over `seconds`, in % of the limit, and each run's share of the rows in %."""
    before = [rows_of(folder) for folder in folders]
    first, began = stats(url)["requests"], time.monotonic()
    time.sleep(seconds)
    last, ended = stats(url)["requests"], time.monotonic()
    rows = [rows_of(folder) - held for folder, held in zip(folders, before, strict=True)]
    return {
        "of_the_limit_pct": round(100 * (last - first) / (ended - began) / per_s, 2),
        "shares_pct": [round(100 * many / sum(rows), 1) for many in rows],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rpm", type=int, default=12_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    herogen = [sys.executable, "-m", "herogen_async"]
    simulate = ["simulate", "--rpm", str(given.rpm), "--enforce", "bucket-second", "--headers", "none"]
    started: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        spec = folder / "spec.json"
        attributes = {"number": [str(number) for number in range(1000)]}
        spec.write_text(
            json.dumps({"name": "shared", "attributes": attributes, "repeats": 1000, "prompt": "Describe {number}."})
        )
        try:
            server = subprocess.Popen(
                [*herogen, *simulate, "--latency-ms", "100"],
                stdout=subprocess.PIPE,
                text=True,
                stderr=subprocess.DEVNULL,
            )
            started.append(server)
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            folders = [folder / str(number) for number in range(RUNS)]
            ask = ["run", str(spec), "--base-url", url, "--model", "m", "--rpm", str(given.rpm), "--concurrency", "64"]
            env = {**os.environ, "HEROGEN_LIMITS_DIR": f"{folder}/limits"}
            started += [
                subprocess.Popen([*herogen, *ask, "--run", str(run)], env=env, stderr=subprocess.DEVNULL, text=True)
                for run in folders
            ]
            while not all(rows_of(run) for run in folders):
                time.sleep(0.1)
            results = {"four": measure(url, folders, given.seconds / 2, given.rpm / 60)}
            started[1].send_signal(signal.SIGKILL)
            results["three, one killed"] = measure(url, folders[1:], given.seconds / 2, given.rpm / 60)
            seen = stats(url)
            refused = sum(seen["refused"].values())
            results["refused"] = {"count": refused, "pct": round(100 * refused / seen["requests"], 3)}
        finally:
            for process in started:
                process.kill()
                process.wait()
    for name, result in results.items():
        print(f"{name}: {result}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
