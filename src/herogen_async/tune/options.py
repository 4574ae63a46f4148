"""The options of a fine-tune, in one table: a field of `FinetuneOptions` is a row.

Read from it are the command line's options, Python's keywords (`finetune/keywords.py`, written by
`python tests/write_derived.py`), the checks, what the log keeps and what tells two fine-tunes apart, the words of
the next command, and what a backend takes, and does where nothing is said. What comes of it, once a backend, a model
and files are chosen, is a `finetune.records.TuneRequest`. It imports next to nothing: `--help` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from herogen_async.core.options import (
    ANY_TEXT,
    COUNT,
    FLAG,
    POSITIVE,
    USD,
    Kind,
    check_options,
    one_of,
    option,
    options_of,
)
from herogen_async.tune.further_fields import HOW_TO_GIVE, are_fields, read_fields, written_fields

OPENAI = "openai"
LOCAL = "local"
BACKENDS = (OPENAI, LOCAL)

SUPERVISED, DPO = "supervised", "dpo"  # methods of `openai`
LORA, FULL = "lora", "full"  # methods of `local`
TRAINABLE_FORMATS = ("messages", "prompt-completion")  # as `data.dataset.recipe` names them

FilePath = str | os.PathLike[str]
FurtherFields = Mapping[str, Any]

LONGEST_SUFFIX = 64  # characters, OpenAI's

_SUFFIX = Kind(
    f"give 1 to {LONGEST_SUFFIX} characters", lambda value: isinstance(value, str) and 0 < len(value) <= LONGEST_SUFFIX
)
_MOST_SEED = 2**63 - 1  # what a log in JSON holds
_SEED = Kind(
    f"give a whole number from {-_MOST_SEED:,} to {_MOST_SEED:,}",
    lambda value: type(value) is int and -_MOST_SEED <= value <= _MOST_SEED,
    int,
    int,
    "N",
)
_FILE = Kind("give a file path", lambda value: isinstance(value, str | os.PathLike), metavar="FILE")
_RATE = Kind("give a rate between 0 and 1", lambda value: POSITIVE.holds(value) and value < 1, metavar="N")
_FIELDS = Kind(HOW_TO_GIVE, are_fields, read_fields, metavar="NAME=VALUE", write=written_fields)


@dataclass(frozen=True, slots=True)
class BackendRule:
    """What one backend takes for an option, where that is less than the option's own kind; and what it does where
    nothing is said, where this package decides that.
    """

    kind: Kind | None = None
    default: Any = None


def _setting(
    kind: Kind, text: str, *, unset: str = "", typed: str = "", by: Mapping[str, BackendRule] | None = None
) -> Any:
    """The row of an option that the log keeps: two fine-tunes of the same rows differ where it does."""
    declared: Any = option(None, kind, text, unset=unset, typed=typed)
    return field(default=None, metadata={**declared.metadata, "by_backend": by or {}})


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """What a person asks of a fine-tune; None: as in the existing fine-tune, else the backend's default."""

    backend: str | None = _setting(
        one_of(*BACKENDS),
        "An OpenAI-compatible service, or this machine.",
        unset="local if neither a base URL nor a key is set",
    )
    model: str | None = _setting(
        ANY_TEXT, "Model to tune; local: embedded, a .gguf file, or a folder.", unset="embedded"
    )
    base_url: str | None = _setting(ANY_TEXT, "Base URL of the service; a server on this machine needs no key.")
    format: str | None = _setting(
        one_of(*TRAINABLE_FORMATS), "Format of a run's training rows.", unset="the one the backend accepts"
    )
    suffix: str | None = _setting(_SUFFIX, f"Added to the model's name, up to {LONGEST_SUFFIX} characters.")
    epochs: int | None = _setting(
        COUNT,
        "Passes over the rows.",
        by={LOCAL: BackendRule(default=1)},  # one teaches the embedded model its task on 294 rows
    )
    validation: FilePath | None = option(None, _FILE, "Validation rows.", unset="the rows held out by assemble")
    seed: int | None = _setting(
        _SEED, "Random seed; the same seed gives nearly the same model.", by={LOCAL: BackendRule(default=17)}
    )
    method: str | None = _setting(
        one_of(SUPERVISED, DPO, LORA, FULL),
        "openai: supervised or dpo; local: lora or full.",
        by={OPENAI: BackendRule(one_of(SUPERVISED, DPO)), LOCAL: BackendRule(one_of(LORA, FULL), LORA)},
    )
    batch_size: int | None = _setting(COUNT, "Rows per step.", by={LOCAL: BackendRule(default=8)})
    learning_rate: float | None = _setting(
        POSITIVE,
        "local: the learning rate; openai: a multiplier of the service's default.",
        by={LOCAL: BackendRule(_RATE)},  # what it is by itself depends on the method
    )
    fields: FurtherFields | None = _setting(  # noqa: RUF009 - a field, as the others
        _FIELDS,
        "A further field of the service's request, e.g. trainingType=GlobalStandard (repeatable).",
        typed="--field",
    )
    price_usd: float | None = option(None, USD, "Price of training, USD per million tokens.")
    budget_usd: float | None = option(None, USD, "Limit on the estimated cost; needs --price and --epochs.")
    yes: bool = option(False, FLAG, "Start what may cost money without asking.")
    watch_job: bool | None = option(
        None, FLAG, "Watch the job to its end, or leave once it has started.", typed="--watch/--no-watch"
    )
    new: bool = option(False, FLAG, "Start another fine-tune beside the existing ones.")
    cancel: bool = option(False, FLAG, "Cancel the job.")
    resend: bool = option(False, FLAG, "The call with the lost answer never arrived (you checked): send it again.")
    adopt: str | None = option(
        None,
        replace(ANY_TEXT, metavar="ID"),
        "The call with the lost answer did arrive (you checked): it made this file or job; or the model's name, where "
        "the service gives none.",
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> FinetuneOptions:
        """Those that are given, checked; None is not given. Raises InputError, TypeError for a name that is none."""
        options = cls(**{name: value for name, value in given.items() if value is not None})
        check_options(FINETUNE_OPTIONS, options)
        return options

    @property
    def validation_file(self) -> Path | None:
        return None if self.validation is None else Path(self.validation)

    def settings(self) -> dict[str, Any]:
        """What was said, as the log keeps it."""
        said = {name: value for name in KEPT if (value := getattr(self, name)) is not None}
        if self.fields is not None:
            said["fields"] = dict(self.fields)
        if self.base_url is not None:
            said["base_url"] = self.base_url.strip().rstrip("/")
        return said

    def filled_from(self, settings: Mapping[str, Any]) -> FinetuneOptions:
        """With `settings` (of a fine-tune that is there) where nothing was said."""
        return replace(self, **{name: value for name, value in settings.items() if getattr(self, name) is None})


FINETUNE_OPTIONS = options_of(FinetuneOptions)
BACKEND_RULES: dict[str, Mapping[str, BackendRule]] = {
    each.name: each.metadata["by_backend"] for each in fields(FinetuneOptions) if "by_backend" in each.metadata
}
KEPT = tuple(BACKEND_RULES)
"""The options kept in the log; they tell two fine-tunes of the same rows apart."""
SETTLED = (*KEPT, "validation")
"""The options that define a fine-tune; the others say what to do with it."""
AGREED = ("price_usd", "budget_usd")
"""The options of its cost, which count until it has begun."""
