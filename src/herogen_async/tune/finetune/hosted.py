"""The `openai` backend: any OpenAI-shaped service, by its files and its jobs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError, NotReadyYet
from herogen_async.core.units import counted
from herogen_async.data.dataset.recipe import PROMPT_COMPLETION
from herogen_async.generation.endpoint.fine_tuning import FineTuningService, id_of
from herogen_async.generation.endpoint.target import Server, is_openai
from herogen_async.tune.finetune.backend_rules import check_for_backend
from herogen_async.tune.finetune.records import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Checkpoint,
    JobEvent,
    JobState,
    TuneRequest,
)
from herogen_async.tune.finetune.service_words import (
    model_of,
    number_in,
    reason_of,
    seconds_since_1970,
    status_of,
    status_word,
    text_of,
)
from herogen_async.tune.options import DPO, OPENAI

NO_STATUS = "no status"  # of a record that has none
_TAG = "herogen"  # the key in a job's metadata
_FILE_NAMES = ("training_file", "training_files", "training_file_id", "trainingFile", "dataset")
_BEING_READ = ("pending", "processing", "uploading", "validating", "queued", "running", "in_progress", "preprocessing")
# A refusal of a field that its service does not know, as `metadata` may be one.
_UNKNOWN_FIELD = re.compile(
    r"(?i)metadata|\bextra\W+(?:inputs?|fields?|properties)|\b(?:unknown|unrecogni[sz]ed|unexpected|unsupported|invalid)"
    r" (?:request )?(?:parameter|argument|field|propert|key|name)|additional propert|not (?:permitted|allowed)\b"
)
_EVENT_TIMES = ("created_at", "createdAt", "timestamp", "created", "time")
_STEPS = ("step_number", "step")
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
    """A `Backend`. Use as an async context manager. `other_jobs` are those of other fine-tunes of the same rows."""

    name = OPENAI

    def __init__(self, server: Server, other_jobs: Container[str] = ()) -> None:
        self._service = FineTuningService(server)
        self._other_jobs = other_jobs
        self._tags_jobs = True

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
            if each.get("filename") == name and number_in(each.get("bytes")) in (size, None):
                return id_of(each) or None
        return None

    async def ready(self, files: Mapping[str, str]) -> None:
        for role, file_id in files.items():
            try:
                record = await self._service.file(file_id)
            except (EndpointError, InputError):  # not every service shows a file; then `create` tells
                continue
            _check_file(record, role)

    async def create(self, request: TuneRequest, files: Mapping[str, str], tag: str) -> JobState:
        body = job_body(request, files, tag)
        if self._tags_jobs:
            try:
                return _state(await self._service.create(body, tag))
            except (InputError, EndpointRefused) as refused:
                if not _UNKNOWN_FIELD.search(refused.message):
                    raise
                self._tags_jobs = False
        # The call with the tag was refused, so it made nothing. What a lost answer made is found by its file as well.
        return _state(await self._service.create(_without_tag(body), tag))

    async def find_job(self, files: Mapping[str, str], tag: str) -> JobState | None:
        """By its tag; where a service keeps no metadata, by the file, which this fine-tune alone has uploaded.

        Raises InputError where a job that is there shows neither, and may be the one.
        """
        unclear: list[str] = []
        async for each in self._service.jobs():
            job_id, told = id_of(each), _tag_in(each)
            if told == tag:
                return _state(each)
            if told or job_id in self._other_jobs:
                continue
            trained_on = [each[name] for name in _FILE_NAMES if each.get(name)]
            if _names(trained_on, files["training"]) or _names(each, tag):
                return _state(each)
            if not trained_on:
                unclear.append(job_id)
        if unclear:
            raise InputError(f"{counted(len(unclear), 'job')} in its list show no training file: {unclear[0]}")
        return None

    async def job(self, job_id: str) -> JobState:
        return _state(await self._service.job(job_id))

    async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
        found: list[JobEvent] = []
        with _none_where_there_is_no_list():
            async for each in self._service.events(job_id):
                if _event_id(each) == after:
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


def _check_file(record: Mapping[str, Any], role: str) -> None:
    """NotReadyYet for a file that the service is still reading, InputError for one that it can't use."""
    word = status_word(record)
    status = status_of(word)
    if status == FAILED:
        raise InputError(
            f"the service can't use the {role} file: {reason_of(record) or f'its status is {word!r}'}",
            fix="fix the file, then start another with --new",
        )
    if status in _BEING_READ:
        raise NotReadyYet(
            f"the service is still reading the {role} file (status {word!r})", fix="run the same command again later"
        )


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
    known = {name: value for name, value in body.items() if value is not None}
    return _merged(known, request.fields or {})


def _merged(body: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with `fields` in it; objects are merged, anything else is as `fields` say."""
    merged = dict(body)
    for name, value in fields.items():
        there = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(there, Mapping)
        merged[name] = _merged(there, value) if both else value  # type: ignore[arg-type]
    return merged


def _without_tag(body: Mapping[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in body["metadata"].items() if name != _TAG}
    return {name: value for name, value in {**body, "metadata": left}.items() if name != "metadata" or left}


def _tag_in(job: Mapping[str, Any]) -> str | None:
    """The tag of the fine-tune that made a job, where its service keeps it."""
    metadata = job.get("metadata")
    told = metadata.get(_TAG) if isinstance(metadata, dict) else None
    return told if isinstance(told, str) else None


def _names(record: Any, mark: str) -> bool:
    """Whether a text anywhere in `record` is `mark`, or holds it as a path or a file's name does."""
    if isinstance(record, str):
        return re.search(rf"(?<![\w-]){re.escape(mark)}(?!\w)", record) is not None
    if isinstance(record, Mapping):
        return any(_names(value, mark) for value in record.values())
    return isinstance(record, list) and any(_names(value, mark) for value in record)


def _state(job: Mapping[str, Any]) -> JobState:
    word = status_word(job)
    status, error, fix, model = status_of(word), None, None, None
    if status == FAILED:
        param = job["error"].get("param") if isinstance(job.get("error"), dict) else None
        why = reason_of(job) or "the service gave no reason"
        error = why + (f" ({param})" if param else "") + _in_its_word(word, status)
        fix = "fix the reported problem, then start another with --new"
    elif status == CANCELLED:
        said, more = reason_of(job), _in_its_word(word, status)
        error = (said or "it was ended at the service") + more if said or more else None
        fix = "start another with --new"
    elif status == SUCCEEDED and (named := model_of(job)) is not None:
        model = named[0]
    return JobState(id_of(job), status or word or NO_STATUS, model, error, fix, dict(job), is_known=status is not None)


def _in_its_word(word: str, status: str) -> str:
    """A word such as `expired` or `stopped` says more than what it comes to."""
    return "" if word.lower() in (status, "canceled") else f" (status {word!r})"


def _event(event: Mapping[str, Any]) -> JobEvent:
    data = event.get("data")
    metrics = _metrics(data if isinstance(data, dict) else {})
    times = (seconds_since_1970(event.get(name)) for name in _EVENT_TIMES)
    return JobEvent(
        event_id=_event_id(event),
        created_at=next((at for at in times if at is not None), 0.0),
        message=text_of(event.get("message")),
        level=text_of(event.get("level")) or "info",
        kind="metrics" if event.get("type") == "metrics" or "step" in metrics else "message",
        metrics=metrics,
    )


def _event_id(event: Mapping[str, Any]) -> str:
    """Its own, or one that its content has: not every service names its events."""
    return str(event.get("id") or codec.fingerprint(dict(event)))


def _checkpoint(checkpoint: Mapping[str, Any]) -> Checkpoint:
    metrics = checkpoint.get("metrics")
    step = next((number for name in _STEPS if (number := number_in(checkpoint.get(name))) is not None), 0.0)
    return Checkpoint(
        name=str(checkpoint.get("fine_tuned_model_checkpoint") or checkpoint.get("id")),
        step=int(step),
        metrics=_metrics(metrics if isinstance(metrics, dict) else {}),
    )


def _metrics(data: Mapping[str, Any]) -> dict[str, float]:
    numbers = {_METRICS[name]: number_in(value) for name, value in data.items() if name in _METRICS}
    return {name: float(number) for name, number in numbers.items() if number is not None}
