"""The `openai` backend: any OpenAI-shaped service, by its files and its jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from herogen_async.core.errors import EndpointRefused, InputError
from herogen_async.data.dataset.recipe import PROMPT_COMPLETION
from herogen_async.generation.endpoint.fine_tuning import FineTuningService
from herogen_async.generation.endpoint.target import Server, is_openai
from herogen_async.tune.finetune.backend_rules import check_for_backend
from herogen_async.tune.finetune.records import CANCELLED, FAILED, Checkpoint, JobEvent, JobState, TuneRequest
from herogen_async.tune.options import DPO, OPENAI

_TAG = "herogen"  # the key in a job's metadata
# In events and checkpoints -> here. `full_valid_loss` is over the whole file, `valid_loss` over one batch of it.
_METRICS = {
    "step": "step",
    "current_step": "step",
    "total_steps": "total_steps",
    "epoch": "epoch",
    "train_loss": "train_loss",
    "training_loss": "train_loss",
    "valid_loss": "valid_loss",
    "full_valid_loss": "valid_loss",
    "learning_rate": "learning_rate",
    "train_mean_token_accuracy": "mean_token_accuracy",
}


class HostedBackend:
    """A `Backend`. Use as an async context manager."""

    name = OPENAI

    def __init__(self, server: Server) -> None:
        self._service = FineTuningService(server)

    async def __aenter__(self) -> HostedBackend:
        return self

    async def __aexit__(self, *ends: object) -> None:
        await self._service.__aexit__(*ends)

    async def check(self, request: TuneRequest) -> list[str]:
        check_for_backend(request)
        is_pairs = request.recipe.format == PROMPT_COMPLETION and request.method != DPO
        if is_openai(self._service.base_url):
            if is_pairs:
                raise InputError(
                    "OpenAI no longer tunes models on prompts and completions",
                    fix="use `finetune RUN`, which assembles messages, or train on these rows with --backend local",
                )
            await self._service.model(request.model)  # its list is complete
            return []
        notes = ["The rows are prompts and completions; most services accept only messages."] if is_pairs else []
        listed = await self._listed()
        if listed is not None and request.model not in listed:  # what can be tuned is often not served, nor listed
            notes.append(
                f"{request.model!r} is not among the {len(listed)} models that the service lists; it may still tune it."
            )
        return notes

    async def _listed(self) -> list[str] | None:
        """The models that the service lists, None where it has no list."""
        with _none_where_there_is_no_list():
            return await self._service.models()
        return None

    async def upload(self, file: Path, name: str) -> str:
        return await self._service.upload(file, name)

    async def find_upload(self, name: str, size: int) -> str | None:
        async for each in self._service.files():
            if each.get("filename") == name and each.get("bytes") in (size, None):
                return str(each["id"])
        return None

    async def create(self, request: TuneRequest, files: Mapping[str, str], tag: str) -> JobState:
        return _state(await self._service.create(job_body(request, files, tag), tag))

    async def find_job(self, files: Mapping[str, str], tag: str) -> JobState | None:
        """By its tag; where a service keeps no metadata, by the file, which this fine-tune alone has uploaded."""
        async for each in self._service.jobs():
            if (each.get("metadata") or {}).get(_TAG) == tag or each.get("training_file") == files["training"]:
                return _state(each)
        return None

    async def job(self, job_id: str) -> JobState:
        return _state(await self._service.job(job_id))

    async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
        found: list[JobEvent] = []
        with _none_where_there_is_no_list():
            async for each in self._service.events(job_id):
                if each.get("id") == after:
                    break
                found.append(_event(each))
        return found[::-1]

    async def checkpoints(self, job_id: str) -> list[Checkpoint]:
        found: list[Checkpoint] = []
        with _none_where_there_is_no_list():
            found = [_checkpoint(each) async for each in self._service.checkpoints(job_id)]
        return sorted(found, key=lambda each: each.step)

    async def revive(self, job_id: str) -> JobState:
        return await self.job(job_id)  # a service's job is never left lying by who watches it

    async def cancel(self, job_id: str) -> JobState:
        return _state(await self._service.cancel(job_id))


@contextlib.contextmanager
def _none_where_there_is_no_list() -> Iterator[None]:
    """Services have files and jobs; many have no events, checkpoints or models to list, or not for every key."""
    try:
        yield
    except InputError:
        return
    except EndpointRefused as refused:
        if refused.status not in (403, 404, 405, 501):
            raise


def job_body(request: TuneRequest, files: Mapping[str, str], tag: str) -> dict[str, Any]:
    """What `create` sends; what is not set is not sent, so that each service does what it does by itself."""
    hyperparameters = {
        "n_epochs": request.epochs,
        "batch_size": request.batch_size,
        "learning_rate_multiplier": request.learning_rate,
    }
    hyperparameters = {name: value for name, value in hyperparameters.items() if value is not None}
    body: dict[str, Any] = {
        "model": request.model,
        "training_file": files["training"],
        "validation_file": files.get("validation"),
        "suffix": request.suffix,
        "seed": request.seed,
        "metadata": {_TAG: tag},
    }
    if request.method is not None:
        body["method"] = {"type": request.method, request.method: {"hyperparameters": hyperparameters}}
    elif hyperparameters:  # the older place, which every service knows
        body["hyperparameters"] = hyperparameters
    return {name: value for name, value in body.items() if value is not None}


def _state(job: Mapping[str, Any]) -> JobState:
    status, said = str(job.get("status", "")), job.get("error")
    why = said.get("message") or said.get("code") if isinstance(said, dict) else said
    param = said.get("param") if isinstance(said, dict) else None
    error = fix = None
    if status == FAILED:
        error = f"{why}" + (f" ({param})" if param else "") if why else "the service gave no reason"
        fix = "fix the reported problem, then start another with --new"
    elif status == CANCELLED:
        fix = "start another with --new"
    model = job.get("fine_tuned_model")
    return JobState(str(job["id"]), status, str(model) if model else None, error, fix, dict(job))


def _event(event: Mapping[str, Any]) -> JobEvent:
    data = event.get("data")
    metrics = _metrics(data if isinstance(data, dict) else {})
    return JobEvent(
        event_id=str(event.get("id")),
        created_at=float(event.get("created_at") or 0),
        message=str(event.get("message", "")),
        level=str(event.get("level", "info")),
        kind="metrics" if event.get("type") == "metrics" or "step" in metrics else "message",
        metrics=metrics,
    )


def _checkpoint(checkpoint: Mapping[str, Any]) -> Checkpoint:
    metrics = checkpoint.get("metrics")
    return Checkpoint(
        name=str(checkpoint.get("fine_tuned_model_checkpoint") or checkpoint.get("id")),
        step=int(checkpoint.get("step_number") or 0),
        metrics=_metrics(metrics if isinstance(metrics, dict) else {}),
    )


def _metrics(data: Mapping[str, Any]) -> dict[str, float]:
    return {
        _METRICS[name]: float(value)
        for name, value in data.items()
        if name in _METRICS and isinstance(value, int | float) and not isinstance(value, bool)
    }
