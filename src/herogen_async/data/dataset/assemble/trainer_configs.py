"""Starter configs for trainers: the file each one reads to train on the folder, for the formats it supports.

Field names: TRL 1.16 (`ScriptArguments`, `SFTConfig`, `DPOConfig`, `KTOConfig`, `ModelConfig`), axolotl 0.19 and
LLaMA-Factory 0.9.5. Paths are relative to the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from herogen_async.core import codec
from herogen_async.data.dataset.recipe import (
    ALPACA,
    CONVERSATIONAL,
    CONVERSATIONS,
    DPO,
    KTO,
    MESSAGES,
    PARQUET,
    PROMPT_COMPLETION,
    PROMPTS,
    RANKED,
    SHAREGPT,
    TEXT,
)

TRL, AXOLOTL, LLAMA_FACTORY = "trl.yaml", "axolotl.yaml", "dataset_info.json"
NAMES = (TRL, AXOLOTL, LLAMA_FACTORY)

# Small enough for a laptop; the completion formats start from the base model, which has no chat template.
_BASE, _CHAT = "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M-Instruct"
_LORA_RATE = "0.0002"  # ten times that of a full fine-tune, as usual for adapters; every YAML parser reads a number
_DPO_RATE = "0.000005"
_DEFAULT_CUTOFF = 2048  # tokens of a row that LLaMA-Factory reads, unless it is told otherwise
_SEAL = b"# Change it as you like: assembling again leaves a changed file as it is. As made: "


@dataclass(frozen=True, slots=True)
class Folder:
    """What a config is made for. `train` and `valid` are file names; every row fits in `max_tokens`.

    `name` is the data set's name, `place` the folder's, `rows` differs where the rows do. `by_card`: read by itself, a
    file would give other texts than it holds, so the folder is read, whose card declares them. `has_field`: thoughts
    stand in a field of their own.
    """

    name: str
    place: str
    format: str
    train: str
    valid: str | None
    max_tokens: int
    seed: int
    rows: str
    by_card: bool = False
    has_tool_calls: bool = False
    has_field: bool = False


def stubs(folder: Folder) -> Iterable[tuple[str, bytes]]:
    """(file name, content) of each config whose trainer supports this format."""
    if takes_trl(folder.format, has_tool_calls=folder.has_tool_calls):
        yield TRL, _sealed(_trl(folder))
    if _takes_axolotl(folder):
        yield AXOLOTL, _sealed(_axolotl(folder))
    if _takes_llama_factory(folder):
        yield LLAMA_FACTORY, codec.dumps_pretty(_llama_factory(folder))


def uses(folder: Folder) -> Mapping[str, str]:
    """What each of these configs is for, in Markdown."""
    notes = {
        TRL: f"starter config for TRL: `{command(folder.format)}`",
        AXOLOTL: f"starter config for axolotl: `axolotl train {AXOLOTL}`",
        LLAMA_FACTORY: f"for LLaMA-Factory: set `dataset_dir` to this folder and {_llama_factory_hint(folder)}",
    }
    return {name: notes[name] for name, _ in stubs(folder)}


def tokens_around(folder_format: str, turns: int) -> int:
    """Tokens that a trainer adds to a row at most: a chat template's marks and its own system text, or the preamble
    with which axolotl starts each row of alpaca; `turns` are those before the question.
    """
    return 64 + 8 * turns if folder_format in CONVERSATIONS else 16


def is_changed(name: str, content: bytes) -> bool:
    """Whether the config `name` was edited. Known for YAML only: JSON has no room for the seal, and needs no edits."""
    made, _, told = content.rpartition(_SEAL)
    return name != LLAMA_FACTORY and bool(content) and told.strip() != _digest(made)


def _sealed(text: str) -> bytes:
    made = text.encode()
    return made + _SEAL + _digest(made) + b"\n"


def _digest(made: bytes) -> bytes:
    return blake2b(made, digest_size=6).hexdigest().encode()


def takes_trl(folder_format: str, *, has_tool_calls: bool) -> bool:
    """Whether TRL supports it. It reads sharegpt's `from` and `value`, but chat templates lack `human` and `gpt`; what
    reads prompts alone needs a reward, which nobody but the user knows. Arguments of tool calls that are text, most
    chat templates would quote once more.
    """
    return folder_format not in (ALPACA, SHAREGPT, PROMPTS) and not (has_tool_calls and folder_format == MESSAGES)


def _takes_axolotl(folder: Folder) -> bool:
    """Whether axolotl reads its rows as they are."""
    return folder.format not in (CONVERSATIONAL, KTO, PROMPTS)


def _takes_llama_factory(folder: Folder) -> bool:
    """Whether LLaMA-Factory reads its rows as they are. It knows tool calls in none of these shapes, and takes no
    thoughts from a field: its templates would teach to think nothing. The `datasets` it needs is too old to keep texts
    that look like dates.
    """
    is_changed = folder.by_card or folder.has_tool_calls or folder.has_field
    return folder.format not in (CONVERSATIONAL, PROMPTS) and not is_changed


def command(folder_format: str) -> str:
    """The command that trains with the TRL config, in the folder."""
    return f"trl {folder_format if folder_format in RANKED else 'sft'} --config {TRL}"


def _trl(folder: Folder) -> str:
    loss = {
        PROMPT_COMPLETION: "completion_only_loss: true  # train on the completion only\n",
        PARQUET: "completion_only_loss: true  # train on the completion only\n",
        MESSAGES: "assistant_only_loss: false  # set to true if the chat template marks assistant turns\n",
        TEXT: "dataset_text_field: text\n",
        CONVERSATIONAL: "completion_only_loss: true  # train on the answer only\n",
        DPO: "beta: 0.1  # penalty for moving away from the initial model\n",
        KTO: "beta: 0.1  # penalty for moving away from the initial model\n",
    }[folder.format]
    splits = "dataset_train_split: train\n"
    if folder.valid:
        splits += "dataset_test_split: validation\neval_strategy: epoch\n"
    return (
        f"# TRL, in this folder: {command(folder.format)}; without a GPU add --use_cpu true\n"
        "# README.md here tells `datasets` which file is which split; it does not accept a bare dot as a folder.\n"
        f"model_name_or_path: {_model(folder)}  # the model to tune: put yours here\n"
        f"dataset_name: {codec.dumps(f'../{folder.place}').decode()}\n{splits}{loss}"
        f"max_length: {folder.max_tokens}  # tokens; estimated to fit the longest row\n"
        "use_peft: true\nlora_r: 16\nlora_alpha: 32\nlora_dropout: 0.05\nlora_target_modules: [all-linear]\n"
        f"learning_rate: {_DPO_RATE if folder.format in RANKED else _LORA_RATE}\n"
        "lr_scheduler_type: cosine\nnum_train_epochs: 3\n"
        "per_device_train_batch_size: 4\ngradient_accumulation_steps: 4\n"
        f"logging_steps: 5\nsave_strategy: epoch\nseed: {folder.seed}\noutput_dir: tuned\n"
    )


def _axolotl(folder: Folder) -> str:
    valid = ""
    if folder.valid:
        valid = "test_datasets:\n" + _axolotl_data(folder, folder.valid) + "evals_per_epoch: 1\n"
    return (
        "# axolotl, in this folder: axolotl train axolotl.yaml\n"
        f"base_model: {_model(folder)}  # the model to tune: put yours here\n"
        + ("rl: dpo\nrl_beta: 0.1\n" if folder.format == DPO else "train_on_inputs: false\n")
        + f"datasets:\n{_axolotl_data(folder, folder.train)}{valid}val_set_size: 0\n"
        f"dataset_prepared_path: last_run_prepared/{folder.rows}  # axolotl would read other rows from here again\n"
        f"sequence_len: {folder.max_tokens}  # tokens; estimated to fit the longest row\n"
        "adapter: lora\nlora_r: 16\nlora_alpha: 32\nlora_dropout: 0.05\nlora_target_linear: true\n"
        f"learning_rate: {_DPO_RATE if folder.format == DPO else _LORA_RATE}\n"
        "optimizer: adamw_torch\nlr_scheduler: cosine\nnum_epochs: 3\n"
        "micro_batch_size: 4\ngradient_accumulation_steps: 4\n"
        f"bf16: auto\nlogging_steps: 5\nsaves_per_epoch: 1\nseed: {folder.seed}\noutput_dir: tuned\n"
    )


def _axolotl_data(folder: Folder, file: str) -> str:
    kind = {
        MESSAGES: "type: chat_template\n    field_messages: messages\n",
        SHAREGPT: "type: chat_template\n    field_messages: conversations\n"
        "    message_property_mappings:\n      role: from\n      content: value\n",
        ALPACA: "type: alpaca\n",
        TEXT: "type: completion\n    field: text\n",
        DPO: "type:\n      field_prompt: prompt\n      field_chosen: chosen\n      field_rejected: rejected\n"
        '      prompt_format: "{prompt}"\n      chosen_format: "{chosen}"\n      rejected_format: "{rejected}"\n',
    }.get(
        folder.format,
        # An attribute may be called `system`, which axolotl would write before the prompt.
        'type:\n      field_instruction: prompt\n      field_output: completion\n      field_system: ""\n'
        '      format: "{instruction}"\n      no_input_format: "{instruction}"\n',
    )
    if folder.by_card:
        split = "train" if file == folder.train else "validation"
        return f"  - path: {codec.dumps(f'../{folder.place}').decode()}\n    split: {split}\n    {kind}"
    ds_type = "parquet" if folder.format == PARQUET else "json"
    return f"  - path: {file}\n    ds_type: {ds_type}\n    split: train\n    {kind}"


def _llama_factory(folder: Folder) -> dict[str, dict[str, Any]]:
    shapes: dict[str, dict[str, Any]] = {
        MESSAGES: {
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        },
        SHAREGPT: {"formatting": "sharegpt", "columns": {"messages": "conversations"}},
        ALPACA: {"columns": {"prompt": "instruction", "query": "input", "response": "output"}},
        TEXT: {"columns": {"prompt": "text"}},
        KTO: {"columns": {"prompt": "prompt", "response": "completion", "kto_tag": "label"}},
        DPO: {"ranking": True, "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}},
    }
    shape = shapes.get(folder.format, {"columns": {"prompt": "prompt", "response": "completion"}})
    described = {folder.name: {"file_name": folder.train, **shape}}
    if folder.valid:
        described[f"{folder.name}_valid"] = {"file_name": folder.valid, **shape}
    return described


def _llama_factory_hint(folder: Folder) -> str:
    """What else to set so that LLaMA-Factory trains on the rows as they are, continuing `set ... and`."""
    cutoff = f", and `cutoff_len` to {folder.max_tokens}" if folder.max_tokens > _DEFAULT_CUTOFF else ""
    if folder.format in (MESSAGES, ALPACA, SHAREGPT):
        return f"`template` to your model's{cutoff}"
    if folder.format == TEXT:  # packed, what doesn't fill the last block would be lost: of a small set, every row
        return f"`stage` to `pt` with `packing: false`{cutoff}"
    stage = f"`stage` to `{folder.format}` and " if folder.format in RANKED else ""
    return f"{stage}`template` to `empty`, as the rows have their own marks{cutoff}"


def _model(folder: Folder) -> str:
    return _CHAT if folder.format in CONVERSATIONS else _BASE
