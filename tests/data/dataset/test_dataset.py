"""A run's rows: in the grid's order, each once, only this plan's; and what was given up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import DamageError, RunFolderError
from herogen_async.data.dataset import RunRows, failures, trim_to_sentence
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun


def texts(run: Path) -> list[str]:
    return [row["response_txt"] for row in RunRows(run)]


def test_rows_come_in_grid_order_however_they_were_written(tmp_path: Path) -> None:
    """Rows come in grid order, whatever the order and segment in which they were written."""
    run = WrittenRun(tmp_path)
    order = list(range(run.plan.size))
    random.Random(3).shuffle(order)
    run.write((run.answer(index, f"hero {index}") for index in order[:100]), segment=0)
    run.write((run.answer(index, f"hero {index}") for index in order[100:]), segment=1)
    assert [f"hero {index}" for index in range(294)] == texts(tmp_path)


def test_p6_duplicate_keys_count_once_and_the_first_wins(tmp_path: Path) -> None:
    """Answers with equal keys count once across segments: the first is kept and the others are counted."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(5, "first"), run.answer(2, "only"), run.answer(5, "second")])
    run.write([run.answer(5, "third")], segment=1)
    rows = RunRows(tmp_path)
    assert [row["response_txt"] for row in rows] == ["only", "first"]
    assert (len(rows), rows.found.duplicates) == (2, 2)
    assert 5 in rows
    assert 4 not in rows


def test_rows_of_another_plan_are_left_out_and_counted(tmp_path: Path) -> None:
    """Rows written under another plan are skipped and counted, even beyond the grid of this plan."""
    run = WrittenRun(tmp_path)
    other = Plan(run.spec, endpoint="completions", model="another")
    larger = Plan(run.spec.replace(repeats=9), endpoint="completions", model="model-1")
    run.write([run.answer(3, "foreign", plan=other), run.answer(800, "beyond", plan=larger), run.answer(3, "ours")])
    rows = RunRows(tmp_path)
    assert [row["response_txt"] for row in rows] == ["ours"]
    assert rows.found.foreign == 2


def test_a_row_is_read_as_it_was_written_less_its_checksum(tmp_path: Path) -> None:
    """A row reads back with its exact text and fields in order, without the checksum."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, 'line\nbreak\r\n, "quoted" \u2028 \U0001f9b8 é', None)])
    (row,) = RunRows(tmp_path)
    assert row["response_txt"] == 'line\nbreak\r\n, "quoted" \u2028 \U0001f9b8 é'
    assert row["cell"] == {"age": "18", "gender": "man", "power": "invisibility"}
    assert row["finish_reason"] is None
    assert "crc" not in row
    assert list(row)[:6] == ["key", "index", "cell", "repeat", "prompt", "sub_prompt"]


def test_a_new_sub_prompt_in_the_manifest_costs_no_answer(tmp_path: Path) -> None:
    """Rows are rendered with the manifest's current sub_prompt while the prompt asked stays as it was."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "hero")])
    run.describe(run.spec.replace(sub_prompt="{power} ({age})"))
    (row,) = RunRows(tmp_path)
    assert row["sub_prompt"] == "invisibility (18)"
    assert row["prompt"].startswith("Imagine a complete")


def test_a_half_written_line_is_not_read(tmp_path: Path) -> None:
    """An incomplete last line of the journal is ignored, as its writer may still be at work."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "whole"), run.answer(1, "half")[:40]])
    assert texts(tmp_path) == ["whole"]


def test_damage_before_the_end_is_an_error(tmp_path: Path) -> None:
    """A broken line before the end of the journal raises DamageError with its line number."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "a"), run.answer(1, "b").replace(b'"b"', b'"x"'), run.answer(2, "c")])
    with pytest.raises(DamageError, match="line 2"):
        RunRows(tmp_path)


def test_rows_scattered_over_a_huge_grid_cost_what_they_hold(tmp_path: Path) -> None:
    """Three rows far apart in a grid of 10^12 cells are read in order at the cost of three rows."""
    digits = [str(number) for number in range(1000)]
    spec = Spec(name="huge", attributes={"a": digits, "b": digits, "c": digits, "d": digits}, prompt="{a}{b}{c}{d}")
    run = WrittenRun(tmp_path, spec)
    run.write(run.answer(index, str(index)) for index in (10**12 - 1, 7, 10**11))
    assert ["7", str(10**11), str(10**12 - 1)] == texts(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    """A folder without a run raises RunFolderError, which says there is no run."""
    with pytest.raises(RunFolderError, match="no run"):
        RunRows(tmp_path)


def test_failures_lists_the_latest_per_task_most_frequent_first(tmp_path: Path) -> None:
    """failures() gives the latest failure of each unanswered task, most frequent kind first."""
    run = WrittenRun(tmp_path)
    other = WrittenRun(tmp_path / "other", run.spec.replace(prompt="{age} {gender} {power}?"))
    run.fail([run.failure(1, "timeout"), run.failure(2, "refused", "bad words"), run.failure(3, "refused")])
    run.fail([run.failure(4, "server"), run.failure(1, "refused"), other.failure(6, "timeout")])
    run.write([run.answer(4, "answered later")])
    (group,) = failures(tmp_path)
    assert (group.kind, group.count, group.examples[0]["index"]) == ("refused", 3, 2)
    assert group.as_dict()["examples"][0]["message"] == "bad words"
    run.fail([run.failure(2, "server"), run.failure(5, "server"), run.failure(6, "server")])
    assert [(each.kind, each.count) for each in failures(tmp_path)] == [("server", 3), ("refused", 2)]


def test_a_run_without_failures_has_no_groups(tmp_path: Path) -> None:
    """A run in which nothing failed yields an empty list of failures."""
    WrittenRun(tmp_path)
    assert failures(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She flies. He wal", "She flies."),
        ("She flies.", "She flies."),
        ("Wow!? Then he", "Wow!?"),
        ("And then... he", "And then..."),
        ("It ends… and", "It ends…"),
        ('He said "go!" and', 'He said "go!"'),
        ("(He left.) And", "(He left.)"),
        ("**He is bold.** And", "**He is bold.**"),
        ("Tall. He met Dr. Who and", "Tall."),
        ("Tall. He met J. R. R. Tolkien and", "Tall."),
        ("Tall. He is in the U.S. army", "Tall."),
        ("Tall. He weighs 3.5 kilos and", "Tall."),
        ("He is here, i.e. not there", ""),
        ("He was born in 1990. He", "He was born in 1990."),
        ("1. Strong\n2. Fas", ""),
        ("Powers:\n1. He flies.\n2. He", "Powers:\n1. He flies."),
        ("彼は飛ぶ。彼女は", "彼は飛ぶ。"),
        ("see example.com for", ""),
        ("no end at all", ""),
        ("", ""),
    ],
)
def test_trimming_cuts_to_the_last_full_sentence(text: str, expected: str) -> None:
    """Trimming keeps text up to the last full sentence, past abbreviations, decimals, list numbers and quotes."""
    assert expected == trim_to_sentence(text)


prose = st.lists(
    st.sampled_from([*".!?…。*\"') \n", "Dr", "J", "3", "1", "hero", "e.g", " ", "\u06d4", "é"]) | st.text(max_size=2)
).map("".join)


@settings(max_examples=300)
@given(prose)
def test_trimming_keeps_whole_sentences_and_is_idempotent(text: str) -> None:
    """Trimming keeps a prefix that ends a sentence, and trimming again changes nothing."""
    trimmed = trim_to_sentence(text)
    assert text.startswith(trimmed)
    assert trimmed == trim_to_sentence(trimmed)
    if trimmed:
        assert set(".!?…؟۔।॥。！？") & set(trimmed)  # noqa: RUF001 - other scripts' marks are meant
        assert not trimmed[-1].isspace()
        assert not trimmed[-1].isalnum()


def test_trimming_time_grows_with_the_text_and_no_faster() -> None:
    """Trimming stays fast on 200,000 repeated stops, so no text can make it quadratic."""
    for piece in (".", ".*", "!)", "1.", "a.b"):
        assert trim_to_sentence(piece * 200_000 + "x") in ("", piece * 200_000)
