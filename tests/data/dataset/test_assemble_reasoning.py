"""A model's thoughts never enter a data set unsaid, and enter it as asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.generation.settings import Settings
from herogen_async.tune.finetune.rows.row_checks import checked_rows
from support.run_folders import WrittenRun

BLOCK = "<think>\nI think.\n</think>\n\nA tale."


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    """Three answers with the same thoughts in three ways, two of them of 0.1.0, and one without."""
    run = WrittenRun(tmp_path, settings=Settings(limit=4))
    run.write(
        [
            run.answer(0, "A tale.", reasoning="I think."),
            run.answer(1, "<think>\nI think.\n</think>\n\nA tale."),
            run.answer(2, "I think.\n</think>\n\nA tale."),
            run.answer(3, "A tale."),
        ]
    )
    return run


def lines_of(assembled: Assembled) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]


def test_thoughts_are_left_out_and_told(run: WrittenRun) -> None:
    """By default only the answers are taught, and the result says what was left out and how to keep it."""
    assembled = assemble(run.path)
    assert [" A tale. END"] * 4 == [line["completion"] for line in lines_of(assembled)]
    assert any("Thoughts of the model in 3 answers: left out (--reasoning" in line for line in assembled.lines())
    assert (3, 0) == (assembled.as_dict()["thoughts"], assembled.count.trimmed)


def test_nothing_is_told_of_thoughts_where_there_are_none(tmp_path: Path) -> None:
    """Neither in a sentence nor in the object of `--json`."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "A tale.")])
    assembled = assemble(tmp_path)
    assert "thoughts" not in assembled.as_dict()
    assert not any("Thoughts" in line for line in assembled.lines())
    assert b"reasoning" not in assembled.recipe.read_bytes()


def test_thoughts_can_be_taught_in_front_of_the_answer(run: WrittenRun) -> None:
    """`think` writes them as a block, in every format, and the recipe says so."""
    assembled = assemble(run.path, reasoning="think")
    assert [f" {BLOCK} END"] * 3 + [" A tale. END"] == [line["completion"] for line in lines_of(assembled)]
    assert 3 == assembled.csv.read_text().count("<think>")
    assert "think" == orjson.loads(assembled.recipe.read_bytes())["reasoning"]
    chat = assemble(run.path, format="messages", reasoning="think")
    assert BLOCK == lines_of(chat)[0]["messages"][1]["content"]


@pytest.mark.parametrize(
    ("format", "path", "names"),
    [
        ("messages", ("messages", 1), ("reasoning_content", "thinking")),
        ("conversational", ("completion", 0), ("reasoning_content", "thinking")),
        ("prompt-completion", (), ("reasoning",)),
        ("alpaca", (), ("reasoning",)),
        ("sharegpt", (), ("reasoning",)),
    ],
)
def test_thoughts_can_have_a_field(
    run: WrittenRun,
    format: str,  # noqa: A002 - the option's own name
    path: tuple[str | int, ...],
    names: tuple[str, ...],
) -> None:
    """`field` gives every row the same fields, empty where the model did not think."""
    found: list[Any] = lines_of(assemble(run.path, format=format, reasoning="field"))
    for name in path:
        found = [each[name] for each in found]
    for name in names:
        assert ["I think."] * 3 + [""] == [each[name] for each in found]
    assert b"<think>" not in assemble(run.path, format=format, reasoning="field").data.read_bytes()


def test_thoughts_have_a_column_in_parquet(run: WrittenRun) -> None:
    """`field` adds it, behind the completion."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(assemble(run.path, format="parquet", reasoning="field").data)
    assert ["prompt", "completion", "reasoning"] == table.column_names[:3]
    assert ["I think."] * 3 + [""] == table["reasoning"].to_pylist()


@pytest.mark.parametrize(("format", "reasoning"), [("text", "field"), ("dpo", "field"), ("messages", "keep")])
def test_a_treatment_that_has_no_place_is_refused(
    run: WrittenRun,
    tmp_path: Path,
    format: str,  # noqa: A002 - the option's own name
    reasoning: str,
) -> None:
    """With what is valid, and nothing is written."""
    scores = tmp_path / "scores.csv"
    with pytest.raises(InputError) as raised:
        assemble(run.path, format=format, reasoning=reasoning, ranking=scores if format == "dpo" else None)
    assert "think" in (raised.value.fix or "")
    assert not run.folder.dataset.exists()


def test_a_hosted_fine_tune_takes_rows_with_thoughts_in_a_field(tmp_path: Path) -> None:
    """The check before an upload has nothing against them."""
    run = WrittenRun(tmp_path, settings=Settings(limit=12))
    run.write(run.answer(index, f"Tale {index}.", reasoning="I think.") for index in range(12))
    for name in ("messages", "prompt-completion"):
        assembled = assemble(tmp_path, format=name, reasoning="field")
        assert 12 == checked_rows(assembled.data, assembled.how).rows


def test_thoughts_without_an_answer_teach_nothing(tmp_path: Path) -> None:
    """A row of 0.1.0 that was cut off while it thought is empty, whatever is kept."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "<think>\nI thi", "length"), run.answer(1, "<think>I think.</think>\n\u200b")])
    assembled = assemble(tmp_path, truncated="keep", reasoning="think")
    assert (0, 2, 2) == (assembled.written, assembled.count.empty, assembled.count.thoughts)


def test_tokens_of_thoughts_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    """Where the server counts them apart they are taken off, else the answer's tokens are estimated."""
    run = WrittenRun(tmp_path)
    usage = {"prompt_tokens": 1, "completion_tokens": 1000, "total_tokens": 1001}
    counted = {**usage, "completion_tokens_details": {"reasoning_tokens": 998}}
    run.write(
        [
            run.answer(0, "A tale.", reasoning="hm", usage=counted),
            run.answer(1, "Another.", reasoning="hm", usage=usage),
        ]
    )
    assert 10 > assemble(tmp_path).quality.tokens.completion
    assert 2000 == assemble(tmp_path, reasoning="think").quality.tokens.completion


@pytest.mark.parametrize("word", ["eos_token", "end_turn", "STOP", "COMPLETE", "stop_sequence"])
def test_every_servers_word_for_stop_is_whole(tmp_path: Path, word: str) -> None:
    """Such answers are kept, and no check calls them cut off."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "A tale.", word)])
    assembled = assemble(tmp_path)
    assert (1, 0) == (assembled.written, assembled.count.not_stopped)
    assert "cut" not in [each.kind for each in assemble(tmp_path, truncated="keep").quality.findings]


def test_a_whole_run_without_finish_reasons_says_what_keeps_it(tmp_path: Path) -> None:
    """Nothing is called truncated of which nobody knows it."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "A tale.", None)])
    assembled = assemble(tmp_path)
    assert not any("truncated:" in line for line in assembled.lines())
    assert assembled.next.endswith("--truncated keep")
    kept = assemble(tmp_path, truncated="keep")
    assert 1 == kept.written
    assert any("1 completion kept without a finish reason" in warning for warning in kept.warnings)
    assert not any("although truncated" in warning for warning in kept.warnings)


@pytest.mark.parametrize("text", [" \n\u200b", "\ufeff", "\u3164\u2800"])
def test_an_answer_that_shows_nothing_is_empty(tmp_path: Path, text: str) -> None:
    """Zero-width characters and fillers are nothing to learn from."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, text), run.answer(1, "A tale.")])
    assert (1, 1) == (assemble(tmp_path).written, assemble(tmp_path).count.empty)
