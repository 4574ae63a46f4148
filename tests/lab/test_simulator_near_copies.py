"""A simulated server whose answers repeat each other, and a run that keeps those that differ."""

from __future__ import annotations

import asyncio
from pathlib import Path

import herogen_async
from herogen_async.lab.simulator import Policy, serve
from herogen_async.specs.spec import Spec

ROWS = 120


def report_of(folder: Path, share: float) -> herogen_async.RunReport:
    attributes = {"n": [f"n{number}" for number in range(ROWS)]}
    spec = Spec(
        name="s", attributes=attributes, columns={"tale": {"prompt": "tell {n}", "unlike": 0.7}}, endpoint="chat"
    )

    async def run() -> herogen_async.RunReport:
        async with serve(Policy(faults={"near_copy": share}, seed=3)) as server:
            return await herogen_async.arun(spec, run=folder, base_url=server.url, model="m")

    return asyncio.run(run())


def test_a_share_of_near_copies_is_asked_again_and_few_rows_are_left_out(tmp_path: Path) -> None:
    """At 0.3 about a third of the requests is repeated, and a row in forty has three near copies."""
    report = report_of(tmp_path / "r", 0.3)
    assert ("done", ROWS) == (report.state, report.done)
    assert 0.2 * ROWS < report.errors["near_copy"] < 0.7 * ROWS
    accepted = [row["accepted"] for row in herogen_async.rows(tmp_path / "r")]
    assert 0.9 * ROWS < sum(accepted) < ROWS


def test_where_all_answers_repeat_one_row_is_accepted(tmp_path: Path) -> None:
    """The others are done, and have been requested three times."""
    report = report_of(tmp_path / "r", 1.0)
    assert ("done", 2 * (ROWS - 1)) == (report.state, report.errors["near_copy"])
    assert 1 == sum(row["accepted"] for row in herogen_async.rows(tmp_path / "r"))
