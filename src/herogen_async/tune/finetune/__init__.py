"""From rows to a tuned model, as one journaled chain: check, upload, create, watch, record the model.

Two backends: any OpenAI-shaped service (`openai`), and this machine (`local`). The same call again goes on where an
earlier one ended, however it ended; nothing that costs is asked for twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from herogen_async.core.errors import Interrupted
from herogen_async.core.event_loop import handling
from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.generation.intents import Resolution
from herogen_async.tune.finetune.job_request import Wanted, settings_of
from herogen_async.tune.finetune.launch import Launch, LaunchOptions, TuneWatch
from herogen_async.tune.finetune.model_registry import find_tuned, last_finetune
from herogen_async.tune.finetune.outcome import FinetuneResult
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.finetune.tuning_progress import TuningProgress

__all__ = [
    "FinetuneOptions",
    "FinetuneResult",
    "TuneWatch",
    "TunedModel",
    "TuningProgress",
    "afinetune",
    "find_tuned",
    "finetune",
    "last_finetune",
    "settings_of",
]

_Path = str | os.PathLike[str]
_T = TypeVar("_T")


class FinetuneOptions(TypedDict, total=False):
    """The options of `finetune` and `afinetune`; what is left out is as the fine-tune that is there has it, else as
    the backend does by itself.

    `backend` is `openai` or `local`. `format` is what a run's rows are assembled as. `suffix` becomes part of the
    model's name. `method` is `supervised` or `dpo` (openai), `lora` or `full` (local). `learning_rate` is a multiplier
    (openai) or the rate itself (local). `watch_job` False returns once the job is started. `new` starts another beside
    those that are there, `cancel` ends the job. `resend` and `adopt` (an id) say what became of a call whose answer was
    lost, where the service can't tell. `watch` is told how it goes.
    """

    backend: str | None
    model: str | None
    base_url: str | None
    format: str | None
    suffix: str | None
    epochs: int | None
    validation: _Path | None
    seed: int | None
    method: str | None
    batch_size: int | None
    learning_rate: float | None
    watch_job: bool | None
    new: bool
    cancel: bool
    resend: bool
    adopt: str | None
    api_key: ApiKey | None
    watch: TuneWatch | None


async def afinetune(target: _Path, **options: Unpack[FinetuneOptions]) -> FinetuneResult:
    """Fine-tune on the rows of `target` (a RUN, or a JSON lines file), or go on with it; how it stands at the end.

    Cancelled, it leaves the job alone. Raises InputError, LocalModelError, EndpointError, DiskError, DamageError.
    """
    known: dict[str, Any] = dict(options)
    resolution = Resolution(known.pop("resend", False), known.pop("adopt", None))
    watch, cancels = known.pop("watch", None) or TuneWatch(), known.pop("cancel", False)
    new, api_key, watches = known.pop("new", False), known.pop("api_key", None), known.pop("watch_job", None)
    validation = known.pop("validation", None)
    wanted = Wanted(os.fspath(target), validation=None if validation is None else Path(validation), **known)
    launch = Launch(LaunchOptions(wanted, new=new, watch=watches, resolution=resolution, api_key=api_key), watch)
    return await (launch.cancel() if cancels else launch.run())


def finetune(target: _Path, **options: Unpack[FinetuneOptions]) -> FinetuneResult:
    """`afinetune`, for code that is not async.

    Ctrl-C, SIGTERM and SIGHUP detach: the job goes on, and the same call attaches again. Then it raises Interrupted.
    """
    try:
        return _detachable(afinetune(target, **options))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Interrupted(
            "detached: what was started goes on, and is not cancelled",
            fix="the same command again attaches; --cancel ends the job",
        ) from None


def _detachable(work: Coroutine[Any, Any, _T]) -> _T:
    """Ctrl-C, SIGTERM and SIGHUP end the work, whoever took them before; a second Ctrl-C does not wait for it."""
    with asyncio.Runner() as runner:
        loop, presses = runner.get_loop(), 0

        def detach() -> None:
            for task in asyncio.all_tasks(loop):
                task.cancel()

        def pressed() -> None:
            nonlocal presses
            presses += 1
            if presses > 1:
                raise KeyboardInterrupt
            detach()

        with handling(loop, {signal.SIGINT: pressed, signal.SIGTERM: detach, signal.SIGHUP: detach}):
            return runner.run(work)
