"""Each format's rows have the keys that its trainers read, and the stubs beside them name the right files and keys."""

from __future__ import annotations

import csv
import hashlib
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled, assemble, export
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun
from support.runs import herogen, last_json, small_spec

JSON_LINES = ("prompt-completion", "messages", "alpaca", "sharegpt", "text")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the quality room's, and cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def heroes(path: Path, answers: int = 20) -> WrittenRun:
    """A finished run of 10 cells, twice each, whose answers differ."""
    run = WrittenRun(path, small_spec(), settings=Settings(limit=answers))
    run.write(run.answer(index, f"Hero number {index} is {'very ' * index}brave.") for index in range(answers))
    return run


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def yaml_of(path: Path) -> dict[str, Any]:
    value = YAML(typ="safe").load(path)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("prompt-completion", {"prompt": "20, man ->", "completion": " Hero number 0 is brave. END"}),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": "20, man"},
                    {"role": "assistant", "content": "Hero number 0 is brave."},
                ]
            },
        ),
        ("alpaca", {"instruction": "20, man", "input": "", "output": "Hero number 0 is brave."}),
        (
            "sharegpt",
            {
                "conversations": [
                    {"from": "human", "value": "20, man"},
                    {"from": "gpt", "value": "Hero number 0 is brave."},
                ]
            },
        ),
        ("text", {"text": "20, man -> Hero number 0 is brave. END"}),
        (
            "conversational",
            {
                "prompt": [{"role": "user", "content": "20, man"}],
                "completion": [{"role": "assistant", "content": "Hero number 0 is brave."}],
            },
        ),
    ],
)
def test_rows_are_as_the_trainers_read_them_and_the_recipe_says_how(
    tmp_path: Path, name: str, row: dict[str, Any]
) -> None:
    """Each format writes the rows its trainers expect, and the recipe records format, checksum and row count."""
    run = heroes(tmp_path)
    assembled = assemble(tmp_path, format=name)
    folder = tmp_path / "dataset" if name == "prompt-completion" else tmp_path / "dataset" / name
    assert folder == assembled.folder
    rows = rows_of(assembled.data)
    assert (row, 20) == (rows[0], len(rows))
    recipe = orjson.loads(assembled.recipe.read_bytes())
    made = replace(Recipe.of(name), attributes=run.spec.attributes, sub_prompt=run.spec.sub_prompt)
    assert made == Recipe.from_dict(recipe)
    facts = recipe["files"][assembled.data.name]
    assert {"sha256": hashlib.sha256(assembled.data.read_bytes()).hexdigest(), "rows": 20, "role": "all"} == facts


def test_the_system_message_is_not_part_of_the_training_rows(tmp_path: Path) -> None:
    """The system text is kept out of the `messages` rows and documented in the card."""
    run = WrittenRun(tmp_path, small_spec(system="You write for children.", endpoint="chat"))
    run.write([run.answer(0, "Hero.")])
    assembled = assemble(tmp_path, format="messages")
    assert ["user", "assistant"] == [turn["role"] for turn in rows_of(assembled.data)[0]["messages"]]
    assert "You write for children." in assembled.card.read_text()


def test_with_a_split_the_rows_are_in_two_files_under_the_legacy_names(tmp_path: Path) -> None:
    """A split writes disjoint prompts to the legacy train and valid files, and the recipe records the split."""
    heroes(tmp_path)
    assembled = assemble(tmp_path, split=0.2, seed=3)
    train, valid = rows_of(assembled.data), rows_of(assembled.folder / "prepared_data_prepared_valid.jsonl")
    assert ("prepared_data_prepared_train.jsonl", 20) == (assembled.data.name, len(train) + len(valid))
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in valid}
    recipe = orjson.loads(assembled.recipe.read_bytes())
    assert {"train": len(train), "valid": len(valid), "pairs": 20} == {
        facts["role"]: facts["rows"] for facts in recipe["files"].values()
    }
    split = recipe["split"]
    assert (0.2, 3, len(valid)) == (split["fraction"], split["seed"], split["rows"]["valid"])


def test_a_new_data_set_leaves_no_older_one_to_train_on_by_mistake(tmp_path: Path) -> None:
    """Stale data files of an earlier data set are removed, except those a person has changed."""
    heroes(tmp_path)
    whole = assemble(tmp_path).data
    split = assemble(tmp_path, split=0.2)
    assert not whole.exists(), "it holds the rows that are kept for validation now"
    split.data.write_bytes(b"changed by a person")
    assemble(tmp_path)
    assert whole.exists()
    assert split.data.read_bytes() == b"changed by a person"
    assert not (tmp_path / "dataset" / "prepared_data_prepared_valid.jsonl").exists()


def test_a_persons_readme_is_never_overwritten(tmp_path: Path) -> None:
    """A README that `assemble` didn't make stops it before anything is written."""
    heroes(tmp_path / "run")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="not made by assemble"):
        assemble(tmp_path / "run", out=tmp_path)
    assert "mine" == (tmp_path / "README.md").read_text()
    assert {"README.md", "run"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("messages.jsonl", {"format": "messages"}),
        ("prepared_data.csv", {}),
        ("text_valid.jsonl", {"format": "text", "split": 0.2}),
    ],
)
def test_assemble_overwrites_only_files_that_a_recipe_claims(tmp_path: Path, name: str, choice: dict[str, Any]) -> None:
    """Assemble never overwrites a file unless a recipe beside it shows that assemble wrote it."""
    heroes(tmp_path / "run")
    own = tmp_path / name
    own.write_text("mine")
    with pytest.raises(InputError, match="not made by assemble"):
        assemble(tmp_path / "run", out=tmp_path, **choice)
    assert "mine" == own.read_text()
    elsewhere = assemble(tmp_path / "run", out=tmp_path / "out", **choice)
    assert elsewhere.data == assemble(tmp_path / "run", out=tmp_path / "out", **choice).data


def test_assemble_keeps_edited_stubs_and_renews_untouched_ones(tmp_path: Path) -> None:
    """A trainer stub edited by hand is kept; an unedited one is rewritten, or removed where it no longer fits."""
    heroes(tmp_path / "run")
    out = tmp_path / "out"
    assert () == assemble(tmp_path / "run", out=out).changed
    stub = out / "trl.yaml"
    assert () == assemble(tmp_path / "run", out=out, split=0.2).changed
    assert "eval_strategy: epoch" in stub.read_text()
    mine = stub.read_text().replace("HuggingFaceTB/SmolLM2-135M", "my/model")
    stub.write_text(mine)
    assembled = assemble(tmp_path / "run", out=out)
    assert (("trl.yaml",), mine) == (assembled.changed, stub.read_text())
    assert "Kept with your edits (delete to regenerate): trl.yaml" in assembled.lines()
    assemble(tmp_path / "run", format="sharegpt", out=out)
    assert mine == stub.read_text()
    stub.unlink()
    assemble(tmp_path / "run", out=out)
    assemble(tmp_path / "run", format="sharegpt", out=out)
    assert not stub.exists(), "TRL does not take these rows, and would read them by it"


def test_p5_an_interrupted_assembly_is_completed_next_time(tmp_path: Path) -> None:
    """After a failed write the recipe still matches the data on disk, and the next run completes the folder."""
    heroes(tmp_path)
    page = tmp_path / "dataset" / "quality" / "report.html"
    page.mkdir(parents=True)  # nothing can be put there
    with pytest.raises(InputError, match="is a folder"):
        assemble(tmp_path)
    known = orjson.loads((tmp_path / "dataset" / "recipe.json").read_bytes())
    data = (tmp_path / "dataset" / "prepared_data_prepared.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest() == known["files"]["prepared_data_prepared.jsonl"]["sha256"]
    page.rmdir()
    assert 20 == assemble(tmp_path).written
    assert page.is_file()


def test_p5_without_room_for_all_rows_no_file_appears(tmp_path: Path) -> None:
    """If any data file hits the size limit, none of them appears in the output folder."""
    heroes(tmp_path)
    whole = assemble(tmp_path)
    pairs, rows = whole.csv.stat().st_size, whole.data.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((pairs + rows) // 2, hard))  # room for the one and not for the other
    try:
        with pytest.raises(InputError, match="File too large"):
            assemble(tmp_path, out=tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert pairs < rows
    assert [] == list((tmp_path / "out").iterdir())


def test_findings_are_left_out_only_when_they_are_named(tmp_path: Path) -> None:
    """Flagged rows are kept and reported until `--drop` names their kind, and dropped rows are then counted."""
    run = WrittenRun(tmp_path, small_spec(), settings=Settings(limit=12))
    texts = ["The same hero.", "The same hero.", "I'm sorry, but I can't help with that."]
    texts += [f"Hero number {index} is {'very ' * index}brave." for index in range(9)]
    run.write(run.answer(index, text) for index, text in enumerate(texts))
    whole = assemble(tmp_path)
    assert 12 == whole.written
    assert any(line.endswith("to drop them: --drop refused,duplicate") for line in whole.lines())
    assert any("refused to answer" in warning for warning in whole.warnings)
    assembled = assemble(tmp_path, drop=["duplicate", "refused"])
    assert {"duplicate": 1, "refused": 1} == dict(assembled.count.dropped)
    assert 10 == assembled.written == len(rows_of(assembled.data))
    assert any("Left out by --drop: 2" in line for line in assembled.lines())
    assert not any("refused to answer" in warning for warning in assembled.warnings)
    assert 2 == sum(assembled.as_dict()["left_out"]["dropped"].values())


def scores(run: WrittenRun, given: dict[int, object], path: Path) -> Path:
    """`given` as a person makes it of an export: its CSV with one more column."""
    with export(run.path, out=path.with_suffix(".export.csv")).file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "score"])
        table.writeheader()
        table.writerows({**row, "score": given.get(int(row["index"]), "")} for row in rows)
    return path


def test_dpo_sets_the_best_answer_of_a_cell_against_its_worst(tmp_path: Path) -> None:
    """DPO pairs each cell's best-scored answer with its worst, and ties and unscored answers are counted."""
    run = WrittenRun(tmp_path, small_spec(values=2, repeats=3), settings=Settings(limit=12))
    run.write(run.answer(index, f"Hero {index}.") for index in range(12))
    ranking = scores(run, {0: 1, 1: 5, 2: 3, 3: 7, 4: 7, 6: -1, 9: 0.5, 10: 0.25, 11: 0.75}, tmp_path / "scores.csv")
    assembled = assemble(tmp_path, format="dpo", ranking=ranking)
    assert [
        {"prompt": "20, man ->", "chosen": " Hero 1. END", "rejected": " Hero 0. END"},
        {"prompt": "21, woman ->", "chosen": " Hero 11. END", "rejected": " Hero 10. END"},
    ] == rows_of(assembled.data)
    assert assembled.compared is not None
    assert {"pairs": 2, "single": 1, "ties": 1, "unscored": 3, "unknown": 0} == assembled.compared.as_dict()
    assert f"2 pairs from 12 answers -> {assembled.data}" == assembled.lines()[0]
    by_line = tmp_path / "scores.jsonl"
    by_line.write_text('{"index": 0, "score": 1}\n\n{"index": 1, "score": 5.5}\n{"index": 99, "score": 1}\n')
    assembled = assemble(tmp_path, format="dpo", ranking=by_line)
    assert [" Hero 1. END"] == [row["chosen"] for row in rows_of(assembled.data)]
    assert assembled.compared is not None
    assert 1 == assembled.compared.unknown


def test_kto_has_the_best_and_the_worst_answer_of_a_cell_each_with_its_label(tmp_path: Path) -> None:
    """Of the same answers as dpo, in two rows."""
    run = WrittenRun(tmp_path, small_spec(values=2, repeats=3), settings=Settings(limit=12))
    run.write(run.answer(index, f"Hero {index}.") for index in range(12))
    ranking = scores(run, {0: 1, 1: 5, 2: 3, 3: 7, 4: 7, 9: 0.5, 10: 0.25}, tmp_path / "scores.csv")
    assembled = assemble(tmp_path, format="kto", ranking=ranking)
    assert [
        {"prompt": "20, man ->", "completion": " Hero 1. END", "label": True},
        {"prompt": "20, man ->", "completion": " Hero 0. END", "label": False},
        {"prompt": "21, woman ->", "completion": " Hero 9. END", "label": True},
        {"prompt": "21, woman ->", "completion": " Hero 10. END", "label": False},
    ] == rows_of(assembled.data)
    assert f"4 of 12 answers -> {assembled.data}" == assembled.lines()[0]
    assert assembled.step == f"cd {assembled.folder} && trl kto --config trl.yaml"


def test_prompts_are_asked_once_each_and_have_no_answer(tmp_path: Path) -> None:
    """Two answers to one question are one prompt; what is left out is told."""
    heroes(tmp_path)
    assembled = assemble(tmp_path, format="prompts", system="Be brave.")
    rows = rows_of(assembled.data)
    system = {"role": "system", "content": "Be brave."}
    assert {"prompt": [system, {"role": "user", "content": "20, man"}]} == rows[0]
    assert (10, 10) == (len(rows), len({orjson.dumps(row) for row in rows}))
    assert "Left out, the same question as another answer: 10." in assembled.lines()
    assert 10 == assembled.as_dict()["left_out"]["repeated"]
    assert not (assembled.folder / "trl.yaml").exists(), "it would need a reward"
    assert "train on it as described in" in assembled.step


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("key,score\nabc,good\n", "line 2"),
        ("name,score\nabc,1\n", "line 2"),
        ('{"index": 0, "score": NaN}\n{"index": 1}\n', "no score"),
        ('{"index": 0, "score": 1}\nnot json\n', "line 2"),
        ("key,score\n", "no score"),
        ("index,score\n0,1\n1,2\n0,3\n", "line 4"),
        ("index,score\n70,1\n71,2\n", "none of the 2 scores"),
        ("", "no score"),
    ],
)
def test_a_ranking_that_can_not_be_read_is_named_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    """An unreadable ranking raises an error that names the line and a fix, and no DPO file is written."""
    heroes(tmp_path)
    (tmp_path / "scores").write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        assemble(tmp_path, format="dpo", ranking=tmp_path / "scores")
    assert caught.value.fix
    assert not list(tmp_path.glob("dataset/dpo/*"))


@pytest.mark.parametrize(
    ("choice", "words", "fix"),
    [
        ({"format": "mesages"}, "'mesages'", "did you mean 'messages'"),
        ({"drop": ["duplicates"]}, "'duplicates'", "did you mean 'duplicate'"),
        ({"format": "dpo"}, "--ranking FILE", "herogen-async export"),
        ({"ranking": "x.csv"}, "is only for --format dpo", "remove --ranking"),
        ({"format": "dpo", "ranking": "nowhere.csv"}, "can't be read", "herogen-async export"),
        ({"split": 1.5}, "1.5", "between 0 and 1"),
        ({"split": 0.001}, "leaves the valid side empty", "larger share"),
    ],
)
def test_a_wrong_choice_is_a_sentence_and_writes_nothing(
    tmp_path: Path, choice: dict[str, Any], words: str, fix: str
) -> None:
    """A wrong format, drop, ranking or split is named with a fix, and no data set file is written."""
    heroes(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        assemble(tmp_path, **choice)
    assert fix in (caught.value.fix or "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name == "dataset"]


def ranked(tmp_path: Path, run: WrittenRun, name: str) -> dict[str, Any]:
    """What `assemble` needs besides for this format."""
    if name not in ("dpo", "kto"):
        return {}
    return {"ranking": scores(run, dict(enumerate(range(20))), tmp_path / "scores.csv")}


@pytest.mark.parametrize("name", FORMATS)
def test_trainer_stubs_name_the_folders_own_files_and_columns(tmp_path: Path, name: str) -> None:
    """Trainer stubs name the folder's own files and only columns that those files have."""
    run = heroes(tmp_path)
    assembled = assemble(tmp_path, format=name, split=0.2, **ranked(tmp_path, run, name))
    if name not in ("conversational", "kto", "prompts"):
        assert_axolotl(assembled)
    stubs = [each for each in ("axolotl.yaml", "dataset_info.json") if (assembled.folder / each).exists()]
    if name in ("conversational", "prompts"):
        assert [] == stubs
        described = {}
    else:
        described = orjson.loads((assembled.folder / "dataset_info.json").read_bytes())
    assert not described or ["small", "small_valid"] == list(described)
    assert not described or [assembled.data.name, assembled.valid and assembled.valid.name] == [
        each["file_name"] for each in described.values()
    ]
    if name != "parquet" and described:
        columns = rows_of(assembled.data)[0]
        assert set(described["small"]["columns"].values()) <= set(columns)
    if name in ("alpaca", "sharegpt", "prompts"):
        assert not (assembled.folder / "trl.yaml").exists()
        return
    stub = yaml_of(assembled.folder / "trl.yaml")
    assert assembled.folder == (assembled.folder / stub["dataset_name"]).resolve()
    assert ("validation", "epoch") == (stub["dataset_test_split"], stub["eval_strategy"])
    assert (name in ("prompt-completion", "parquet", "conversational")) == ("completion_only_loss" in stub)


def assert_axolotl(assembled: Assembled) -> None:
    stub = yaml_of(assembled.folder / "axolotl.yaml")
    (train,), (valid,) = stub["datasets"], stub["test_datasets"]
    assert (assembled.data.name, assembled.valid and assembled.valid.name) == (train["path"], valid["path"])
    assert train["type"] == valid["type"]
    assert ("dpo" if assembled.how.format == "dpo" else None) == stub.get("rl")
    assert isinstance(stub["learning_rate"], float)


def test_max_length_in_the_stubs_fits_the_longest_row(tmp_path: Path) -> None:
    """The trainer stub's max_length is large enough for a row of a thousand words."""
    run = WrittenRun(tmp_path, small_spec())
    run.write([run.answer(0, "brave " * 1000)])
    assembled = assemble(tmp_path)
    assert 2048 == yaml_of(assembled.folder / "trl.yaml")["max_length"]


def test_an_attribute_may_be_called_as_a_column_is(tmp_path: Path) -> None:
    """Attributes whose names clash with Parquet columns get the prefix `cell_`; others keep their names."""
    pyarrow_parquet = pytest.importorskip("pyarrow.parquet")
    attributes = {"Model": ["a"], "completion": ["b"], "age": ["c"]}
    spec = Spec(name="clash", attributes=attributes, prompt="{Model}{completion}{age}")
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(0, "Hero.")])
    assembled = assemble(tmp_path, format="parquet")
    names = pyarrow_parquet.read_schema(assembled.data).names
    assert ["prompt", "completion", "cell_Model", "cell_completion", "age", "repeat"] == names[:6]


def test_without_pyarrow_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow, assemble and export to Parquet name the extra to install."""
    heroes(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for make in (lambda: assemble(tmp_path, format="parquet"), lambda: export(tmp_path, format="parquet")):
        with pytest.raises(InputError, match="pyarrow") as caught:
            make()
        assert "pip install 'herogen-async[parquet]'" in (caught.value.fix or "")


def test_the_command_takes_all_choices_and_says_what_is_next(tmp_path: Path) -> None:
    """`assemble` accepts split, drop and format together and prints a next command that fits the result."""
    heroes(tmp_path / "runs" / "heroes")
    done = herogen("assemble", "heroes", "--split", "0.2", "--drop", "refused, length", "--json", cwd=tmp_path)
    found = last_json(done.stdout)
    assert (0, "herogen-async finetune heroes") == (done.returncode, found["next"])
    assert (16, 4) == tuple(found["split"]["rows"][side] for side in ("train", "valid"))
    assert found["valid"].endswith("prepared_data_prepared_valid.jsonl")
    done = herogen("assemble", "heroes", "--format", "alpaca", cwd=tmp_path)
    assert "Next: train on it as described in " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["messages", "conversational", "sharegpt", "prompts"])
@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("system", [None, "You know {age}."])
def test_roles_alternate_and_end_with_the_answer(tmp_path: Path, name: str, turns: int, system: str | None) -> None:
    """At most one system text comes first; rows of questions alone end with the user's."""
    train = [{"system": system}] if system else []
    for number in range(turns):
        train += [{"user": f"{number}: {{gender}}?"}, {"assistant": "{response_txt}"}]
    run = WrittenRun(tmp_path, small_spec(train=train, endpoint="chat"), settings=Settings(limit=2))
    run.write(run.answer(index, f"Hero {index}.") for index in range(2))
    for row in rows_of(assemble(tmp_path, format=name).data):
        messages = row.get("messages") or row.get("conversations") or row["prompt"] + row.get("completion", [])
        roles = [
            {"human": "user", "gpt": "assistant"}.get(role, role)
            for each in messages
            if (role := each.get("role", each.get("from")))
        ]
        wanted = (["system"] if system else []) + ["user", "assistant"] * turns
        assert (wanted[:-1] if name == "prompts" else wanted) == roles
