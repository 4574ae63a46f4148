"""The options of a fine-tune as Python keywords, for type checkers and editors.

Written from `FinetuneOptions` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict

from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.options import FilePath


class FinetuneKeywords(TypedDict, total=False):
    """The options of a fine-tune, those of `FinetuneOptions`; each may be left out, and None leaves it out, too."""

    backend: str | None
    """Any OpenAI-shaped service, or this machine. Default: local with neither a base URL nor a key."""

    model: str | None
    """The model to tune; local: embedded, a .gguf file, or a folder. Default: embedded."""

    base_url: str | None
    """The service's base URL; on this machine it needs no key."""

    format: str | None
    """What a run's rows are assembled as. Default: what the backend learns from."""

    suffix: str | None
    """Up to 64 characters that become part of the model's name."""

    epochs: int | None
    """How often the rows are gone through."""

    validation: FilePath | None
    """Rows to measure on. Default: those that assemble held out."""

    seed: int | None
    """The same seed gives about the same model."""

    method: str | None
    """openai: supervised or dpo; local: lora or full."""

    batch_size: int | None
    """Rows a step."""

    learning_rate: float | None
    """local: the learning rate; openai: a multiplier of the service's own."""

    watch_job: bool | None
    """Watch the job to its end, or leave it once it is started."""

    new: bool | None
    """Start another beside the ones that are there."""

    cancel: bool | None
    """End the job."""

    resend: bool | None
    """The call whose answer was lost did not arrive (you looked): send it again."""

    adopt: str | None
    """The call whose answer was lost did arrive (you looked): it made this file or job."""

    api_key: ApiKey | None
    """The service's key. Default: OPENAI_API_KEY."""

    watch: TuningObserver | None
    """Who is told how it goes."""
