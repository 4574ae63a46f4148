"""How many attempts a row gets is for the user to say, and the run's folder keeps it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import herogen_async
from herogen_async.generation.run_folder import RunFolder, read_manifest
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json, small_spec, write_spec

SPEC = small_spec(values=3, repeats=1)
LAST = "22-year-old woman"  # by then others were answered: it is the row's own trouble


def one_row_fails(asked: Asked) -> Reply:
    return error(500) if LAST in asked.prompt else answer(asked)


def test_a_row_fails_after_as_many_attempts_as_were_given(tmp_path: Path) -> None:
    """From the command line, and from the manifest when the run is resumed; Python sets another number."""
    with FakeServer(one_row_fails) as server:
        options = ("--base-url", server.url, "--model", "m", "--concurrency", 1, "--max-attempts", 1, "--json")
        done = herogen("run", write_spec(tmp_path, SPEC), "--run", tmp_path / "r", *map(str, options), cwd=tmp_path)
        assert (1, 1, 5) == (done.returncode, (report := last_json(done.stdout))["failed"], report["done"])
        assert 1 == read_manifest(RunFolder(tmp_path / "r")).settings.max_attempts
        assert 1 == Counter(LAST in asked.prompt for asked in server.asked)[True]
        assert 1 == herogen_async.resume(tmp_path / "r", retry_failed=True).failed
        assert 2 == Counter(LAST in asked.prompt for asked in server.asked)[True]
        assert 1 == herogen_async.resume(tmp_path / "r", retry_failed=True, max_attempts=2).failed
        assert 4 == Counter(LAST in asked.prompt for asked in server.asked)[True]
