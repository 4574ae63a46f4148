"""The records of a fine-tune: its request, its job at the backend, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from herogen_async.data.dataset.recipe import Recipe

# The words of OpenAI's API; `service_words` finds them in those of other services.
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
OVER = (SUCCEEDED, FAILED, CANCELLED)
INTERRUPTED = "interrupted"  # a local trainer that was killed: `revive` goes on from its last checkpoint


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What is to be trained, on what. None is: what the backend does by itself.

    `training` and `validation` are JSON lines as `recipe` says. `model` is the model to tune as the backend names it
    (local: `embedded`, a `.gguf` file, or a folder with a transformers model). `method` is `lora` or `full` (local),
    `supervised` or `dpo` (openai). `learning_rate` is local, `learning_rate_multiplier` openai. `fields` are what
    else a service is sent, as they stand in its JSON.
    """

    backend: str
    model: str
    training: Path
    recipe: Recipe
    validation: Path | None = None
    suffix: str | None = None
    epochs: int | None = None
    seed: int | None = None
    method: str | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    base_url: str | None = None
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as its backend sees it now. `status` is one of OpenAI's words, INTERRUPTED, or a word of its service's.

    `model` is the tuned model's name once it succeeded; for `local` the path of its adapter. `error` is a sentence
    for a person where it failed. `detail` is the backend's own record, plain JSON. `is_known` is False for a word that
    may mean anything, `is_given_up` once it was said for too long.
    """

    job_id: str
    status: str
    model: str | None = None
    error: str | None = None
    fix: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    is_known: bool = True
    is_given_up: bool = False

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def stands_still(self) -> bool:
        """Whether nothing more will happen to it by itself, as far as anybody can tell."""
        return self.is_over or self.status == INTERRUPTED or self.is_given_up


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job. `event_id` is unique within it; events come oldest first.

    `kind` is `message` or `metrics`. `metrics` holds what is known of: step, total_steps, epoch, train_loss,
    valid_loss, learning_rate, mean_token_accuracy. `created_at` is in seconds since 1970.
    """

    event_id: str
    created_at: float
    message: str
    level: str = "info"
    kind: str = "message"
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as it was after `step` steps; `name` is how it is asked for, or where it lies."""

    name: str
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A model that came out of a fine-tune, with all that is needed to ask it, and its base, as it was taught.

    `name` is how its server names it. `local`: `weights` is the base's GGUF file, and `adapter` what is loaded
    beside it (a GGUF too), None where no server of this package can serve it; `adapter_folder` is PEFT's own.
    `training` is the file that it was trained on, `held_out` one that it was not, None when there is none; `folder` is
    the fine-tune's own.
    """

    name: str
    backend: str
    base_model: str
    recipe: Recipe
    folder: Path
    base_url: str | None = None
    weights: Path | None = None
    adapter: Path | None = None
    adapter_folder: Path | None = None
    training: Path | None = None
    held_out: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Backend(Protocol):
    """Where a fine-tune runs. Each call is one try, or is retried inside where that can cost nothing twice.

    Raises InputError for what the user can fix before anything is paid (a model that the backend does not have, not
    enough memory, no extra), EndpointError or LocalModelError for the rest, `fix` set.
    """

    name: str

    async def check(self, request: TuneRequest) -> list[str]:
        """Look, before anything is written or paid, whether `request` can succeed here; what a person should know."""
        ...

    async def upload(self, file: Path, name: str) -> str:
        """Hand over `file` under `name`, which is unique to this fine-tune; returns the file's id."""
        ...

    async def find_upload(self, name: str, size: int) -> str | None:
        """The id of a file that was handed over under `name` before, by a call whose answer was lost; None: surely
        none arrived.
        """
        ...

    async def ready(self, files: Mapping[str, str]) -> None:
        """Look, before a job is started, whether the `files` can be trained on. Raises NotReadyYet."""
        ...

    async def create(self, request: TuneRequest, files: Mapping[str, str], tag: str) -> JobState:
        """Start the job on `files` (`training`, `validation` -> id). `tag` is unique to this fine-tune."""
        ...

    async def find_job(self, files: Mapping[str, str], tag: str) -> JobState | None:
        """The job that an earlier `create` with this `tag` started, when its answer was lost; None: surely none."""
        ...

    async def job(self, job_id: str) -> JobState:
        """How the job stands now."""
        ...

    async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
        """What happened after the event with the id `after` (None: from the start), oldest first."""
        ...

    async def checkpoints(self, job_id: str) -> list[Checkpoint]:
        """The checkpoints that are there now, oldest first."""
        ...

    async def revive(self, job_id: str) -> JobState:
        """Go on with an INTERRUPTED job from its last checkpoint."""
        ...

    async def cancel(self, job_id: str) -> JobState:
        """End the job; what it has made so far stays."""
        ...
