"""What a job that is over came to: its model, its metrics, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from herogen_async.tune.finetune.finetune_result import NOT_STARTED, FinetuneResult
from herogen_async.tune.finetune.model_registry import tuned_in
from herogen_async.tune.finetune.records import SUCCEEDED, Checkpoint, JobState, TunedModel, TuneRequest
from herogen_async.tune.finetune.service_words import number_in
from herogen_async.tune.options import LOCAL

# In a backend's own record -> as `metrics` has it; the last value of the events where the record holds none.
_METRICS = {"train_loss": "train_loss", "valid_loss": "eval_loss", "base_valid_loss": "base_eval_loss"}
_COST = {"trained_tokens": "tokens", "seconds": "seconds"}


def metrics_of(job: JobState, points: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last losses that were told."""
    known: dict[str, Any] = {}
    for point in points:
        known |= point
    known |= {name: value for name, value in job.detail.items() if name in _METRICS and value is not None}
    told = {ours: number_in(known.get(name)) for name, ours in _METRICS.items()}
    return {ours: float(number) for ours, number in told.items() if number is not None}


def cost_of(job: JobState) -> dict[str, float]:
    """What the backend says of the work that was done."""
    told = {ours: number_in(job.detail.get(name)) for name, ours in _COST.items()}
    return {ours: number for ours, number in told.items() if number is not None and number >= 0}


def tuned_model(request: TuneRequest, job: JobState, folder: Path, metrics: Mapping[str, float]) -> TunedModel | None:
    """The model that `job` made, None when it made none."""
    if job.status != SUCCEEDED or job.model is None:
        return None
    detail = job.detail
    name = job.model
    if request.backend == LOCAL and detail.get("adapter"):
        name = str(detail.get("weights_name") or request.model)
    return TunedModel(
        name=name,
        backend=request.backend,
        base_model=request.model,
        recipe=request.recipe,
        folder=folder,
        base_url=request.base_url,
        weights=_path(detail.get("weights")) if detail.get("adapter") else None,
        adapter=_path(detail.get("adapter")),
        adapter_folder=_path(detail.get("adapter_folder")),
        training=request.training,
        held_out=request.validation,
        metrics=dict(metrics),
    )


def result_now(
    target: str, folder: Path, request: TuneRequest, job: JobState, *, as_asked: bool = False
) -> FinetuneResult:
    """How the fine-tune stands, from what is known of its job now."""
    return FinetuneResult(
        target=target,
        folder=folder,
        backend=request.backend,
        base_model=request.model,
        status=job.status or NOT_STARTED,
        job_id=job.job_id or None,
        error=job.error,
        fix=job.fix,
        cost=cost_of(job),
        as_asked=as_asked,
    )


def ended_result(target: str, folder: Path, request: TuneRequest, ending: Mapping[str, Any]) -> FinetuneResult:
    """How a fine-tune ended, from that step of its log."""
    return replace(
        result_now(target, folder, request, _job_in(ending)),
        tuned=tuned_in(folder),
        checkpoints=tuple(
            Checkpoint(each["name"], each["step"], each["metrics"]) for each in ending.get("checkpoints", ())
        ),
        metrics=ending.get("metrics", {}),
        files=tuple(file for name in ("loss.csv", "loss.png") if (file := folder / name).is_file()),
    )


def over_step(job: JobState, checkpoints: Sequence[Checkpoint], metrics: Mapping[str, float]) -> dict[str, Any]:
    """How a job ended, as a step of its log."""
    return {
        "job_id": job.job_id,
        "status": job.status,
        "model": job.model if job.status == SUCCEEDED else None,
        "error": job.error,
        "fix": job.fix,
        "metrics": dict(metrics),
        "checkpoints": [{"name": each.name, "step": each.step, "metrics": dict(each.metrics)} for each in checkpoints],
        "detail": dict(job.detail),
    }


def _job_in(ending: Mapping[str, Any]) -> JobState:
    """The job as it was when it ended."""
    return JobState(
        ending.get("job_id", ""),
        ending.get("status", ""),
        ending.get("model"),
        ending.get("error"),
        ending.get("fix"),
        ending.get("detail", {}),
    )


def _path(known: object) -> Path | None:
    return Path(known) if isinstance(known, str) and known else None
