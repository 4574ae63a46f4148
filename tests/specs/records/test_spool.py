"""What is read only once is written to a folder of the process, and that of a killed process does not stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fcntl import LOCK_SH, flock
from pathlib import Path

import pytest

from herogen_async.core.cache_folder import caches_folder
from herogen_async.specs.records import spool


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has spooled nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spool._folder.cache_clear()
    yield
    spool._folder.cache_clear()


def test_the_folder_of_a_killed_process_is_removed() -> None:
    """After a day, where no process holds its lock."""
    killed, at_work, new = (caches_folder() / f"spool-{name}" for name in ("killed", "at-work", "new"))
    for folder in (killed, at_work, new):
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("{}")
    for folder in (killed, at_work):
        os.utime(folder, (1, 1))
    held = os.open(at_work, os.O_RDONLY)
    flock(held, LOCK_SH)
    try:
        sha256 = spool.spooled_rows([{"q": "a"}])
    finally:
        os.close(held)
    assert [False, True, True] == [folder.exists() for folder in (killed, at_work, new)]
    own = spool.spooled(sha256)
    assert own is not None
    assert own.parent.parent == caches_folder()
