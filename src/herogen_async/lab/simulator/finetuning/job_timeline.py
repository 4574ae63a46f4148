"""What happens to a fine-tuning job, in its order, from its first second to its last. Pure, and of the seed alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from herogen_async.lab.simulator.finetuning.training_rows import Examples
from herogen_async.lab.simulator.seeded_random import draws, uniform

VALIDATING, QUEUED, RUNNING = "validating_files", "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
ENDED_STATES = (SUCCEEDED, FAILED, CANCELLED)

MOST_METRICS = 1000  # events with a loss: a longer job tells of every second step, or every third
SIMULATED_CHECKPOINTS = 3  # those of the last epochs
_EPOCHS = 3  # what "auto" is
_AUTO_BATCHES = 500  # "auto" makes about so many batches an epoch
_FIRST_LOSS, _LAST_LOSS = 2.8, 0.9
_FALL = 4.0  # in so many time constants from the first loss to the last
_NOISE = 0.06
_VALID_GAP = 1.08  # unseen rows are a little harder

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in the API's words."""

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class JobTimeline:
    """All that decides a job's life.

    `model` is the name of what comes out, `first` the model that was tuned, or from which the tuned one came that is
    tuned once more. `bad_file` is what the validation will find; `fails`: half-way through the training.
    """

    job_id: str
    first: str
    model: str
    examples: Examples
    epochs: int
    batch_size: int
    seed: int
    queue_s: float
    train_s: float
    validated: bool = False
    bad_file: JobError | None = None
    fails: bool = False

    @property
    def steps_an_epoch(self) -> int:
        return max(1, -(-self.examples.rows // self.batch_size))

    @property
    def steps(self) -> int:
        return self.steps_an_epoch * self.epochs


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing, `at_s` seconds into the job's own time: an event, perhaps a new status or a checkpoint with it."""

    at_s: float
    message: str
    status: str | None = None
    metrics: Metrics = field(default_factory=dict)
    checkpoint: Metrics = field(default_factory=dict)
    error: JobError | None = None


def auto_epochs() -> int:
    """The epochs of a job that names none."""
    return _EPOCHS


def auto_batch_size(examples: int) -> int:
    """The batch size of a job that names none."""
    return min(256, max(1, examples // _AUTO_BATCHES))


def life(plan: JobTimeline) -> Iterator[Happening]:
    """Everything that happens to the job, if nobody interferes; times never decrease."""
    yield Happening(0.0, f"Created fine-tuning job: {plan.job_id}")
    yield Happening(0.0, "Validating the training file", VALIDATING)
    validated_s = plan.queue_s / 2
    if plan.bad_file is not None:
        yield Happening(validated_s, plan.bad_file.message, FAILED, error=plan.bad_file)
        return
    yield Happening(validated_s, "Files validated, moving job to queued state", QUEUED)
    yield Happening(plan.queue_s, "Fine-tuning job started", RUNNING)
    last = plan.steps // 2 if plan.fails else plan.steps
    yield from _training(plan, last)
    ended_s = plan.queue_s + plan.train_s * last / plan.steps
    if plan.fails:
        error = JobError("server_error", "The job failed due to an internal error. Start it again.")
        yield Happening(ended_s, error.message, FAILED, error=error)
        return
    yield Happening(ended_s, f"New fine-tuned model created: {plan.model}")
    yield Happening(ended_s, "The job has successfully completed", SUCCEEDED)


def metrics_at(plan: JobTimeline, step: int) -> Metrics:
    """What is measured at `step`, of 1 to `plan.steps`."""
    first, second, third, *_ = draws(plan.seed, b"step %d" % step)
    loss = _loss(step / plan.steps) * (1 + _NOISE * (2 * uniform(first) - 1))
    measured = {
        "step": step,
        "train_loss": round(loss, 5),
        "train_mean_token_accuracy": _accuracy(loss, uniform(second)),
        "total_steps": plan.steps,
    }
    if plan.validated:
        valid = _loss(step / plan.steps) * _VALID_GAP * (1 + _NOISE * (2 * uniform(third) - 1))
        measured |= {"valid_loss": round(valid, 5), "valid_mean_token_accuracy": _accuracy(valid, uniform(second))}
    return measured


def result_rows(plan: JobTimeline) -> str:
    """The results file: a line a step that was told, as CSV."""
    columns = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    lines = [",".join(columns)]
    for step in _told_steps(plan, plan.steps):
        measured = metrics_at(plan, step) | {"train_accuracy": metrics_at(plan, step)["train_mean_token_accuracy"]}
        lines.append(",".join(str(measured.get(column, "")) for column in columns))
    return "\n".join(lines) + "\n"


def _training(plan: JobTimeline, last: int) -> Iterator[Happening]:
    for step in _told_steps(plan, last):
        at_s = plan.queue_s + plan.train_s * step / plan.steps
        measured = metrics_at(plan, step)
        message = f"Step {step}/{plan.steps}: training loss={measured['train_loss']:.2f}"
        if plan.validated:
            message += f", validation loss={measured['valid_loss']:.2f}"
        ends_epoch = step % plan.steps_an_epoch == 0
        full = ends_epoch and plan.validated
        if full:
            measured["full_valid_loss"] = measured["valid_loss"]
            measured["full_valid_mean_token_accuracy"] = measured["valid_mean_token_accuracy"]
        yield Happening(at_s, message, metrics=measured)
        if ends_epoch and step // plan.steps_an_epoch > plan.epochs - SIMULATED_CHECKPOINTS:
            kept = {name: value for name, value in measured.items() if name != "total_steps"}
            yield Happening(at_s, f"Checkpoint created at step {step}", checkpoint=kept)


def _told_steps(plan: JobTimeline, last: int) -> Iterator[int]:
    """Every so many steps, and the last of every epoch."""
    paces = (-(-plan.steps // MOST_METRICS), plan.steps_an_epoch)
    return iter(sorted({*range(1, last + 1)[:1], *(step for pace in paces for step in range(pace, last + 1, pace))}))


def _loss(done: float) -> float:
    return _LAST_LOSS + (_FIRST_LOSS - _LAST_LOSS) * math.exp(-_FALL * done)


def _accuracy(loss: float, drawn: float) -> float:
    """Near exp(-loss / 2), which is about how the two go together."""
    return round(min(1.0, math.exp(-loss / 2) * (1 + _NOISE * (drawn - 0.5))), 5)
