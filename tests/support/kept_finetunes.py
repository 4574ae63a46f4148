"""Fine-tunes in a run's folder: one on this machine, whose trainer a test plays, and one at a service."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.intents import REQUEST
from herogen_async.generation.intents.intent_log import IntentLog
from herogen_async.specs.spec import Spec
from herogen_async.tune.finetune.local.event_log import END, MESSAGE, METRICS, STARTED, EventLog
from herogen_async.tune.finetune.local.job_folder import TuneFolder, take_lock
from herogen_async.tune.finetune.log_steps import CREATE, MODEL, OVER
from herogen_async.tune.finetune.model_registry import model_step
from herogen_async.tune.finetune.records import TunedModel
from support.run_folders import WrittenRun
from support.tuned_models import HEROES

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
TAG = "herogen-0123456789abcdef"
SPEC = Spec(
    name="heroes",
    attributes={name: list(values) for name, values in HEROES.attributes.items()},
    repeats=3,
    prompt="A {age}-year-old {gender} who has {power}.",
    sub_prompt="{age}, {gender}, {power}",
)


def untuned_run(path: Path) -> WrittenRun:
    """A run in `path` with 23 answers, of which nothing was made yet."""
    made = WrittenRun(path, SPEC)
    made.write(made.answer(index, f"A hero of the number {index}, who is known for it.") for index in range(23))
    return made


def begun(folder: Path, *, job_id: str | None = TAG, recipe: Recipe = HEROES, **settings: Any) -> Path:
    """A fine-tune in `folder` whose job was started; `job_id` None: it was not yet."""
    files = {"training": 21, "validation": 3}
    with IntentLog.open(folder, AT) as log:
        log.append(
            {
                "step": REQUEST,
                "at": AT.isoformat(),
                "tag": TAG,
                "settings": {"backend": "local", "model": "embedded", "base_url": None, **settings},
                "recipe": recipe.as_dict(),
                "files": {
                    role: {"path": f"../../{role}.jsonl", "rows": rows, "sha256": "0"} for role, rows in files.items()
                },
            }
        )
        if job_id is not None:
            log.append({"step": "result", "at": AT.isoformat(), "call": CREATE, "result": job_id})
    return folder


class LocalTune:
    """One of the run in `run` that trains on this machine, as its folder tells it."""

    def __init__(self, run: Path, number: str = "001") -> None:
        self.folder = begun(run / "finetune" / number)
        self.local = TuneFolder(self.folder / "local")
        self.local.path.mkdir()
        model = {"kind": "gguf", "path": "small.gguf", "name": "small", "sha256": "0"}
        how = {"method": "lora", "epochs": 1, "batch_size": 8, "learning_rate": 1e-4, "seed": 17, "suffix": None}
        self.local.config.write_bytes(codec.dumps({"version": 1, "tag": TAG, "model": model, **how}))
        self._lock: int | None = None

    def trains(self) -> None:
        """Its trainer lives."""
        self._lock = take_lock(self.local)
        self._say(STARTED, "Trainer started.")

    def says(self, text: str) -> None:
        """A message of its trainer."""
        self._say(MESSAGE, text)

    def step(self, step: int, train: float | None = None, valid: float | None = None, total: int = 9) -> None:
        """A step, and its losses."""
        known = {"step": step, "total_steps": total, "train_loss": train, "valid_loss": valid}
        self._say(METRICS, f"Step {step}", metrics={name: value for name, value in known.items() if value is not None})

    def dies(self) -> None:
        """Without a word."""
        assert self._lock is not None
        os.close(self._lock)
        self._lock = None

    def ends(self, status: str = "succeeded", error: str | None = None) -> None:
        """As its trainer reports it."""
        more = {} if error is None else {"error": error}
        self._say(END, "Training has ended.", status=status, **more)
        self.dies()

    def recorded(self) -> None:
        """A command has written down what became of it."""
        tuned = TunedModel("small", "local", "embedded", HEROES, self.folder, metrics={"eval_loss": 1.5})
        with IntentLog.open(self.folder, AT) as log:
            over = {"job_id": TAG, "status": "succeeded", "metrics": {"eval_loss": 1.5}, "detail": {}}
            log.append({"step": OVER, "at": AT.isoformat(), **over})
            log.append({"step": MODEL, "at": AT.isoformat(), **model_step(tuned)})

    def _say(self, kind: str, message: str, **known: Any) -> None:
        log = EventLog(self.local.events, MonotonicClock())
        log.append(kind, message, **known)
        log.close()
