"""P12: a second Ctrl-C cancels, whatever is under way, and leaves a run that can be resumed."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import command, environment, herogen, last_json, small_spec, write_spec

RUNS = 4
PATIENCE_S = 20.0  # of a machine that is busy; it takes a tenth of a second


def closing(asked: Asked) -> Reply:
    """An answer that ends its connection: of 64 calls some are connecting at any moment."""
    sound = answer(asked, delay_s=0.01)
    return Reply(sound.body, headers={**sound.headers, "connection": "close"}, delay_s=sound.delay_s)


@pytest.mark.slow
def test_p12_two_ctrl_c_end_a_run_that_is_connecting(tmp_path: Path) -> None:
    """Two Ctrl-C end a run at a server that closes every connection, and the run resumes from there."""
    spec = write_spec(tmp_path, small_spec(values=2000))
    with FakeServer(closing) as server:
        there = ("--base-url", server.url, "--model", "m", "--concurrency", "64")
        for number in range(RUNS):
            before = len(server.asked)
            child = subprocess.Popen(
                command("run", spec, "--run", tmp_path / f"r{number}", *there),
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while len(server.asked) < before + 200 + number and child.poll() is None:
                time.sleep(0.001)
            child.send_signal(signal.SIGINT)
            time.sleep(0.003 * (number + 1))  # the drain has begun, and most of its answers are still to come
            child.send_signal(signal.SIGINT)
            try:
                code = child.wait(PATIENCE_S)
            finally:
                child.kill()
            assert code in (130, -signal.SIGINT)  # it was leaving already
    said = last_json(herogen("status", tmp_path / "r0", "--json", cwd=tmp_path).stdout)
    assert "interrupted" == said["state"]
    assert said["done"] > 0
