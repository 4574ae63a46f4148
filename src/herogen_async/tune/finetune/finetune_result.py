"""How a fine-tune stands when the command ends: for people, for scripts, and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herogen_async.tune.finetune.records import CANCELLED, FAILED, INTERRUPTED, SUCCEEDED, Checkpoint, TunedModel

GOING, NOT_STARTED = "running", "not started"


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """`status` is the job's last known word. `as_asked`: it ended as this command asked.

    `next` is a command. `cost` is what the backend says of the work that was done, plain numbers.
    """

    target: str
    folder: Path
    backend: str
    base_model: str
    status: str
    job_id: str | None = None
    tuned: TunedModel | None = None
    error: str | None = None
    fix: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    as_asked: bool = False
    next: str = ""

    @property
    def exit_code(self) -> int:
        """0 done, or left to go on as was asked; 1 a job that failed or was cancelled elsewhere; 3 it stands still, or
        its model has no name yet.
        """
        if self.as_asked or (self.status == SUCCEEDED and self.tuned is not None):
            return 0
        return 1 if self.status in (FAILED, CANCELLED) else 3

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `finetune --json`."""
        return {
            "target": self.target,
            "folder": str(self.folder),
            "backend": self.backend,
            "base_model": self.base_model,
            "status": self.status,
            "job_id": self.job_id,
            "model": None if self.tuned is None else self.tuned.name,
            "adapter": None if self.tuned is None or self.tuned.adapter is None else str(self.tuned.adapter),
            "error": self.error,
            "fix": self.fix,
            "checkpoints": [
                {"name": each.name, "step": each.step, "metrics": dict(each.metrics)} for each in self.checkpoints
            ],
            "metrics": dict(self.metrics),
            "cost": dict(self.cost),
            "files": [str(file) for file in self.files],
            "next": self.next,
        }

    def lines(self) -> list[str]:
        """The same for people. A service's words in it are foreign text."""
        words = {SUCCEEDED: "Done", FAILED: "Failed", CANCELLED: "Cancelled", INTERRUPTED: "Interrupted"}
        head = f"{words.get(self.status, 'Started')}: {self.base_model}"
        head += f", job {self.job_id}" if self.job_id else ""
        going = "" if self.status in words else f", {self.status.replace('_', ' ')}"
        lines = [f"{head}{going}."]
        if self.tuned is not None:
            lines.append(f"Tuned model: {self.tuned.name}" + (f" + {self.tuned.adapter}" if self.tuned.adapter else ""))
        if self.error:
            lines.append(f"Why: {self.error.rstrip('. ')}.")
        if self.fix:
            lines.append(f"What to do: {self.fix.rstrip('. ')}.")
        if self.metrics:
            lines.append(
                "; ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.metrics.items()) + "."
            )
        if self.cost:
            lines.append("Used: " + ", ".join(f"{value:,.0f} {name}" for name, value in self.cost.items()) + ".")
        elif self.status == CANCELLED and self.job_id:
            lines.append("The service did not report how much was trained; see its bill for the cost.")
        lines += [f"Checkpoint at step {each.step:,}: {each.name}" for each in self.checkpoints]
        if self.files:
            lines.append(f"Loss curve: {', '.join(str(file) for file in self.files)}")
        return lines
