"""The main job on the real embedded model, through the real command: nothing but this machine is needed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from herogen_async import run
from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.generation.journal import read_rows
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder
from support.runs import command, environment, herogen, herogen_child, last_json, small_spec, write_spec

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

DEADLINE_S = 60.0


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_until(condition: Callable[[], bool]) -> None:
    """For another process, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_key_or_url_a_real_model_answers(tmp_path: Path, weights: Weights) -> None:
    """With neither key nor URL, the embedded model answers, is named, and its limits are stated."""
    result = herogen_child("run", "--limit", "1", "--json", cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    assert "not for production data" in result.stderr
    assert "max_tokens 200" in result.stderr
    assert "Verifying" not in result.stderr  # hashed once, when they came
    report = last_json(result.stdout)
    assert (1, "done", None, weights.name) == tuple(report[name] for name in ("done", "state", "base_url", "model"))
    rows = [line.record for line in read_rows(RunFolder(tmp_path / "runs" / "superhero"))]
    assert all(len(row["response_txt"].split()) > 10 for row in rows)
    assert all(row["usage"]["completion_tokens"] <= 200 for row in rows)


class Seen(Observer[CallEnded, RunReport]):
    """Keeps what it is told of the run."""

    def __init__(self) -> None:
        self.reports: list[RunReport] = []

    def state(self, report: RunReport, /) -> None:
        """One moment."""
        self.reports.append(report)


def test_the_tokens_of_the_first_answer_are_counted_while_it_is_written(tmp_path: Path, weights: Weights) -> None:
    """Until then they are all that can be seen of the model's work; the answer is the one that its tokens were."""
    seen = Seen()
    report = run(run=tmp_path / "counted", model="embedded", limit=1, watch=seen)
    told = [each.streamed for each in seen.reports if each.silent_s is not None]
    assert 0 < max(told) <= report.usage["completion_tokens"]
    assert told == sorted(told)
    row = next(iter(read_rows(RunFolder(tmp_path / "counted")))).record
    assert row["finish_reason"] in ("stop", "length")
    assert row["request_id"]


def test_a_killed_embedded_run_leaves_no_process_and_resumes(tmp_path: Path, weights: Weights) -> None:
    """Killing an embedded run with SIGKILL ends its model server too, and resume completes it."""
    spec = write_spec(tmp_path, small_spec(values=2, repeats=1, sampling={"max_tokens": 16}))
    folder = RunFolder(tmp_path / "runs" / "small")
    child = subprocess.Popen(
        command("run", spec, "--model", "embedded", "--concurrency", "1"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: folder.segment(0).exists() and b"\n" in folder.segment(0).read_bytes())
    servers = children_of(child.pid)
    assert servers
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 1 <= len(list(read_rows(folder))) < 4
    wait_until(lambda: not any(is_alive(pid) for pid in servers))
    resumed = herogen("resume", "small", "--json", cwd=tmp_path)
    assert 0 == resumed.returncode, resumed.stderr
    assert 4 == last_json(resumed.stdout)["done"] == len(list(read_rows(folder)))


def test_other_weights_are_never_mixed_into_a_run(tmp_path: Path, weights: Weights) -> None:
    """The same model's name in another file makes other answers."""
    own = tmp_path / f"{weights.name}.gguf"
    own.write_bytes(weights.path.read_bytes())
    spec = write_spec(tmp_path, small_spec(sampling={"max_tokens": 4}))
    first = herogen("run", spec, "--limit", "1", "--model", own, cwd=tmp_path)
    assert 0 == first.returncode, first.stderr
    with own.open("ab") as file:
        file.write(b"\0" * 32)
    second = herogen("resume", "small", cwd=tmp_path)
    assert 2 == second.returncode
    assert "different weights" in second.stderr
