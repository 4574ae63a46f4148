"""A local fine-tune on disk, and how it stands: read from its files and its lock alone, so that any process can tell.

1. A held lock means a living trainer, a free one that there is none: the kernel frees it, however its holder ends.
2. How it ended is what the last `started` or `end` event says; a free lock without an `end` is an interruption.
3. A checkpoint counts once its event is durable, which is written after the checkpoint is.

```
local/
  config.json      what is trained, on what, how: written once, before the trainer starts
  data/            own copies of the rows: a later edit of the user's files changes nothing
  lock             held (flock) by the living trainer; names its pid and host
  events.jsonl     what it said
  trainer.log      what it and its libraries printed
  checkpoints/     the last few; one counts once its event was written
  adapter/         PEFT's own form of the result (LoRA), or model/ (full)
  adapter.gguf     the same for the embedded server, and adapter.gguf.json: the weights that it was made for
```
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import DiskError, RunInUse
from herogen_async.generation.run_folder import RunFolder, is_held, open_own
from herogen_async.tune.finetune.local import event_log
from herogen_async.tune.finetune.records import INTERRUPTED, SUCCEEDED, Checkpoint, JobState
from herogen_async.tune.options import LORA

RUNNING = "running"
_LOG_TAIL_BYTES = 8192
_SAID_CHARS = 400


@dataclass(frozen=True, slots=True)
class TuneFolder:
    """Where everything of one local fine-tune lies."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "trainer.log"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def adapter_gguf(self) -> Path:
        return self.path / "adapter.gguf"

    def read_config(self) -> dict[str, Any] | None:
        """What was ordered; None when nothing was."""
        try:
            config: dict[str, Any] = codec.loads(self.config.read_bytes())
        except FileNotFoundError:
            return None
        return config


def take_lock(folder: TuneFolder) -> int:
    """The lock's descriptor, to be handed to the trainer. Raises RunInUse naming the holder when one is at work."""
    try:
        descriptor = open_own(folder.lock, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DiskError(f"can't open {str(folder.lock)!r}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise DiskError(f"can't lock {str(folder.lock)!r}: {error.strerror}") from error
        holder = holder_of(folder)
        raise RunInUse(
            f"{str(folder.path)!r} is in use by trainer process {holder.get('pid', '?')} on {holder.get('host', '?')}",
            fix="watch it, or cancel it",
        ) from error
    os.ftruncate(descriptor, 0)  # its last holder is gone: `cancel` must not signal whoever has its pid by now
    return descriptor


def sign_lock(descriptor: int) -> None:
    """The trainer's name in its lock, for `cancel` and for people."""
    os.pwrite(descriptor, codec.dumps({"pid": os.getpid(), "host": platform.node()}), 0)


def holder_of(folder: TuneFolder) -> dict[str, Any]:
    """Who holds or held the lock; empty when nobody signed it."""
    with contextlib.suppress(OSError, ValueError):
        holder = codec.loads(folder.lock.read_bytes())
        if isinstance(holder, dict):
            return holder
    return {}


def is_training(folder: TuneFolder) -> bool:
    """Whether a trainer lives."""
    return is_held(RunFolder(folder.path))


@dataclass(slots=True)
class _EventFold:
    """What the events come to."""

    end: dict[str, Any] | None = None
    known: dict[str, Any] = field(default_factory=dict)

    def take(self, record: dict[str, Any]) -> None:
        if record["kind"] == event_log.STARTED:
            self.end = None  # it was revived
        elif record["kind"] == event_log.END:
            self.end = record
        self.known |= record.get("detail", {})
        metrics = record.get("metrics", {})
        if metrics.get("step") == 0 and "valid_loss" in metrics:
            self.known.setdefault("base_valid_loss", metrics["valid_loss"])
        for name in ("step", "total_steps", "train_loss", "valid_loss"):
            if metrics.get(name) is not None:
                self.known[name] = metrics[name]


def job_state(folder: TuneFolder, config: dict[str, Any]) -> JobState:
    """How the job of `config` stands.

    The lock is looked at before the events: a trainer that ends in between has then written its end. While one lives,
    an interruption that was told is an earlier one's, or it is on its way out and can't be followed by another yet.
    """
    alive = is_training(folder)
    story = _EventFold()
    for _, record in event_log.read_event_lines(folder.events):
        story.take(record)
    detail = _described(folder, config) | story.known | {"log": str(folder.log)}
    if story.end is not None and not (alive and story.end["status"] == INTERRUPTED):
        return _ended(config, story.end, detail)
    if alive:
        return JobState(config["tag"], RUNNING, detail=detail)
    step = detail.get("step")
    where = f"after step {step} of {detail.get('total_steps', '?')}" if step else "before its first step"
    return JobState(
        config["tag"],
        INTERRUPTED,
        error=f"the trainer ended without a report {where}: it was killed, by a user or by the system for using too "
        f"much memory{_last_words(folder)}",
        fix="run the same command to continue from the last checkpoint; if memory ran out, close other programs first, "
        "or start anew with a smaller batch or shorter rows",
        detail=detail,
    )


def _described(folder: TuneFolder, config: dict[str, Any]) -> dict[str, Any]:
    model = config["model"]
    made = folder.adapter if config["method"] == LORA else folder.model
    servable = folder.adapter_gguf if config["method"] == LORA and model["kind"] == "gguf" else None
    return {
        "method": config["method"],
        "weights": model["path"],
        "weights_name": model["name"],
        "weights_sha256": model["sha256"],
        "adapter": str(servable) if servable is not None and servable.exists() else None,
        "adapter_folder": str(made) if made.exists() else None,
    }


def _ended(config: dict[str, Any], end: dict[str, Any], detail: dict[str, Any]) -> JobState:
    if end["status"] != SUCCEEDED:
        return JobState(config["tag"], end["status"], error=end.get("error"), fix=end.get("fix"), detail=detail)
    model, fix = detail["adapter"], None
    if model is None:
        model = detail["adapter_folder"]
        what = f"--enable-lora --lora-modules tuned={model}" if config["method"] == LORA else ""
        served = config["model"]["path"] if config["method"] == LORA else model
        fix = (
            f"serve it on your own server, e.g. with vLLM: vllm serve {served} {what}".rstrip()
            + "; then query it with --base-url"
        )
    return JobState(config["tag"], SUCCEEDED, model=model, fix=fix, detail=detail)


def checkpoints_of(folder: TuneFolder) -> list[Checkpoint]:
    """Those that were finished and are still kept, oldest first, with what was measured at their step."""
    measured: dict[int, dict[str, float]] = {}
    steps = set()
    for _, record in event_log.read_event_lines(folder.events):
        if record["kind"] == event_log.CHECKPOINT:
            steps.add(int(record["step"]))
        elif record["kind"] == event_log.METRICS:
            measured.setdefault(int(record["metrics"]["step"]), {}).update(record["metrics"])
    places = {step: folder.checkpoints / f"checkpoint-{step}" for step in sorted(steps)}
    return [
        Checkpoint(str(place), step, measured.get(step, {}))
        for step, place in places.items()
        if (place / "trainer_state.json").is_file()
    ]


def drop_unfinished(folder: TuneFolder) -> None:
    """Remove the checkpoints that were not finished: they would be taken for some, and fill the disk."""
    whole = {checkpoint.name for checkpoint in checkpoints_of(folder)}
    for place in folder.checkpoints.glob("checkpoint-*"):
        if str(place) not in whole:
            shutil.rmtree(place, ignore_errors=True)


def _last_words(folder: TuneFolder) -> str:
    try:
        with folder.log.open("rb") as file:
            file.seek(max(0, folder.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip() and "\r" not in line]
    return f"; its last output: {said[-1][:_SAID_CHARS]!r}" if said else ""
