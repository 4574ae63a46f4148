"""What the cards, the trainers' configurations and the docs say to load gives back the texts that were written.

Slow imports: a test a tool, all formats and kinds of texts at once.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from herogen_async.data.dataset import Assembled, assemble, export
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.data.dataset.formats.text_columns import TextColumns
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial.md"

# Each list is all that a column holds: readers that infer look at whole columns.
TEXTS = {
    "dates": ["2026-05-01", "2026-05-02", "1999-12-31"],
    "moments": ["2026-05-01T10:00:00Z", "2026-05-01 10:00", "2026-05-02T00:00:00+02:00"],
    "zeros": ["01234", "00501", "02108"],
    "long": ["12345678901234567890123", "9007199254740993", "1"],
    "decimals": ["1.50", "0.1234567890123456789", "1e5"],
    "words": ["NA", "null", "nan"],
    "switches": ["true", "false", "True"],
    "uuids": ["123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174001", "none"],
}


def made_run(folder: Path, texts: list[str]) -> Path:
    """A run whose questions and answers are `texts`."""
    spec = Spec(name="texts", attributes={"date": texts}, prompt="Say {date}.", sub_prompt="{date}")
    run = WrittenRun(folder, spec)
    run.write(run.answer(index, text) for index, text in enumerate(texts))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Assembled, list[str]]]]:
    """Each kind of texts in each format but those that need two answers to a question, or have none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)  # no pictures: they cost a second a data set
        sets = []
        for kind, texts in TEXTS.items():
            folder = tmp_path_factory.mktemp(kind)
            run = made_run(folder / "run", texts)
            for name in FORMATS:
                if name not in ("dpo", "kto", "prompts"):
                    sets.append((assemble(run, format=name, out=folder / name), texts))
        yield sets


def code_in(page: str) -> list[str]:
    """The lines of Python that a page says to run, without its imports."""
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("import ")]


def read_by(start: str, page: str, folder: Path, **tools: Any) -> list[list[dict[str, Any]]]:
    """The rows that each line of `page` gives which begins with `start`, in `folder`."""

    def rows(found: Any) -> list[dict[str, Any]]:
        if start == "pd.":
            records: list[dict[str, Any]] = found.to_dict("records")
            return records
        if start == "duckdb.":
            return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
        return list(found["train"])

    lines = [line for line in code_in(page) if line.startswith(start)]
    assert lines
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return [rows(eval(line, tools)) for line in lines]


def questions_and_answers(rows: list[dict[str, Any]], made: Assembled) -> list[tuple[str, str]]:
    """The texts of rows in any format, without their marks."""
    how = made.how

    def pair(row: dict[str, Any]) -> tuple[str, str]:
        turns = row.get("messages", row.get("conversations"))
        if isinstance(row.get("prompt"), list):
            turns = [*row["prompt"], *row["completion"]]
        if turns is not None:
            question, answer = (turn.get("content", turn.get("value")) for turn in turns)
        elif "text" in row:
            question, _, answer = row["text"].partition(how.separator)
            question += how.separator
        else:
            question, answer = row.get("prompt", row.get("instruction")), row.get("completion", row.get("output"))
        return question.removesuffix(how.separator), answer.removeprefix(how.lead).removesuffix(how.ending)

    return [pair(row) for row in rows]


def test_datasets_gives_back_the_texts_by_card_and_by_config(
    made: list[tuple[Assembled, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder, and what the configurations for axolotl and LLaMA-Factory name, hold the texts that were written."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    datasets = pytest.importorskip("datasets")

    def load(*words: str, **more: Any) -> list[dict[str, Any]]:
        return list(datasets.load_dataset(*words, **more, cache_dir=str(tmp_path / "cache")))

    for each, texts in made:
        monkeypatch.chdir(each.folder)
        wanted = [(text, text) for text in texts]
        assert wanted == questions_and_answers(load(str(each.folder), split="train"), each), each.folder
        if not (each.folder / "axolotl.yaml").exists():
            continue
        (config,) = YAML(typ="safe").load(each.folder / "axolotl.yaml")["datasets"]
        # As axolotl does: a folder as it is, a file by its type.
        file = each.folder / config["path"]
        words = {"data_files": str(file)} if file.is_file() else {}
        by_axolotl = load(config["ds_type"] if words else config["path"], split=config["split"], **words)
        assert wanted == questions_and_answers(by_axolotl, each), each.folder
        if not (each.folder / "dataset_info.json").exists():  # its `datasets` is too old for such texts
            assert any((each.columns or {}).values())
            continue
        (entry,) = json.loads((each.folder / "dataset_info.json").read_text()).values()
        kind = "parquet" if entry["file_name"].endswith(".parquet") else "json"
        by_factory = load(kind, data_files=str(each.folder / entry["file_name"]), split="train")
        assert wanted == questions_and_answers(by_factory, each), each.folder


def test_other_rows_in_a_folder_are_not_the_ones_read_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` keeps what it read of a folder; after the next assembly it reads what is there then."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for texts in (["one", "two"], ["six", "ten"]):
        made = assemble(made_run(tmp_path / texts[0], texts), format="alpaca", out=tmp_path / "set")
        read = datasets.load_dataset(str(made.folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert texts == read["instruction"][:]


def test_pandas_gives_back_the_texts_by_the_card(made: list[tuple[Assembled, list[str]]]) -> None:
    """The very lines of each card, of the table of pairs too."""
    pandas = pytest.importorskip("pandas")
    for each, texts in made:
        wanted = [(text, text) for text in texts]
        for number, rows in enumerate(read_by("pd.", each.card.read_text(), each.folder, pd=pandas)):
            if number == 0:
                assert wanted == questions_and_answers(rows, each), each.folder
            else:
                assert wanted == [(row["prompt"], row["completion"]) for row in rows], each.folder


def test_duckdb_gives_back_the_texts_by_the_card(made: list[tuple[Assembled, list[str]]]) -> None:
    """The very lines of each card, of the table of pairs too."""
    duckdb = pytest.importorskip("duckdb")
    for each, texts in made:
        wanted = [(text, text) for text in texts]
        for number, rows in enumerate(read_by("duckdb.", each.card.read_text(), each.folder, duckdb=duckdb)):
            if number == 0:
                assert wanted == questions_and_answers(rows, each), each.folder
            else:
                assert wanted == [(row["prompt"], row["completion"]) for row in rows], each.folder


def test_an_export_gives_back_the_texts_by_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CSV, JSON lines and Parquet, read by the tutorial's lines: the attribute, the prompt and the answer."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    pandas, duckdb, datasets = (pytest.importorskip(name) for name in ("pandas", "duckdb", "datasets"))
    page = TUTORIAL.read_text()
    for kind, texts in TEXTS.items():
        run = made_run(tmp_path / kind, texts)
        for name in ("csv", "jsonl", "parquet"):
            folder = export(run, format=name).file.parent
        wanted = [(text, f"Say {text}.", text, text) for text in texts]
        tools = {"pd": pandas, "duckdb": duckdb, "datasets": datasets}
        read = [rows for tool in tools for rows in read_by(f"{tool}.", page, folder, **tools)]
        assert 6 == len(read)
        for rows in read:
            days = [row["cell"]["date"] if "cell" in row else row["date"] for row in rows]
            rest = [(row["prompt"], row["sub_prompt"], row["response_txt"]) for row in rows]
            got = [(day, *texts) for day, texts in zip(days, rest, strict=True)]
            assert wanted == got, kind


def test_a_batch_of_a_large_file_is_thought_of() -> None:
    """Where not all texts of a column are dates, those of one batch may be; a small file is read as one batch."""
    seen = TextColumns()
    for text in ("2026-05-01", "today"):
        seen.add({"instruction": text, "turns": [{"value": text}, {"value": "2026"}], "input": ""})
    calm = {("instruction",): False, ("turns", "value"): False, ("input",): False}
    assert calm == seen.found(size=1000)
    assert {**calm, ("instruction",): True, ("turns", "value"): True} == seen.found(size=100 << 20)
    seen.add({"count": 3})
    assert seen.found(size=1000) is None
