"""The training itself: load, tokenize, train, keep. Only the trainer's process imports this: it brings torch.

The recipe is the one that was measured on the embedded model: weights in 32-bit floats, loss on the answer alone,
LoRA on every linear map. TRL's own defaults are for GPUs: bf16, gradient checkpointing and a rate of 2e-5.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from herogen_async.core import codec
from herogen_async.core.cores import usable_cores
from herogen_async.data.dataset.recipe import MESSAGES
from herogen_async.generation.endpoint.embedded.checksum_cache import hash_file
from herogen_async.generation.endpoint.embedded.gguf_header import read_header
from herogen_async.generation.run_folder.disk import REAL
from herogen_async.tune.finetune.local import event_log, memory
from herogen_async.tune.finetune.local.adapter import TARGETS, convert_adapter
from herogen_async.tune.finetune.local.base_model import FOLDER, GGUF
from herogen_async.tune.finetune.local.event_log import EventLog
from herogen_async.tune.finetune.local.feasibility import KEPT_CHECKPOINTS, longest_row, too_little
from herogen_async.tune.finetune.local.job_folder import TuneFolder, checkpoints_of, drop_unfinished
from herogen_async.tune.finetune.local.trainer_stop import Refused, Stop, TrainingStopped
from herogen_async.tune.options import LORA

_ALPHA = 32
_WARM_UP_STEPS = 5
_CHECKPOINTS_AN_EPOCH = 4
_SPARE_TOKENS = 8  # TRL may add one that was not counted
_PADS = ("<|endoftext|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>")


def train(folder: TuneFolder, log: EventLog, stop: Stop) -> dict[str, Any]:
    """Train what `folder` says, from its last checkpoint if there is one; returns what is known of the result.

    Raises Refused when it can't succeed, Stopped when it was stopped.
    """
    config = folder.read_config()
    assert config is not None
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else memory.free_bytes()
    torch.set_num_threads(usable_cores())
    transformers.set_seed(config["seed"])
    log.append(event_log.MESSAGE, f"Loading {config['model']['name']} ({device}).")
    _require_same_weights(config["model"])
    tokenizer = _tokenizer(config)
    rows = _read(folder.data / config["training"], config["format"])
    held_out = _read(folder.data / config["validation"], config["format"]) if config["validation"] else None
    length = _length(config, tokenizer, rows + (held_out or []), log)
    batch = _batch(config, length, free, log)
    resumed = _last_checkpoint(folder)
    trainer = trl.SFTTrainer(
        model=_model(config),
        args=_arguments(config, folder, batch=batch, length=length, rows=len(rows), device=device, tests=held_out),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        processing_class=tokenizer,
        peft_config=_lora(config) if config["method"] == LORA else None,
        callbacks=[_EventCallback(log, stop)],
    )
    if held_out and resumed is None:
        trainer.evaluate()
    stop.gently = True
    if not stop.asked:
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    if stop.asked:
        raise TrainingStopped
    stop.gently = False
    return _keep_result(trainer, folder, config) | {
        "device": device,
        "max_length": length,
        "computed_at_once": batch,
        "peak_mb": _peak_mb(device),
    }


def _require_same_weights(model: dict[str, str]) -> None:
    """An adapter that was begun on some weights is no good on others."""
    path = Path(model["path"])
    if not path.exists():
        raise Refused(f"model {str(path)!r} is gone", "restore it, or start a new fine-tune")
    if model["kind"] == GGUF and hash_file(path, lambda _: None) != model["sha256"]:
        raise Refused(f"{str(path)!r} has changed since this fine-tune started", "start a new fine-tune")


def _tokenizer(config: dict[str, Any]) -> Any:
    path = Path(config["model"]["path"])
    if config["model"]["kind"] == GGUF:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    else:
        tokenizer = AutoTokenizer.from_pretrained(str(path))
    if tokenizer.pad_token in (None, tokenizer.eos_token):  # the loss leaves padding out, and the end is to be learned
        words = tokenizer.get_vocab()
        known = [word for word in _PADS if word in words and word != tokenizer.eos_token]
        tokenizer.pad_token = (known or [tokenizer.unk_token or tokenizer.eos_token])[0]
    if config["format"] == MESSAGES and not tokenizer.chat_template:
        raise Refused(
            f"{config['model']['name']} has no chat template, so it can't learn from messages",
            "assemble the data set as prompt-completion, or tune a chat model",
        )
    return tokenizer


def _model(config: dict[str, Any]) -> Any:
    path = Path(config["model"]["path"])
    if config["model"]["kind"] == FOLDER:
        return AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(
        str(path.parent),
        gguf_file=path.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    if hasattr(model.config, "quantization_config"):  # transformers 5.23 leaves it there or not
        del model.config.quantization_config  # the Trainer refuses to train what it takes for quantised
    return model


def _read(path: Path, form: str) -> list[dict[str, Any]]:
    """The rows as TRL wants them: of a talk, the last answer is learned."""
    rows = [codec.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    if form == MESSAGES:
        return [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]
    return [{"prompt": row["prompt"], "completion": row["completion"]} for row in rows]


def _length(config: dict[str, Any], tokenizer: Any, rows: list[dict[str, Any]], log: EventLog) -> int:
    """How many tokens of a row are learned from: the longest row's, up to a limit."""
    if config["format"] == MESSAGES:
        texts = [tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows]
    else:
        texts = [row["prompt"] + row["completion"] for row in rows]
    lengths = [len(ids) + _SPARE_TOKENS for ids in tokenizer(texts)["input_ids"]]
    shape = _shape(config)
    most = longest_row(max(lengths), shape.context_tokens if shape else None)
    longer = sum(length > most for length in lengths)
    if longer:
        log.append(
            event_log.MESSAGE,
            f"{longer} of {len(rows)} rows exceed {most} tokens and are truncated; their ends are not learned.",
            level="warn",
        )
    return most


def _shape(config: dict[str, Any]) -> memory.ModelShape | None:
    return None if config["shape"] is None else memory.ModelShape(**config["shape"])


def _batch(config: dict[str, Any], length: int, free: int, log: EventLog) -> int:
    """How many rows are computed at once, of those that divide the batch."""
    wanted: int = config["batch_size"]
    shape = _shape(config)
    if shape is None:
        return wanted
    batch = memory.fitting_batch(shape, config["method"], batch=wanted, tokens=length, free=free)
    if not batch:
        needed = memory.peak_bytes(shape, config["method"], 1, length)
        raise Refused(*too_little(config["model"]["name"], needed, length, free))
    if batch < wanted:
        log.append(event_log.MESSAGE, f"Batches of {wanted} rows are computed {batch} rows at a time to save memory.")
    return batch


def _arguments(
    config: dict[str, Any],
    folder: TuneFolder,
    *,
    batch: int,
    length: int,
    rows: int,
    device: str,
    tests: list[dict[str, Any]] | None,
) -> Any:
    steps = math.ceil(rows / config["batch_size"])
    return trl.SFTConfig(
        output_dir=str(folder.checkpoints),
        num_train_epochs=config["epochs"],
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=batch,
        gradient_accumulation_steps=config["batch_size"] // batch,
        learning_rate=config["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=min(_WARM_UP_STEPS, steps * config["epochs"] // 5),
        max_length=length,
        seed=config["seed"],
        bf16=device == "cuda" and torch.cuda.is_bf16_supported(),
        gradient_checkpointing=False,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        logging_steps=1,
        save_steps=max(1, math.ceil(steps / _CHECKPOINTS_AN_EPOCH)),
        save_total_limit=KEPT_CHECKPOINTS,
        eval_strategy="epoch" if tests else "no",
        prediction_loss_only=True,  # else the scores of every word of every row would be kept
        disable_tqdm=True,
        report_to="none",
    )


def _lora(config: dict[str, Any]) -> Any:
    targets = TARGETS if config["model"]["kind"] == GGUF else "all-linear"
    return peft.LoraConfig(r=memory.RANK, lora_alpha=_ALPHA, target_modules=targets, task_type="CAUSAL_LM")


def _last_checkpoint(folder: TuneFolder) -> Path | None:
    """The newest that was finished."""
    drop_unfinished(folder)
    whole = checkpoints_of(folder)
    return Path(whole[-1].name) if whole else None


def _keep_result(trainer: Any, folder: TuneFolder, config: dict[str, Any]) -> dict[str, Any]:
    """Put the result in its place, whole."""
    lora = config["method"] == LORA
    target = folder.adapter if lora else folder.model
    unfinished = target.with_name(f"{target.name}.unfinished")
    for old in (unfinished, target):
        shutil.rmtree(old, ignore_errors=True)
    trainer.save_model(str(unfinished))
    _sync(unfinished)
    unfinished.rename(target)
    REAL.sync_names(folder.path)
    if lora and config["model"]["kind"] == GGUF:
        base, weights = Path(config["model"]["path"]), config["model"]
        convert_adapter(
            target,
            read_header(base),
            folder.adapter_gguf,
            weights_sha256=weights["sha256"],
            weights_name=weights["name"],
        )
    return {"steps": trainer.state.global_step}


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _peak_mb(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.max_memory_reserved() // 1_000_000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024) // 1_000_000)  # macOS counts bytes, Linux kibibytes


class _EventCallback(transformers.TrainerCallback):  # type: ignore[misc]
    """What happens, as events; and the end of training after the step at which it was told to stop."""

    def __init__(self, log: EventLog, stop: Stop) -> None:
        self._log = log
        self._stop = stop

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        where = f"resumes after step {state.global_step}" if state.global_step else "starts"
        self._log.append(event_log.MESSAGE, f"Training {where}: {state.max_steps} steps in total.")

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        logs = logs or {}
        if "loss" not in logs and "eval_loss" not in logs:
            return
        names = {"loss": "train_loss", "eval_loss": "valid_loss"}
        names |= {name: name for name in ("learning_rate", "mean_token_accuracy", "epoch")}
        metrics = {names[name]: float(value) for name, value in logs.items() if name in names}
        metrics["step"] = state.global_step
        if state.max_steps > 0:  # not known yet when the base's own loss is taken
            metrics["total_steps"] = state.max_steps
        kind = "validation loss" if "eval_loss" in logs else "loss"
        loss = logs.get("eval_loss", logs.get("loss"))
        self._log.append(event_log.METRICS, f"Step {state.global_step}: {kind} {loss:.4f}", metrics=metrics)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        if self._stop.asked:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        if self._stop.asked:
            control.should_evaluate = False  # it would keep the person waiting

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        _sync(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        message = f"Checkpoint after step {state.global_step}."
        self._log.append(event_log.CHECKPOINT, message, durable=True, step=state.global_step)
