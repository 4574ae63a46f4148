"""From rows to a tuned model, as one journaled chain: check, upload, create, watch, record the model.

Two backends: any OpenAI-compatible service (`openai`), and this machine (`local`). The same call continues where an
earlier one ended, however it ended; nothing that costs is asked for twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar, Unpack

from herogen_async.core.errors import Interrupted
from herogen_async.core.event_loop import handling, run_here
from herogen_async.core.keywords import check_keywords, shows_keywords
from herogen_async.generation.observer import Guarded, observer_of
from herogen_async.tune.finetune.existing import settings_of
from herogen_async.tune.finetune.finetune_result import FinetuneResult
from herogen_async.tune.finetune.keywords import FinetuneKeywords
from herogen_async.tune.finetune.launch import Launch
from herogen_async.tune.finetune.model_registry import find_tuned, last_finetune
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.finetune.tuning_observer import TuneWatch, TuningObserver
from herogen_async.tune.finetune.tuning_progress import TuningProgress
from herogen_async.tune.options import FINETUNE_OPTIONS, FilePath, FinetuneOptions

__all__ = [
    "FINETUNE_OPTIONS",
    "FinetuneKeywords",
    "FinetuneOptions",
    "FinetuneResult",
    "TuneWatch",
    "TunedModel",
    "TuningObserver",
    "TuningProgress",
    "afinetune",
    "find_tuned",
    "finetune",
    "last_finetune",
    "settings_of",
]

_T = TypeVar("_T")
_MEANINGS = {
    **{name: each.meaning for name, each in FINETUNE_OPTIONS.items()},
    "api_key": "The service's key. Default: OPENAI_API_KEY.",
    "watch": "Receives progress: an Observer, or a TuneWatch of callbacks.",
}


@shows_keywords(FinetuneKeywords, _MEANINGS)
async def afinetune(target: FilePath, **options: Unpack[FinetuneKeywords]) -> FinetuneResult:
    """Fine-tune on the rows of `target` (a RUN, or a JSON lines file), or continue; the result is its state at the end.

    Options left out come from the existing fine-tune, else from the backend's defaults. Cancelled, it leaves
    the job alone. Raises InputError, LocalModelError, EndpointError, DiskError, DamageError; at the end, what the
    observer raised.
    """
    check_keywords(options, FinetuneKeywords)
    given: dict[str, Any] = dict(options)
    observer = Guarded[Any, TuningProgress](observer_of(given.pop("watch", None)))
    api_key = given.pop("api_key", None)
    wanted = FinetuneOptions.of(given)
    launch = Launch(os.fspath(target), wanted, observer=observer, api_key=api_key)
    result = await (launch.cancel() if wanted.cancel else launch.run())
    observer.raise_first()
    return result


@shows_keywords(FinetuneKeywords, _MEANINGS)
def finetune(target: FilePath, **options: Unpack[FinetuneKeywords]) -> FinetuneResult:
    """Fine-tune on the rows of `target` (a RUN, or a JSON lines file), or continue; the result is its state at the end.

    Options left out come from the existing fine-tune, else from the backend's defaults. Ctrl-C, SIGTERM and
    SIGHUP detach: the job continues, and the same call attaches again. Raises as `afinetune`, and Interrupted when
    detached.
    """
    try:
        return run_here(afinetune(target, **options), alone=_detachable)
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Interrupted(
            "detached: anything already started continues; nothing was cancelled",
            fix="run the same command to attach again; --cancel cancels the job",
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
