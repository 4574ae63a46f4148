"""Run folders that release 0.1.0 wrote are read, continued, exported and assembled as it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fake_server import FakeServer
from support.kept_runs import FOLDER, NAMES, behave, copied, recorded, said, steps
from support.runs import herogen


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_run_gives_what_its_release_gave(name: str, tmp_path: Path) -> None:
    """Exit codes, objects and data files of every command that reads or continues it, one after the other."""
    with FakeServer(behave) as server:
        copied(name, tmp_path, server.url)
        for step, kept in recorded(name):
            found = said(step, herogen, tmp_path)
            # A later release may tell more; what a script found there it finds.
            assert kept.json == {name: found.json[name] for name in kept.json}, step.name
            assert kept.exit_code == found.exit_code, step.name
            assert kept.files == found.files, step.name


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_journal_is_only_ever_appended_to(name: str, tmp_path: Path) -> None:
    """Continuing a run leaves every byte of its segments but a torn end."""
    with FakeServer(behave) as server:
        run = copied(name, tmp_path, server.url)
        for step in steps(name):
            if step.arguments[0] in ("retry", "resume"):
                said(step, herogen, tmp_path)
    for segment in sorted((FOLDER / name / "run").glob("rows-*.jsonl")):
        kept = segment.read_bytes()
        assert (run / segment.name).read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])


def test_kept_runs_hold_nothing_of_the_machine_they_are_from() -> None:
    """No host, no process and no path is in them, and together they stay small."""
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    text = b"\n".join(path.read_bytes() for path in files)
    assert len(NAMES) == text.count(b'"host":"host"') == text.count(b'"host":')
    assert [] == [word for word in (b"/home/", b"/tmp/", b"/work", b"/root", b"/Users/") if word in text]
    assert len(text) < 70_000
