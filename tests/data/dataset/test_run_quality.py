"""A run's rows are checked before a data set is made: as `assemble` would check them, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.assemble.assemble import assemble
from herogen_async.data.dataset.run_quality import run_quality, segment_sizes
from herogen_async.specs.spec import Spec
from support.mixed_run import mixed_run
from support.run_folders import WrittenRun


def test_it_finds_what_assemble_finds(tmp_path: Path) -> None:
    """In each row that would be taught, whatever ended it; whoever waits is told how many rows were looked at."""
    run = mixed_run(tmp_path / "r")
    before = sorted(run.path.rglob("*"))
    told: list[tuple[int, int]] = []
    checked = run_quality(run.path, lambda *at: told.append(at))
    assert before == sorted(run.path.rglob("*"))
    assert [(number + 1, len(told)) for number in range(len(told))] == told
    assert checked.sizes == segment_sizes(run.folder) == {"rows-00000.jsonl": run.folder.segment(0).stat().st_size}
    made = assemble(run.path, format="messages", truncated="keep")
    assert made.quality.as_dict() == checked.quality.as_dict()
    assert {"cut", "refused", "duplicate", "looping"} <= {each.kind for each in checked.quality.findings}
    assert checked.quality.rows == len(told) - checked.count.rejected


def test_of_no_rows_there_is_nothing_to_say(tmp_path: Path) -> None:
    """It is told so, and when to come again."""
    run = WrittenRun(tmp_path / "r", Spec(name="s", attributes={"a": ["1"]}, prompt="{a}"))
    with pytest.raises(InputError, match="no complete rows yet"):
        run_quality(run.path)
