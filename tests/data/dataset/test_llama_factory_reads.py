"""LLaMA-Factory's own code reads the assembled folders with the settings on their cards, up to the rows it trains on.

It needs older releases of the libraries that this package is tested with, and so runs in an environment of its own:
CONTRIBUTING.md says how to make one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from herogen_async.data.dataset import Assembled
from support.tiny_tokenizer import END
from support.trainer_readers import conversation, made_sets, python_with, read_by, rows_of

pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("llama-factory"),
]

Read = dict[str, tuple[Assembled, dict[str, Any]]]
SETTINGS = {  # as the cards say; the others take the template of the model
    "text": {"stage": "pt", "packing": False},
    "prompt-completion": {},
    "parquet": {},
    "odd": {},
    "dpo": {"stage": "dpo"},
    "kto": {"stage": "kto"},
    "think messages": {"template": "qwen3"},
    "think sharegpt": {"template": "qwen3"},
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Each data set that is described to it, and what it makes of that."""
    python = python_with("llamafactory", "HEROGEN_LLAMA_FACTORY_PYTHON")
    folder = tmp_path_factory.mktemp("sets")
    sets = {name: made for name, made in made_sets(folder).items() if (made.folder / "dataset_info.json").exists()}
    folders = [
        (str(made.folder), SETTINGS.get(name.removeprefix("dates "), {"template": "chatml"}))
        for name, made in sets.items()
    ]
    found = read_by("llama_factory_reading", python, folder / "model", folders)
    return {name: (made, rows) for (name, made), rows in zip(sets.items(), found, strict=True)}


def chat_rows(path: Path | None) -> list[Any]:
    return listed([conversation(row, is_newline_learned=True) for row in rows_of(path)])


def listed(rows: Any) -> list[Any]:
    """As JSON has them."""
    return [listed(row) for row in rows] if isinstance(rows, list | tuple) else rows


@pytest.mark.parametrize("name", ["messages", "sharegpt", "alpaca"])
def test_llama_factory_learns_each_answer_of_a_chat_and_nothing_else(read: Read, name: str) -> None:
    """Every row of both files with its texts, the loss on the assistant alone."""
    made, rows = read[name]
    assert (chat_rows(made.data), chat_rows(made.valid)) == (rows["train"], rows["valid"])
    assert (16, 4) == (len(rows["train"]), len(rows["valid"]))


@pytest.mark.parametrize("name", ["turns messages", "turns sharegpt"])
def test_llama_factory_reads_the_system_text_and_every_turn(read: Read, name: str) -> None:
    """Those that `train` says, the loss on both turns of the assistant."""
    made, rows = read[name]
    assert chat_rows(made.data) == rows["train"]
    assert 20 == len(rows["train"])


@pytest.mark.parametrize("name", ["prompt-completion", "parquet", "odd"])
def test_llama_factory_learns_each_completion_with_its_marks(read: Read, name: str) -> None:
    """Nothing stands before the prompt, between both or after them."""
    made, rows = read[name]
    wanted = [[[False, row["prompt"]], [True, row["completion"]]] for row in rows_of(made.data)]
    assert wanted == rows["train"]


def test_llama_factory_learns_every_text(read: Read) -> None:
    """Each one whole, with the end after it; packed, it would drop what doesn't fill a block."""
    made, rows = read["text"]
    assert [[[True, row["text"] + END]] for row in rows_of(made.data)] == rows["train"]
    assert "`stage` to `pt` with `packing: false`" in made.card.read_text()


def test_llama_factory_reads_each_preference_pair(read: Read) -> None:
    """The better and the worse answer, each after the prompt."""
    made, rows = read["dpo"]
    wanted = [
        [[[False, row["prompt"]], [True, row[way]]] for way in ("chosen", "rejected")] for row in rows_of(made.data)
    ]
    assert wanted == rows["train"]


def test_llama_factory_reads_each_label(read: Read) -> None:
    """Better and worse answers with their prompts."""
    made, rows = read["kto"]
    wanted = [[[[False, row["prompt"]], [True, row["completion"]]], row["label"]] for row in rows_of(made.data)]
    assert wanted == rows["train"]
    assert {True, False} == {label for _, label in rows["train"]}


@pytest.mark.parametrize("name", ["think messages", "think sharegpt"])
def test_llama_factory_learns_thoughts_in_front_of_the_answer(read: Read, name: str) -> None:
    """Its templates of thinking models take them as theirs, and add none."""
    _, rows = read[name]
    thinking, without = (row[-1] for row in rows["train"])
    assert [True, f"<think>\nWho is it?\n</think>\n\nA hero.{END}\n"] == thinking
    assert [True, f"<think>\n\n</think>\n\nNo.{END}\n"] == without


def test_llama_factory_gets_no_data_set_that_it_would_change(read: Read) -> None:
    """Thoughts in a field, tool calls, and texts that its release of `datasets` takes for dates."""
    assert not read.keys() & {"field", "tools", "dates messages", "dates sharegpt", "dates alpaca"}
