"""What the legacy tool did with a file is what `prepare` does, but where the tool's result was a defect."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.prepare_runs import Run, prepared, rows_of

CASES = Path(__file__).parent / "golden"
SEED_GRID = CASES / "03_seed_grid_294_some_truncated"
DEFECTS = {"11", "19", "26", "31", "42", "46", "48", "56"}
INTERACTIVE = {"52", "53"}


def cases(numbers: set[str], *, wanted: bool) -> list[Path]:
    found = sorted(path for path in CASES.iterdir() if path.is_dir())
    return [path for path in found if (path.name[:2] in numbers) is wanted]


def meta_of(case: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((case / "meta.json").read_text())
    return meta


def run(case: Path, folder: Path) -> Run:
    """The case in a folder of its own, as the tool was called."""
    meta = meta_of(case)
    for file in case.iterdir():
        if file.name not in ("meta.json", *meta["outputs"]):
            shutil.copy(file, folder)
    return prepared(folder / meta["input"], answers=meta["stdin"])


def one(number: str) -> Path:
    (case,) = cases({number}, wanted=True)
    return case


@pytest.mark.parametrize("case", cases(DEFECTS | INTERACTIVE, wanted=False), ids=lambda case: case.name)
def test_a_file_is_prepared_as_the_legacy_tool_did(case: Path, tmp_path: Path) -> None:
    """Each recorded legacy case gives the same actions, marks, exit code, file names and rows."""
    meta, made = meta_of(case), run(case, tmp_path)
    expected = meta["expected"]
    assert expected["exit_code"] == made.exit_code, made.said
    assert expected["actions"] == made.told["actions"]
    assert expected["prompt_indicator"] == made.told["prompt_indicator"]
    assert expected["stop"] == made.told["stop"]
    assert meta["outputs"] == [Path(output).name for output in made.told["outputs"]]
    for name in meta["outputs"]:
        assert rows_of(case / name) == rows_of(tmp_path / name)
    assert [] == made.told.get("mended", [])


@pytest.mark.parametrize("number", sorted(INTERACTIVE))
def test_answers_are_taken_as_the_legacy_tool_took_them(number: str, tmp_path: Path) -> None:
    """The golden list of actions ends with the first question: its line held all later ones, which the list lacks."""
    meta, made = meta_of(one(number)), run(one(number), tmp_path)
    expected = meta["expected"]
    assert expected["exit_code"] == made.exit_code
    assert expected["actions"] == made.told["actions"][: len(expected["actions"])]
    assert [] == made.told["outputs"]
    assert None is made.told["prompt_indicator"]
    assert None is made.told["stop"]
    assert ["prepared_data.csv"] == [file.name for file in tmp_path.iterdir()]


def as_golden(made: Run, number: str) -> None:
    """Actions and exit code are the golden ones."""
    expected = meta_of(one(number))["expected"]
    assert expected["exit_code"] == made.exit_code
    assert expected["actions"] == made.told["actions"]


def test_04_answers_that_all_end_with_a_full_stop_still_get_an_ending(tmp_path: Path) -> None:
    """Completions that all end with a full stop still get ` END`, where the legacy tool took the stop for it."""
    file = tmp_path / "prepared_data.csv"
    with (SEED_GRID / "prepared_data.csv").open(newline="") as source, file.open("w", newline="") as target:
        header, *rows = csv.reader(source)
        dotted = [[prompt, completion.rstrip(".") + "."] for prompt, completion in rows]
        csv.writer(target).writerows([header, *dotted])
    made = prepared(file)
    assert ["convert_format", "prompt_separator", "completion_ending", "completion_leading_space"] == made.actions
    assert " END" == made.told["stop"]
    assert {"accidental_ending"} == made.mended
    assert all(row["completion"].endswith(". END") for row in made.rows)


def test_11_what_a_grid_happens_to_share_is_no_separator(tmp_path: Path) -> None:
    """Text every cell of a grid happens to end with is no separator, so ` ->` is added."""
    made = run(one("11"), tmp_path)
    golden = [action["action"] for action in meta_of(one("11"))["expected"]["actions"]]
    assert [golden[0], "prompt_separator", *golden[1:]] == made.actions
    assert " ->" == made.told["prompt_indicator"]
    assert {"accidental_separator"} == made.mended
    assert all(row["prompt"].endswith("man, flight ->") for row in made.rows)


def test_12_a_letter_that_all_prompts_end_with_is_no_separator(tmp_path: Path) -> None:
    """A final letter shared by all prompts is no separator, so ` ->` is added."""
    file = tmp_path / "d.csv"
    file.write_text("prompt,completion\nflight,a\nteleport,b\nnight sight,c\n")
    made = prepared(file)
    assert " ->" == made.told["prompt_indicator"]
    assert ["flight ->", "teleport ->", "night sight ->"] == [row["prompt"] for row in made.rows]


def test_19_words_for_nothing_stay_words_and_only_empty_cells_are_empty(tmp_path: Path) -> None:
    """Words such as NA, None and null are kept as completions; only truly empty cells are dropped."""
    made = run(one("19"), tmp_path)
    assert {"kind": "necessary", "action": "drop_empty_completions", "value": 1} == made.told["actions"][1]
    words = {row["completion"].strip() for row in made.rows}
    assert {"NA", "None", "null", "nan", "N/A", "#N/A"} < words
    assert 10 == len(made.rows)
    assert "na_words" in made.mended


def test_26_a_letter_that_two_labels_share_is_not_advised_as_a_stop(tmp_path: Path) -> None:
    """Two labels with one common last letter get no stop, and the files equal the legacy ones."""
    made = run(one("26"), tmp_path)
    as_golden(made, "26")
    assert None is made.told["stop"]
    assert " ->" == made.told["prompt_indicator"]
    for name in meta_of(one("26"))["outputs"]:
        assert rows_of(one("26") / name) == rows_of(tmp_path / name)


def test_31_one_row_of_json_lines_is_fine_as_it_is(tmp_path: Path) -> None:
    """A JSONL file of one well-marked row needs no action and no second file."""
    made = run(one("31"), tmp_path)
    assert (0, [], " ->", " END") == (made.exit_code, made.actions, made.told["prompt_indicator"], made.told["stop"])
    assert ["one.jsonl"] == [file.name for file in tmp_path.iterdir()]


def test_42_the_long_row_goes_and_no_other(tmp_path: Path) -> None:
    """Only the one overlong row is dropped; every other row is kept in order."""
    made = run(one("42"), tmp_path)
    as_golden(made, "42")
    assert all(len(row["completion"]) < 10_000 for row in made.rows)
    with (one("42") / "prepared_data.csv").open(newline="") as file:
        given = [row for row in csv.DictReader(file) if row["completion"] and len(row["completion"]) < 10_000]
    assert [row["prompt"] + " ->" for row in given] == [row["prompt"] for row in made.rows]


def test_46_hexadecimal_numbers_keep_their_case(tmp_path: Path) -> None:
    """Lower-casing prompts leaves `0x1F` as written and still lowers the words beside it."""
    made = run(one("46"), tmp_path)
    as_golden(made, "46")
    assert ["007 ->", "8 ->", "0x1F ->", "true ->"] == [row["prompt"] for row in made.rows]


def test_48_a_file_of_one_row_is_prepared(tmp_path: Path) -> None:
    """A file of one row gets separator, ending and leading space like any other."""
    made = run(one("48"), tmp_path)
    assert ["convert_format", "prompt_separator", "completion_ending", "completion_leading_space"] == made.actions
    assert (0, " ->", " END") == (made.exit_code, made.told["prompt_indicator"], made.told["stop"])
    assert ["18, man, invisibility ->"] == [row["prompt"] for row in made.rows]


def test_56_no_cut_leaves_an_empty_completion(tmp_path: Path) -> None:
    """No shared prefix is cut when one completion consists of that prefix alone."""
    made = run(one("56"), tmp_path)
    assert [" Heroes\n", " Heroes are\n", " Heroes fly\n"] == [row["completion"] for row in made.rows]
    assert "completion_drop_prefix" not in made.actions
