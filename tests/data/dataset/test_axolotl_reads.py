"""axolotl's own code reads the assembled folders by the configuration in them, up to the rows that it would train on.

It brings other releases of the libraries that this package is tested with, and so runs in an environment of its own:
CONTRIBUTING.md says how to make one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from herogen_async.data.dataset import Assembled, assemble
from support.axolotl_reading import PREAMBLE
from support.runs import small_spec
from support.tiny_tokenizer import END
from support.trainer_readers import (
    as_written,
    conversation,
    made_sets,
    python_with,
    read_by,
    rows_of,
    written,
)

pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("axolotl"),
]

Read = dict[str, tuple[Assembled, dict[str, Any]]]


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter that has it."""
    return python_with("axolotl", "HEROGEN_AXOLOTL_PYTHON")


@pytest.fixture(scope="module")
def read(python: str, tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Each data set that has a configuration for it, and what it makes of that."""
    folder = tmp_path_factory.mktemp("sets")
    sets = {name: made for name, made in made_sets(folder).items() if (made.folder / "axolotl.yaml").exists()}
    found = read_by("axolotl_reading", python, folder / "model", [str(made.folder) for made in sets.values()])
    return {name: (made, rows) for (name, made), rows in zip(sets.items(), found, strict=True)}


def chat_rows(path: Path | None) -> list[Any]:
    return [conversation(row) for row in rows_of(path)]


def pair_rows(path: Path | None) -> list[Any]:
    return [[(False, row["prompt"]), (True, row["completion"] + END)] for row in rows_of(path)]


@pytest.mark.parametrize("name", ["messages", "sharegpt"])
def test_axolotl_learns_each_answer_of_a_chat_and_nothing_else(read: Read, name: str) -> None:
    """Every row of both files with its texts, the loss on the assistant's words and their end alone."""
    made, rows = read[name]
    assert as_written(chat_rows(made.data)) == as_written(rows["train"])
    assert as_written(chat_rows(made.valid)) == as_written(rows["valid"])
    assert (16, 4) == (len(rows["train"]), len(rows["valid"]))


@pytest.mark.parametrize("name", ["turns messages", "turns sharegpt"])
def test_axolotl_reads_the_system_text_and_every_turn(read: Read, name: str) -> None:
    """Those that `train` says, the loss on both turns of the assistant."""
    made, rows = read[name]
    assert as_written(chat_rows(made.data)) == as_written(rows["train"])
    assert [4 + 1 for _ in range(20)] == [len(row) for row in rows["train"]]


def test_axolotl_puts_its_own_preamble_before_each_row_of_alpaca(read: Read) -> None:
    """And learns the answers; no row is too long for that."""
    made, rows = read["alpaca"]
    for path, side in ((made.data, "train"), (made.valid, "valid")):
        before = f"{PREAMBLE}\n\n### Instruction:\n"
        wanted = [
            [(False, f"{before}{row['instruction']}\n\n### Response:\n"), (True, row["output"] + END)]
            for row in rows_of(path)
        ]
        assert as_written(wanted) == as_written(rows[side])


@pytest.mark.parametrize("name", ["prompt-completion", "parquet"])
def test_axolotl_learns_each_completion_with_its_marks(read: Read, name: str) -> None:
    """Nothing stands before the prompt or between both."""
    made, rows = read[name]
    assert as_written(pair_rows(made.data)) == as_written(rows["train"])
    assert as_written(pair_rows(made.valid)) == as_written(rows["valid"])


def test_axolotl_takes_no_attribute_for_a_system_text(read: Read) -> None:
    """Also one that is called `system`, `input` or `instruction`."""
    made, rows = read["odd"]
    assert as_written(pair_rows(made.data)) == as_written(rows["train"])


def test_axolotl_learns_all_of_a_text(read: Read) -> None:
    """With the end after it."""
    made, rows = read["text"]
    assert as_written([[(True, row["text"] + END)] for row in rows_of(made.data)]) == as_written(rows["train"])


def test_axolotl_reads_each_preference_pair(read: Read) -> None:
    """Prompt, better and worse answer as they were written."""
    made, rows = read["dpo"]
    assert as_written(rows_of(made.data)) == as_written(rows["train"])
    assert as_written(rows_of(made.valid)) == as_written(rows["valid"])


def test_axolotl_hands_thoughts_in_a_field_to_the_chat_template(read: Read) -> None:
    """They are learned with the answer."""
    made, rows = read["field"]
    assert as_written(chat_rows(made.data)) == as_written(rows["train"])
    assert "<think>Who is it?</think>A hero." in str(rows["train"])


def test_axolotl_reads_thoughts_in_front_of_the_answer(read: Read) -> None:
    """As part of its text."""
    for name in ("think messages", "think sharegpt"):
        made, rows = read[name]
        assert as_written(chat_rows(made.data)) == as_written(rows["train"])
        assert "<think>\nWho is it?\n</think>\n\nA hero." in str(rows["train"][0] + rows["train"][1]).replace(
            "\\n", "\n"
        )


def test_axolotl_learns_tool_calls_with_the_tools_before_them(read: Read) -> None:
    """Arguments are objects for the template, also in a row whose first neighbour calls nothing."""
    made, rows = read["tools"]
    assert as_written(chat_rows(made.data)) == as_written(rows["train"])
    assert '<call>look_up {"year": 1815, "more": {"a": []}}</call><call>now {}</call>' in str(rows["train"])


def test_axolotl_reads_texts_that_look_like_dates(read: Read) -> None:
    """In every format they are the texts that were written."""
    for name in ("messages", "sharegpt"):
        made, rows = read[f"dates {name}"]
        assert as_written(chat_rows(made.data)) == as_written(rows["train"])
    made, rows = read["dates prompt-completion"]
    assert as_written(pair_rows(made.data)) == as_written(rows["train"])


def test_axolotl_reads_the_rows_of_the_last_assembly(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps what it has prepared by the configuration alone; other rows have another one."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for word in ("first", "second"):
        run = written(tmp_path / word, small_spec(endpoint="chat"), [f"The {word} answer."])
        made = assemble(run, format="messages", out=tmp_path / "set")
        (found,) = read_by("axolotl_reading", python, tmp_path / "model", [str(made.folder)])
        assert as_written(chat_rows(made.data)) == as_written(found["train"])
