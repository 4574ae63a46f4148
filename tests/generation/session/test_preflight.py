"""What a session says before it asks: what a crash would cost, and whether there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.forecast.preflight import crash_line, room_line, row_bytes
from herogen_async.generation.session import Watch
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from support.fake_server import FakeServer
from support.runs import small_spec


@pytest.mark.parametrize(
    ("durability", "said"),
    [
        ("power", "So does a power cut"),
        ("periodic", "can also cost the last 256 rows"),
        ("process", "--durability process"),
    ],
)
def test_p10_a_crashs_worst_case_is_stated_per_durability(durability: str, said: str) -> None:
    """For every durability, the notice states the calls in flight and what a power cut would cost."""
    line = crash_line(Settings(durability=durability), 16)  # type: ignore[arg-type]
    assert "at most 16 calls in flight" in line
    assert said in line


def test_p10_a_run_states_at_its_start_what_a_kill_costs(tmp_path: Path) -> None:
    """Exactly one notice at the start states how many calls in flight a kill would cost; a trial of 20 gets none."""
    for limit, told in ((20, 0), (21, 1)):
        notices: list[str] = []
        with FakeServer() as server:
            herogen_async.run(
                small_spec(values=6),
                run=tmp_path / str(limit),
                base_url=server.url,
                model="m",
                concurrency=7,
                limit=limit,
                watch=Watch(on_notice=notices.append),
            )
        assert ["at most 7 calls in flight" in line for line in notices].count(True) == told


def test_p9_a_disk_that_may_be_too_small_is_reported_early(tmp_path: Path) -> None:
    """A notice appears only if the expected rows exceed the free space, at 500 to 1,000 bytes a row here."""
    plan = Plan(small_spec(values=100), endpoint="completions", model="m")
    assert room_line(plan, 1, folder="r", free=10**6) is None
    line = room_line(plan, 10**13, folder="r", free=10**6)
    assert line is not None
    assert "10,000,000,000,000 answers may take" in line
    assert 500 < row_bytes(plan) < 1000, "50 tokens of answer, a short prompt, and the row's own names"
