"""The options of a fine-tune as Python keywords, for type checkers and editors.

Written from `FinetuneOptions` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict

from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.options import FilePath, FurtherFields


class FinetuneKeywords(TypedDict, total=False):
    """The options of a fine-tune, those of `FinetuneOptions`; each may be left out, and None leaves it out, too."""

    backend: str | None
    """An OpenAI-compatible service, or this machine. Default: local if neither a base URL nor a key is set."""

    model: str | None
    """Model to tune; local: embedded, a .gguf file, or a folder. Default: embedded."""

    base_url: str | None
    """Base URL of the service; a server on this machine needs no key."""

    format: str | None
    """Format of a run's training rows. Default: the one the backend accepts."""

    suffix: str | None
    """Added to the model's name, up to 64 characters."""

    epochs: int | None
    """Passes over the rows."""

    validation: FilePath | None
    """Validation rows. Default: the rows held out by assemble."""

    seed: int | None
    """Random seed; the same seed gives nearly the same model."""

    method: str | None
    """openai: supervised or dpo; local: lora or full."""

    batch_size: int | None
    """Rows per step."""

    learning_rate: float | None
    """local: the learning rate; openai: a multiplier of the service's default."""

    fields: FurtherFields | None
    """A further field of the service's request, e.g. trainingType=GlobalStandard (repeatable)."""

    price_usd: float | None
    """Price of training, USD per million tokens."""

    budget_usd: float | None
    """Limit on the estimated cost; needs --price and --epochs."""

    yes: bool | None
    """Start what may cost money without asking."""

    watch_job: bool | None
    """Watch the job to its end, or leave once it has started."""

    new: bool | None
    """Start another fine-tune beside the existing ones."""

    cancel: bool | None
    """Cancel the job."""

    resend: bool | None
    """The call with the lost answer never arrived (you checked): send it again."""

    adopt: str | None
    """The call with the lost answer did arrive (you checked): it made this file or job; or the model's name, where
    the service gives none."""

    api_key: ApiKey | None
    """The service's key. Default: OPENAI_API_KEY."""

    watch: TuningObserver | None
    """Who is told how it goes."""
