"""Fine-tuning on this machine, as a backend: a detached trainer in a folder, which any process may watch.

1. What was asked is written before the trainer starts; the rows are own copies.
2. The trainer outlives this process, however that ends, and is never two: it holds the folder's lock from before its
   first instruction, because the lock is handed to it.
3. torch is never imported here, and no key of the user's is handed on.

Its calls are exactly-once as a service's are: a kill at any point of `upload` leaves the whole copy or none; one at any
point of `create` leaves no config (no job), or a config and no trainer (a job that was interrupted, which `revive` goes
on with), or both. `find_upload` and `find_job` tell these apart from the files alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import InputError, LocalModelError
from herogen_async.generation.endpoint.child_environment import without_keys
from herogen_async.generation.endpoint.embedded import OnProgress
from herogen_async.generation.endpoint.fine_tuning import as_uploaded
from herogen_async.generation.run_folder import open_own
from herogen_async.generation.run_folder.publish import publish, publishing
from herogen_async.tune.finetune.backend_rules import check_for_backend, training_settings
from herogen_async.tune.finetune.local import event_log, feasibility, job_folder
from herogen_async.tune.finetune.local.base_model import find_base_model
from herogen_async.tune.finetune.local.job_folder import TuneFolder
from herogen_async.tune.finetune.records import CANCELLED, Checkpoint, JobEvent, JobState, TuneRequest
from herogen_async.tune.options import LOCAL

TRAINER = Path(__file__).with_name("trainer.py")

_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")  # PGPASSWORD too
_QUIET = {
    "HF_HUB_OFFLINE": "1",  # all that it reads lies here
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait make one another, and the whole machine, crawl
}
_GENTLE_S = 60.0  # a step of a large model, and a checkpoint
_LOOK_S = 0.05


class LocalBackend:
    """The `Backend` of one fine-tune, whose files lie in `folder`/local.

    `on_progress` sees the weights being fetched at their first use. `trainer` is the file that is run to train.
    """

    name = LOCAL

    def __init__(
        self,
        folder: Path,
        *,
        on_progress: OnProgress | None = None,
        trainer: Path = TRAINER,
        clock: Clock | None = None,
    ) -> None:
        self._folder = TuneFolder(folder.absolute() / "local")
        self._on_progress = on_progress or (lambda _: None)
        self._trainer = trainer
        self._clock = clock or MonotonicClock()

    def __repr__(self) -> str:
        return f"<LocalBackend in {str(self._folder.path)!r}>"

    async def check(self, request: TuneRequest) -> list[str]:
        feasibility.require_packages()
        check_for_backend(request)
        model = await asyncio.to_thread(find_base_model, request.model, self._on_progress)
        return await asyncio.to_thread(feasibility.look, request, model, self._folder.path)

    async def upload(self, file: Path, name: str) -> str:
        place = self._data(name)
        with as_uploaded(file) as source, publishing(place) as copy:
            await asyncio.to_thread(shutil.copyfileobj, source, copy)
        return name

    async def find_upload(self, name: str, size: int) -> str | None:
        place = self._data(name)
        return name if place.is_file() and place.stat().st_size == size else None

    async def ready(self, files: Mapping[str, str]) -> None:
        """They are: a copy is whole, or not there."""

    async def create(self, request: TuneRequest, files: Mapping[str, str], tag: str) -> JobState:
        if self._folder.config.exists():
            raise InputError(f"a fine-tune has already started in {str(self._folder.path)!r}", fix="continue that one")
        how = training_settings(request)
        model = await asyncio.to_thread(find_base_model, request.model, self._on_progress)
        config = {
            "version": 1,
            "tag": tag,
            "model": model.as_dict(),
            "shape": model.shape and asdict(model.shape),
            "format": request.recipe.format,
            "training": files["training"],
            "validation": files.get("validation"),
            **{name: how[name] for name in ("method", "epochs", "batch_size", "learning_rate", "seed")},
            "suffix": request.suffix,
        }
        publish(self._folder.config, codec.dumps_pretty(config))  # from here on it is a job, whatever ends us
        return self._started(config)

    async def find_job(self, files: Mapping[str, str], tag: str) -> JobState | None:  # noqa: ARG002 - the protocol's
        config = self._folder.read_config()
        return None if config is None or config["tag"] != tag else job_folder.job_state(self._folder, config)

    async def job(self, job_id: str) -> JobState:
        return job_folder.job_state(self._folder, self._config(job_id))

    async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
        self._config(job_id)
        lines = event_log.read_event_lines(self._folder.events, int(after or 0))
        return [event_log.as_event(end, record) for end, record in lines]

    async def checkpoints(self, job_id: str) -> list[Checkpoint]:
        self._config(job_id)
        return job_folder.checkpoints_of(self._folder)

    async def revive(self, job_id: str) -> JobState:
        config = self._config(job_id)
        state = job_folder.job_state(self._folder, config)
        return state if state.is_over else self._started(config)

    async def cancel(self, job_id: str) -> JobState:
        """As the protocol says; a trainer that needs more than a minute to stop is still `running` in the answer."""
        config = self._config(job_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GENTLE_S):
                told = False
                while job_folder.is_training(self._folder):
                    told = told or self._tell_to_stop()  # once: it may not have signed its lock yet
                    await asyncio.sleep(_LOOK_S)
        state = job_folder.job_state(self._folder, config)
        if not state.is_over and not job_folder.is_training(self._folder):  # it was killed before it could say so
            self._mark_cancelled()
            state = job_folder.job_state(self._folder, config)
        return state

    def _data(self, name: str) -> Path:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise InputError(f"invalid file name {name!r}", fix="give a plain name, such as train.jsonl")
        return self._folder.data / name

    def _config(self, job_id: str) -> dict[str, Any]:
        config = self._folder.read_config()
        if config is None or config["tag"] != job_id:
            raise InputError(f"no fine-tune {job_id!r} in {str(self._folder.path)!r}")
        return config

    def _started(self, config: dict[str, Any]) -> JobState:
        """Start the trainer, as the holder of the lock that is taken here.

        An flock belongs to the open file, which the trainer inherits: closing it here frees nothing while the trainer
        lives, and its end, however it comes, frees it. So there is no moment at which a second one could be started,
        and none at which a dead one is taken for a living.
        """
        lock = job_folder.take_lock(self._folder)
        try:
            with os.fdopen(open_own(self._folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
                child = subprocess.run(  # noqa: S603 - a fixed command of this very Python
                    [sys.executable, "-P", str(self._trainer), str(self._folder.path), str(lock)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_trainer_environment(os.environ),
                    cwd=self._folder.path,
                    start_new_session=True,  # a Ctrl-C in the terminal goes to the whole group
                    pass_fds=(lock,),
                    check=False,
                )  # it comes back at once: its first act is to go on as a child of its own
        finally:
            os.close(lock)
        if child.returncode:
            raise LocalModelError(
                f"the trainer failed to start: exit code {child.returncode}",
                fix=f"read {str(self._folder.log)!r}",
            )
        return job_folder.job_state(self._folder, config)

    def _tell_to_stop(self) -> bool:
        """Whether the living trainer could be told: it has signed its lock, and lives on this machine."""
        holder = job_folder.holder_of(self._folder)
        if "pid" not in holder:
            return False
        if holder["host"] != platform.node():
            raise InputError(f"the trainer runs on {holder['host']!r}", fix="cancel it there")
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder["pid"], signal.SIGTERM)
        return True

    def _mark_cancelled(self) -> None:
        """Say in the events that it is over; under the lock, since only its holder writes there."""
        lock = job_folder.take_lock(self._folder)
        try:
            log = event_log.EventLog(self._folder.events, self._clock)
            log.append(event_log.END, "Cancelled.", durable=True, status=CANCELLED)
            log.close()
        finally:
            os.close(lock)


def _trainer_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the trainer: no key, no network."""
    kept = {name: value for name, value in without_keys(environment).items() if not name.upper().endswith(_SECRETS)}
    return kept | _QUIET
