"""A trainer without torch: its process, its lock, its events and its end are the real ones; what it learns is nothing.

The suffix of the order says what it does: `learns`, `waits` (until it is told to stop; a second life ends well),
`fails`, `refuses`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import types
from pathlib import Path
from typing import Any

from herogen_async.tune.finetune.local.trainer import detach

STEPS = 3


def train(folder: Any, log: Any, stop: Any) -> dict[str, Any]:
    from herogen_async.tune.finetune.local.job_folder import checkpoints_of
    from herogen_async.tune.finetune.local.trainer_stop import Refused, TrainingStopped

    does = folder.read_config()["suffix"]
    print("the fake trainer", does, flush=True)
    (folder.path / "environment.json").write_text(json.dumps(dict(os.environ)))
    if does == "fails":
        raise RuntimeError("the sky\nfell")
    if does == "refuses":
        raise Refused("it does not fit", "take less")
    done = max((checkpoint.step for checkpoint in checkpoints_of(folder)), default=0)
    for step in range(done + 1, STEPS + 1):
        metrics = {"step": step, "total_steps": STEPS, "train_loss": 3.0 - step}
        log.append("metrics", f"Step {step}", metrics=metrics)
        if does == "waits" and not done:
            stop.gently = True
            keep(folder, log, step)
            while not stop.asked:
                threading.Event().wait(0.01)
            raise TrainingStopped
    keep(folder, log, STEPS)
    return {"steps": STEPS, "device": "none"}


def keep(folder: Any, log: Any, step: int) -> None:
    place = folder.checkpoints / f"checkpoint-{step}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "trainer_state.json").write_text("{}")
    log.append("checkpoint", "kept", step=step, durable=True)


def main() -> None:
    detach()
    name = "herogen_async.tune.finetune.local.training"
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].train = train  # type: ignore[attr-defined]
    from herogen_async.tune.finetune.local.trainer_run import run_trainer

    run_trainer(Path(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
