"""Four processes on one key keep one limit between them, and one that is killed takes nothing from the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.runs import command, environment, small_spec, write_spec

RPM = 6000
PER_S = RPM / 60
MEASURED_S = 2.0


@contextmanager
def simulator(*arguments: str) -> Iterator[str]:
    """A simulated server in a process of its own; its URL."""
    process = subprocess.Popen(
        command("simulate", *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def rows_of(folder: Path) -> int:
    try:
        return (folder / "rows-00000.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def measured(url: str, folders: list[Path]) -> tuple[float, list[int]]:
    """(requests a second at the server, rows of each run) over the next seconds."""
    before, started = [rows_of(folder) for folder in folders], time.monotonic()
    first = stats(url)["requests"]
    at = time.monotonic()
    wait_for(lambda: time.monotonic() - started >= MEASURED_S)
    rate = (stats(url)["requests"] - first) / (time.monotonic() - at)
    return rate, [rows_of(folder) - rows for folder, rows in zip(folders, before, strict=True)]


@pytest.mark.slow
def test_four_processes_share_a_limit_fairly_and_survive_a_kill(tmp_path: Path) -> None:
    """Four processes share one limit fairly, and killing one changes nothing for the others.

    The bounds are wide, for busy machines; benchmarks/shared_limit.py measures them closely.
    """
    spec = write_spec(tmp_path, small_spec(values=1000, repeats=20))
    folders = [tmp_path / name for name in "abcd"]
    env = environment(HEROGEN_LIMITS_DIR=str(tmp_path / "limits"))
    with simulator("--rpm", str(RPM), "--enforce", "bucket-second", "--headers", "none", "--latency-ms", "50") as url:
        runs = [
            subprocess.Popen(
                command("run", spec, "--run", folder, "--base-url", url, "--model", "m", "--rpm", str(RPM)),
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for folder in folders
        ]
        try:
            wait_for(lambda: all(map(rows_of, folders)))
            rate, shares = measured(url, folders)
            assert 0.9 * PER_S < rate < 1.05 * PER_S
            assert min(shares) > 0.5 * max(shares)
            os.kill(runs[0].pid, signal.SIGKILL)
            runs[0].wait()
            rate, shares = measured(url, folders[1:])
            assert 0.9 * PER_S < rate < 1.05 * PER_S
            assert min(shares) > 0.5 * max(shares)
            seen = stats(url)
            assert sum(seen["refused"].values()) < 0.01 * seen["requests"]
        finally:
            for run in runs:
                run.kill()
                run.wait()
