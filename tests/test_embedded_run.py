"""The main job on the real embedded model, through the real command: nothing but this machine is needed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from herogen_async.endpoint.embedded import Weights
from herogen_async.journal import RunFolder, read_rows
from runs import command, environment, herogen, last_json

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_with_no_key_and_no_url_a_real_model_answers_and_says_what_it_is(tmp_path: Path, weights: Weights) -> None:
    result = herogen("run", "--limit", "1", "--json", cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    assert "not for a product's data" in result.stderr
    assert "max_tokens 200" in result.stderr
    report = last_json(result.stdout)
    assert (1, "done", None, weights.name) == tuple(report[name] for name in ("done", "state", "base_url", "model"))
    rows = [line.record for line in read_rows(RunFolder(tmp_path / "runs" / "superhero"))]
    assert all(len(row["response_txt"].split()) > 10 for row in rows)
    assert all(row["usage"]["completion_tokens"] <= 200 for row in rows)


def test_killed_in_mid_run_it_leaves_no_process_and_resumes(tmp_path: Path, weights: Weights) -> None:
    child = subprocess.Popen(
        command("run", "--limit", "3", "--concurrency", "1"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("1/3 done"):
            break
        if line.startswith("0/3 done"):
            servers = children_of(child.pid)
    assert servers
    child.send_signal(signal.SIGKILL)
    child.communicate()
    for _ in range(1000):
        if not any(is_alive(pid) for pid in servers):
            break
        os.sched_yield()
        subprocess.run(["sleep", "0.01"], check=True)  # for another process to end, with a deadline
    assert [] == [pid for pid in servers if is_alive(pid)]
    resumed = herogen("resume", "superhero", "--json", cwd=tmp_path)
    assert 0 == resumed.returncode, resumed.stderr
    assert 3 == last_json(resumed.stdout)["done"] == len(list(read_rows(RunFolder(tmp_path / "runs" / "superhero"))))


def test_other_weights_are_never_mixed_into_a_run(tmp_path: Path, weights: Weights) -> None:
    """The same model's name in another file makes other answers."""
    own = tmp_path / f"{weights.name}.gguf"
    own.write_bytes(weights.path.read_bytes())
    first = herogen("run", "--limit", "1", "--model", own, cwd=tmp_path)
    assert 0 == first.returncode, first.stderr
    with own.open("ab") as file:
        file.write(b"\0" * 32)
    second = herogen("resume", "superhero", cwd=tmp_path)
    assert 2 == second.returncode
    assert "other weights" in second.stderr
