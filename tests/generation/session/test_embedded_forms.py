"""Forms on the real embedded model: its server keeps it to them, for chat and for completions."""

from __future__ import annotations

from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

COLUMNS = {
    "verdict": {
        "prompt": "Rate the power of {power} from 1 to 5, as JSON with score and sure.",
        "answer": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "sure": "boolean"},
    },
    "good": {"prompt": "Is {power} a good power to have? {verdict.score}", "answer": {"one_of": ["yes", "no"]}},
}


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_the_embedded_server_keeps_the_model_to_the_form(tmp_path: Path, weights: Weights, endpoint: str) -> None:
    """A model of 135 million parameters follows no form by itself: its first answers fit, or were cut off."""
    spec = Spec(
        name="rated",
        attributes={"power": ["flight", "telepathy"]},
        endpoint=endpoint,
        sampling={"max_tokens": 60, "temperature": 0},
        columns=COLUMNS,
    )
    report = herogen_async.run(spec, run=tmp_path / "r", model="embedded")
    lines = [line.record for line in read_rows(RunFolder(tmp_path / "r"))]
    assert {"the answer was cut off at its token limit"} >= {
        line["wrong_form"] for line in lines if "wrong_form" in line
    }
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert report.done == len(rows) > 0
    for row in rows:
        assert 1 <= row["columns"]["verdict"]["value"]["score"] <= 5
        assert row["columns"]["good"]["value"] in ("yes", "no")
