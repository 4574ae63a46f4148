"""`finetune` of a run whose rows have several columns: from its rows to a model that is asked as it was taught."""

from __future__ import annotations

from pathlib import Path

from herogen_async.tune.evaluation.prompts import choose
from herogen_async.tune.finetune import find_tuned
from support.column_runs import ColumnRun, maths
from support.runs import herogen, last_json
from support.simulated_service import simulated


def test_a_run_of_several_columns_becomes_a_model(tmp_path: Path) -> None:
    """It learns the last column, and says so; what was chosen by `assemble --column` is learned instead."""
    run = ColumnRun(tmp_path / "runs" / "r", maths(repeats=4))
    for number in range(16):
        run.ask(number)
    with simulated(model="m") as server:

        def tuned(*more: str) -> str:
            ended = herogen("finetune", "r", "--base-url", server.url, "--model", "m", "--json", *more, cwd=tmp_path)
            assert 0 == ended.returncode, ended.stderr + ended.stdout
            assert "succeeded" == last_json(ended.stdout)["status"]
            return ended.stderr

        assert "Each example: sub-prompt -> best." in tuned()
        model = find_tuned(str(run.path))
        assert model.training is not None
        assert b"easy sums: best" in model.training.read_bytes()
        assert {"easy sums?", "easy sets?", "hard sums?", "hard sets?"} == {
            asked.prompt for asked in choose(model, 8, seed=1).asked
        }
        column = ("--column", "solution", "--format", "messages")
        assert 0 == herogen("assemble", "r", *column, cwd=tmp_path).returncode
        tuned("--new")
        model = find_tuned(str(run.path))
        assert model.training is not None
        assert b"easy sums: solution.2" in model.training.read_bytes()
