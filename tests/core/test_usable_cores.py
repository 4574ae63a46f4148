"""How many processes and threads may compute at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from herogen_async.core import cores
from herogen_async.core.cores import usable_cores


def test_usable_cores_fit_the_machine() -> None:
    """At least one, and never more than the machine has."""
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("quota", "usable"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8), (None, 8)]
)
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str | None, usable: int
) -> None:
    """Its processes are allowed on all cores of the host, and given the time of a few."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert usable == usable_cores()
