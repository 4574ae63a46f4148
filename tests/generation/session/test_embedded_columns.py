"""Columns beside the prompt of a finished run, on the real embedded model: paid answers stay, also through a kill.

All 294 rows, some ten minutes: HEROGEN_EMBEDDED_ROWS=294 pytest tests/generation/session/test_embedded_columns.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from support.runs import command, environment, herogen, last_json

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

ROWS = int(os.environ.get("HEROGEN_EMBEDDED_ROWS", "6"))
DEADLINE_S = 60.0
COLUMNS = """\
columns:
  title:
    prompt: "A title of at most five words: {response_txt}"
    sampling: {max_tokens: 4}
  critique:
    prompt: "{title}: {response_txt}. The weakest point:"
    sampling: {max_tokens: 6}
"""


def answers(folder: RunFolder) -> dict[str, str]:
    """The text of each call, by its key; no key is there twice."""
    lines = [line.record for line in read_rows(folder)]
    texts = {line["key"]: line["response_txt"] for line in lines}
    assert len(lines) == len(texts)
    return texts


def columns(folder: RunFolder) -> Counter[str]:
    return Counter(line.record.get("column", "response_txt") for line in read_rows(folder))


def kill_at(folder: RunFolder, lines: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while sum(path.read_bytes().count(b"\n") for path in folder.segments()) < lines:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_columns_are_added_to_a_finished_superhero_run(tmp_path: Path, weights: Weights) -> None:
    """Its answers are asked once, whatever comes: a spec with two columns more, SIGKILL in the middle, a resume."""
    folder = RunFolder(tmp_path / "runs" / "heroes")
    assert 0 == herogen("init", "first.yaml", cwd=tmp_path).returncode
    spec = tmp_path / "first.yaml"
    spec.write_text(
        spec.read_text()
        .replace("name: 'first'", "name: heroes")
        .replace("max_tokens: 500", "max_tokens: 12")
        .replace("endpoint: completions", "endpoint: chat")
    )
    limit = ("--limit", str(ROWS))
    first = herogen("run", spec, *limit, "--model", "embedded", "--json", cwd=tmp_path)
    assert (0, ROWS) == (first.returncode, last_json(first.stdout)["done"]), first.stderr
    paid = answers(folder)

    assert 0 == herogen("init", "heroes.yaml", "--run", "heroes", cwd=tmp_path).returncode
    with (tmp_path / "heroes.yaml").open("a") as file:
        file.write(COLUMNS)
    told = herogen("plan", "heroes.yaml", "heroes", *limit, "--json", cwd=tmp_path)
    forecast = last_json(told.stdout)
    assert (ROWS, 2 * ROWS, 0) == (forecast["kept"], forecast["new"]["requests"], forecast["stale"]["requests"])
    refused = herogen("run", "heroes.yaml", *limit, cwd=tmp_path)
    assert (2, True) == (refused.returncode, "--extend" in refused.stderr)

    child = subprocess.Popen(
        command("run", "heroes.yaml", *limit, "--extend", "--concurrency", "2"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kill_at(folder, ROWS + 3, child)
    killed = answers(folder)
    assert ROWS + 3 <= len(killed) < 3 * ROWS

    resumed = herogen("resume", "heroes", *limit, "--json", cwd=tmp_path)
    assert 0 == resumed.returncode, resumed.stderr
    report = last_json(resumed.stdout)
    assert ("done", ROWS, 0) == (report["state"], report["done"], report["failed"])
    whole = answers(folder)
    assert {"response_txt": ROWS, "title": ROWS, "critique": ROWS} == columns(folder)
    assert paid.items() <= killed.items() <= whole.items()
