"""A file that holds less than a sync had vouched for: told, and never taken for what a run is writing right now."""

from __future__ import annotations

from pathlib import Path

import herogen_async
from herogen_async.generation.journal import Known
from herogen_async.generation.run_folder import Mark, RunFolder, RunLock
from herogen_async.generation.session import Watch
from support.fake_server import FakeServer
from support.runs import assert_exact_grid, small_spec


def test_rows_synced_while_inspected_are_not_a_shortfall(tmp_path: Path) -> None:
    """Bytes synced after inspection began are not taken for missing; a file below the mark is reported."""
    folder = RunFolder(tmp_path)
    lock = RunLock.acquire(folder, "2026-01-01")
    folder.segment(0).write_bytes(b"x" * 100)
    lock.vouch(Mark(0, 100, 0))
    known = Known(folder)
    folder.segment(0).write_bytes(b"x" * 300)
    lock.vouch(Mark(0, 300, 0))
    assert [] == known.shortfalls()
    lock.vouch(Mark(0, 400, 0))
    assert [(folder.segment(0), 400, 300)] == Known(folder).shortfalls()
    lock.release()


def test_d4_a_file_cut_short_is_reported_before_rows_repeat(tmp_path: Path) -> None:
    """A file that somebody cut short is reported before its rows are requested again."""
    spec = small_spec(values=5)
    notices: list[str] = []
    with FakeServer() as server:
        options = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        herogen_async.run(spec, **options)  # type: ignore[arg-type]
        rows = tmp_path / "r" / "rows-00000.jsonl"
        whole = rows.read_bytes()
        rows.write_bytes(b"".join(whole.splitlines(keepends=True)[:-4]))
        herogen_async.run(spec, **options, watch=Watch(on_notice=notices.append))  # type: ignore[arg-type]
    cut = len(whole) - len(b"".join(whole.splitlines(keepends=True)[:-4]))
    assert f"rows-00000.jsonl is {cut:,} bytes shorter than it was" in "\n".join(notices)
    assert_exact_grid(tmp_path / "r", spec)
