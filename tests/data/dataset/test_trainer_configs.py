"""The trainers' configurations say what their own code needs so that it changes and drops nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from herogen_async.data.dataset import Assembled, assemble
from support.runs import small_spec
from support.trainer_readers import DATES, written


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def made(folder: Path, texts: list[str], name: str, **more: str) -> Assembled:
    run = written(folder / texts[0][:9], small_spec(endpoint="chat"), texts, "Hm.")
    return assemble(run, format=name, out=folder / "set", **more)  # type: ignore[arg-type]


def test_other_rows_are_prepared_by_axolotl_in_another_place(tmp_path: Path) -> None:
    """The same rows in the same."""
    places = []
    for text in ("one", "two", "two"):
        config = YAML(typ="safe").load(made(tmp_path, [text], "messages").folder / "axolotl.yaml")
        places.append(config["dataset_prepared_path"])
        (tmp_path / text).rename(tmp_path / f"run {len(places)}")
    assert places[0] != places[1] == places[2]


def test_axolotl_has_room_for_its_preamble_of_alpaca(tmp_path: Path) -> None:
    """A row of 240 tokens and 30 around it is not cut at 256."""
    texts = ["é" * 354]  # 708 bytes
    rooms = {
        name: YAML(typ="safe").load(made(tmp_path / name, texts, name).folder / "axolotl.yaml")["sequence_len"]
        for name in ("alpaca", "prompt-completion")
    }
    assert {"alpaca": 512, "prompt-completion": 256} == rooms


@pytest.mark.parametrize(
    ("texts", "name", "more"), [(["A hero."], "messages", {"reasoning": "field"}), (DATES, "alpaca", {})]
)
def test_llama_factory_is_told_of_nothing_that_it_would_change(
    tmp_path: Path, texts: list[str], name: str, more: dict[str, str]
) -> None:
    """Thoughts in a field; dates, where all texts of a column are some."""
    assembled = made(tmp_path, texts, name, **more)
    assert not (assembled.folder / "dataset_info.json").exists()
    assert "LLaMA-Factory" not in assembled.card.read_text()


def test_the_card_says_what_to_set_for_long_rows_and_for_texts(tmp_path: Path) -> None:
    """LLaMA-Factory cuts rows at 2048 tokens and packs texts, unless told otherwise."""
    long = made(tmp_path, ["brave " * 2000], "text").card.read_text()
    assert "`stage` to `pt` with `packing: false`, and `cutoff_len` to 4096" in long
    assert "cutoff_len" not in made(tmp_path, ["Brave."], "sharegpt").card.read_text()
