"""A job's records in the words of services that are not OpenAI. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_STATUSES = {
    "validating_files": "PENDING_VALIDATION",
    "queued": "QUEUED",
    "running": "IN_PROGRESS",
    "succeeded": "COMPLETED",
    "failed": "ERROR",
    "cancelled": "CANCELED",
}
_TIMES = ("created_at", "finished_at", "estimated_finish")
UNKNOWN_WORD = "half_baked"  # in no service's reference


def in_own_words(record: dict[str, Any]) -> dict[str, Any]:
    """A job, an event or a checkpoint, told otherwise."""
    told: dict[str, Any] = {name: _iso(value) if name in _TIMES else value for name, value in record.items()}
    if "status" in told:
        told["status"] = _STATUSES.get(str(told["status"]), told["status"])
    if "fine_tuned_model" in told:
        told["output_name"] = told.pop("fine_tuned_model")
    if "step_number" in told:
        told["step_number"] = str(told["step_number"])
    if isinstance(data := record.get("data"), dict):
        told["data"] = {name: str(value) for name, value in data.items()}
    return told


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
