"""The assembled files, read by the tools that they are for. Slow imports: a test a tool, all of its formats at once."""

from __future__ import annotations

import copy
import dataclasses
import importlib.resources
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML

from herogen_async.data.dataset import Assembled, assemble, export
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.generation.settings import Settings
from support.run_folders import WrittenRun
from support.runs import small_spec

HAZARD = 'Hero "0", \u2028 two\nlines; <b>bold</b> | --- \U0001f9b8 é.'
DPO, KTO = "dpo", "kto"
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a person up.",
        "parameters": {"type": "object", "properties": {"year": {"type": "integer", "description": "Of birth."}}},
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"year": 1815}'}}
# Chat templates that TRL brings, and of each whether it writes thoughts and tool calls.
TEMPLATES = {
    "qwen3": (True, True),
    "gptoss": (True, True),
    "glm4moe": (True, True),
    "qwen2_5": (False, True),
    "llama3_1": (False, True),
    "gemma3": (False, False),
    "phi3": (False, False),
}


@pytest.fixture
def assembled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Assembled]:
    """Makes a data set of the same twenty answers, in a folder of its own."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # no pictures: they cost a second a data set
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    run = WrittenRun(tmp_path / "run", small_spec(), settings=Settings(limit=20))
    run.write(
        run.answer(index, HAZARD if index == 0 else f"Hero {index} is {'very ' * index}brave.") for index in range(20)
    )
    ranking = tmp_path / "scores.csv"
    ranking.write_text("index,score\n" + "".join(f"{index},{index}\n" for index in range(20)))

    def make(name: str, **choice: Any) -> Assembled:
        more: dict[str, Any] = {"ranking": ranking} if name in (DPO, KTO) else {}
        return assemble(run.path, format=name, out=tmp_path / f"{name} {len(choice)}", **more, **choice)

    return make


def loaded(folder: Path | str, cache: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def test_datasets_loads_each_folder_with_its_splits_and_nothing_besides(
    tmp_path: Path, assembled: Callable[..., Assembled], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hugging Face datasets loads every format with exactly its splits and rows, also through TRL's stub."""
    for name in FORMATS:
        made = assembled(name, split=0.2)
        found = loaded(made.folder, tmp_path / "cache")
        assert ["train", "validation"] == list(found), name
        assert made.written == len(found["train"]) + len(found["validation"]) > 0, name
        assert made.files[0].rows == len(found["train"])
    whole = loaded(assembled("prompt-completion").folder, tmp_path / "cache")
    assert (["train"], 20) == (list(whole), len(whole["train"]))
    made = assembled("messages")
    monkeypatch.chdir(made.folder)  # where TRL's stub is used
    stub = YAML(typ="safe").load(made.folder / "trl.yaml")
    assert 20 == len(loaded(stub["dataset_name"], tmp_path / "cache")["train"])
    assert {"prompt": "20, man ->", "completion": f" {HAZARD} END"} == whole["train"][0]


def test_datasets_loads_thoughts_that_have_a_field(tmp_path: Path, assembled: Callable[..., Assembled]) -> None:
    """Also where the first rows have none: every row has the field."""
    run = WrittenRun(tmp_path / "thinking", small_spec(), settings=Settings(limit=4))
    run.write(run.answer(index, f"Hero {index}.", reasoning="hm" if index > 1 else None) for index in range(4))
    del assembled  # for its environment
    for name in ("messages", "prompt-completion", "parquet"):
        found = loaded(assemble(run.path, format=name, reasoning="field").folder, tmp_path / "cache")["train"]
        rows = [row["messages"][1] if name == "messages" else row for row in found]
        field = "reasoning_content" if name == "messages" else "reasoning"
        assert ["", "", "hm", "hm"] == [row[field] for row in rows], name


def test_pandas_reads_lines_pairs_and_tables(assembled: Callable[..., Assembled], tmp_path: Path) -> None:
    """pandas reads the JSONL, CSV and Parquet files with equal text, whole-number columns and UTC times."""
    pandas = pytest.importorskip("pandas")
    made = assembled("prompt-completion")
    lines, pairs = pandas.read_json(made.data, lines=True), pandas.read_csv(made.csv)
    assert (f" {HAZARD} END", HAZARD) == (lines.completion[0], pairs.completion[0])
    table = pandas.read_parquet(assembled("parquet").data)
    assert list(lines.completion) == list(table.completion)
    assert ["int64"] * 2 == [str(table[name].dtype) for name in ("repeat", "completion_tokens")]
    exported = pandas.read_parquet(export(tmp_path / "run", format="parquet").file)
    assert [HAZARD, "20", 1, 12.3] == [exported[name][0] for name in ("response_txt", "age", "repeat", "latency_ms")]
    assert "UTC" == str(exported.created_at.dt.tz)


def test_duckdb_reads_lines_and_tables(assembled: Callable[..., Assembled], tmp_path: Path) -> None:
    """DuckDB queries the JSONL and Parquet files by path with the right row counts and sums."""
    duckdb = pytest.importorskip("duckdb")
    export(tmp_path / "run", format="parquet")
    with duckdb.connect() as database:
        for made in (assembled("messages"), assembled("parquet"), assembled("dpo")):
            count = database.execute(f"select count(*) from '{made.data}'").fetchone()
            assert (made.written,) == count
        rows = database.execute(
            f"select age, count(*), sum(completion_tokens) from '{tmp_path / 'run' / 'dataset' / 'rows.parquet'}' "
            "where gender = 'man' group by age order by age limit 1"
        ).fetchall()
    assert [("20", 2, 22)] == rows


@pytest.fixture
def trl() -> Any:
    """The library, where it is installed."""
    pytest.importorskip("torch")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return pytest.importorskip("trl")


def tiny_model(texts: list[str]) -> tuple[Any, Any]:
    """A model of a few thousand weights and a tokenizer of these texts' words; nothing is downloaded."""
    import tokenizers
    import transformers

    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split(" ", "merged_with_next")
    trainer = tokenizers.trainers.WordLevelTrainer(special_tokens=["<unk>", "<end>"])
    words.train_from_iterator(texts, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.role }}: {{ message.content }} {% endfor %}"
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    return transformers.LlamaForCausalLM(config), tokenizer


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.filterwarnings("default")  # torch's and its friends' own
def test_trl_takes_the_rows_and_every_key_of_its_stub(
    trl: Any, tmp_path: Path, assembled: Callable[..., Assembled]
) -> None:
    """TRL knows every key of the stubs, and its trainers prepare all training rows of each kind."""
    kinds = {DPO: (trl.DPOConfig, trl.DPOTrainer), KTO: (trl.KTOConfig, trl.KTOTrainer)}
    for name in ("prompt-completion", "messages", "conversational", "text", "parquet", DPO, KTO):
        made = assembled(name, split=0.2)
        stub = YAML(typ="safe").load(made.folder / "trl.yaml")
        config, trainer = kinds.get(name, (trl.SFTConfig, trl.SFTTrainer))
        known = {
            field.name for kind in (config, trl.ModelConfig, trl.ScriptArguments) for field in dataclasses.fields(kind)
        }
        assert set() == set(stub) - known, name
        assert "all-linear" == trl.ModelConfig(lora_target_modules=stub["lora_target_modules"]).lora_target_modules
        if name not in ("messages", "conversational", "parquet", DPO, KTO):
            continue  # the others have the columns of one of these, or one column
        rows = loaded(made.folder, tmp_path / "cache")
        model, tokenizer = tiny_model([str(value) for row in rows["train"] for value in row.values()])
        own = {field.name for field in dataclasses.fields(config)}
        settings = {key: value for key, value in stub.items() if key in own} | {"output_dir": str(tmp_path / "tuned")}
        prepared = trainer(
            model=model,
            **({"ref_model": copy.deepcopy(model)} if name in kinds else {}),
            args=config(**settings, use_cpu=True, bf16=False),
            train_dataset=rows["train"],
            eval_dataset=rows["validation"],
            processing_class=tokenizer,
        ).train_dataset
        assert made.files[0].rows == len(prepared), name
        columns = set(prepared.column_names)
        needed = {DPO: {"prompt_ids", "chosen_ids", "rejected_ids"}, KTO: {"prompt_ids", "completion_ids", "label"}}
        assert needed.get(name, {"input_ids"}) <= columns, (name, columns)


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.filterwarnings("default")  # torch's and its friends' own
def test_trl_takes_one_step_with_rows_of_each_kind(
    trl: Any, tmp_path: Path, assembled: Callable[..., Assembled]
) -> None:
    """SFT on conversations, DPO, KTO, and GRPO on prompts alone, of a model of a few thousand weights."""
    grpo = {"num_generations": 2, "max_completion_length": 4}
    kinds: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
        "conversational": (trl.SFTConfig, trl.SFTTrainer, {}, {}),
        DPO: (trl.DPOConfig, trl.DPOTrainer, {}, {}),
        KTO: (trl.KTOConfig, trl.KTOTrainer, {}, {}),
        "prompts": (trl.GRPOConfig, trl.GRPOTrainer, grpo, {"reward_funcs": by_length}),
    }
    for name, (config, trainer, settings, more) in kinds.items():
        rows = loaded(assembled(name).folder, tmp_path / "cache")["train"]
        model, tokenizer = tiny_model([str(value) for row in rows for value in row.values()])
        shared = {"output_dir": str(tmp_path / name), "max_steps": 1, "per_device_train_batch_size": 2}
        step = trainer(
            model=model,
            args=config(**shared, **settings, use_cpu=True, bf16=False, report_to="none", save_strategy="no"),
            train_dataset=rows,
            processing_class=tokenizer,
            **({"ref_model": copy.deepcopy(model)} if name in (DPO, KTO) else {}),
            **more,
        ).train()
        assert 1 == step.global_step, name


def by_length(completions: list[Any], **_: Any) -> list[float]:
    """A reward that a test can give: the characters of an answer."""
    return [float(len(str(each))) for each in completions]


@pytest.fixture
def thinking_run(tmp_path: Path, assembled: Callable[..., Assembled]) -> Path:
    """A text and a call of a tool, each with thoughts before it."""
    del assembled  # for its environment
    sampling = {"extra": {"tools": [TOOL]}}
    run = WrittenRun(tmp_path / "thinking", small_spec(endpoint="chat", sampling=sampling), settings=Settings(limit=2))
    run.write(
        [
            run.answer(0, "A hero.", reasoning="Who is it?"),
            run.answer(1, "", "tool_calls", reasoning="Who is it?", extra={"tool_calls": [CALL]}),
        ]
    )
    return run.path


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.filterwarnings("default")  # torch's and its friends' own
def test_chat_templates_of_the_model_families_write_the_rows_out(trl: Any, thinking_run: Path) -> None:
    """Question, thoughts, answer and calls in their order, with the arguments as JSON that is quoted once."""
    made = assemble(thinking_run, format="conversational", reasoning="field", system="Be brief.")
    text, call = [orjson.loads(line) for line in made.data.read_bytes().splitlines()]
    _, tokenizer = tiny_model(["a text"])
    folder = importlib.resources.files(trl) / "chat_templates"
    shipped = {name: template for name in TEMPLATES if (template := folder / f"{name}.jinja").is_file()}
    assert 5 <= len(shipped)
    for name, template in shipped.items():
        has_thoughts, has_calls = TEMPLATES[name]

        def written(row: dict[str, Any], template: str = template.read_text()) -> str:
            messages = row["prompt"] + row["completion"]
            text = tokenizer.apply_chat_template(
                messages, tools=row["tools"], chat_template=template, tokenize=False, bos_token="<s>"
            )
            assert isinstance(text, str)
            return text[text.index("20, man") :]

        assert "A hero." in written(text), name
        assert has_thoughts == ("Who is it?" in written(text).partition("A hero.")[0]), name
        assert has_calls == ("look_up" in written(call) and "1815" in written(call)), name
        assert '\\"year' not in written(call), name


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.filterwarnings("default")  # torch's and its friends' own
def test_trl_takes_one_step_with_thoughts_and_tool_calls(trl: Any, tmp_path: Path, thinking_run: Path) -> None:
    """By the folder's card, so that rows without calls have none."""
    rows = loaded(assemble(thinking_run, format="conversational", reasoning="field").folder, tmp_path / "cache")[
        "train"
    ]
    model, tokenizer = tiny_model([str(value) for row in rows for value in row.values()])
    tokenizer.chat_template = (importlib.resources.files(trl) / "chat_templates" / "qwen3.jinja").read_text()
    settings = {"max_steps": 1, "per_device_train_batch_size": 2, "report_to": "none", "save_strategy": "no"}
    step = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(output_dir=str(tmp_path / "tuned"), use_cpu=True, bf16=False, **settings),
        train_dataset=rows,
        processing_class=tokenizer,
    ).train()
    assert 1 == step.global_step
