"""What a job that is over came to: its model, its metrics, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from herogen_async.tune.finetune.records import LOCAL, SUCCEEDED, Checkpoint, JobState, TunedModel, TuneRequest

# In a backend's own record -> as `metrics` has it; the last value of the events where the record holds none.
_METRICS = {"train_loss": "train_loss", "valid_loss": "eval_loss", "base_valid_loss": "base_eval_loss"}
_COST = {"trained_tokens": "tokens", "seconds": "seconds"}


def metrics_of(job: JobState, points: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last losses that were told."""
    known: dict[str, Any] = {}
    for point in points:
        known |= point
    known |= {name: value for name, value in job.detail.items() if name in _METRICS and value is not None}
    return {ours: float(known[name]) for name, ours in _METRICS.items() if isinstance(known.get(name), int | float)}


def cost_of(job: JobState) -> dict[str, float]:
    """What the backend says of the work that was done."""
    return {ours: job.detail[name] for name, ours in _COST.items() if isinstance(job.detail.get(name), int | float)}


def tuned_model(order: TuneRequest, job: JobState, folder: Path, metrics: Mapping[str, float]) -> TunedModel | None:
    """The model that `job` made, None when it made none."""
    if job.status != SUCCEEDED or job.model is None:
        return None
    detail = job.detail
    name = job.model
    if order.backend == LOCAL and detail.get("adapter"):
        name = str(detail.get("weights_name") or order.model)
    return TunedModel(
        name=name,
        backend=order.backend,
        base_model=order.model,
        recipe=order.recipe,
        folder=folder,
        base_url=order.base_url,
        weights=_path(detail.get("weights")) if detail.get("adapter") else None,
        adapter=_path(detail.get("adapter")),
        adapter_folder=_path(detail.get("adapter_folder")),
        training=order.training,
        held_out=order.validation,
        metrics=dict(metrics),
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


def job_in(over: Mapping[str, Any]) -> JobState:
    """The job as it was when it ended, from that step of its log."""
    return JobState(
        over.get("job_id", ""),
        over.get("status", ""),
        over.get("model"),
        over.get("error"),
        over.get("fix"),
        over.get("detail", {}),
    )


def checkpoints_in(over: Mapping[str, Any]) -> tuple[Checkpoint, ...]:
    """The checkpoints that were there when the job ended."""
    return tuple(Checkpoint(each["name"], each["step"], each["metrics"]) for each in over.get("checkpoints", ()))


def _path(known: object) -> Path | None:
    return Path(known) if isinstance(known, str) and known else None
