"""Existing fine-tunes: which one is meant, and what has changed since it started."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from herogen_async.core.errors import DamageError, InputError, RunFolderError
from herogen_async.generation.intents import ChainState, fold, numbered_folders, read_steps
from herogen_async.tune.finetune.log_steps import CREATE, MODEL, OVER, files_in
from herogen_async.tune.finetune.records import SUCCEEDED, TuneRequest
from herogen_async.tune.finetune.tune_request import request_in
from herogen_async.tune.options import FinetuneOptions


@dataclass(frozen=True, slots=True)
class ExistingFinetune:
    """An existing fine-tune. `amended`: the service refused it, and it is tried again as it is now."""

    folder: Path
    state: ChainState
    amended: bool = False

    @classmethod
    def at(cls, folder: Path) -> ExistingFinetune:
        """The one in `folder`. Raises DamageError, RunFolderError."""
        return cls(folder, fold(read_steps(folder)))

    @property
    def request_step(self) -> Mapping[str, Any]:
        """The step that it begins with."""
        return self.state.request or {}

    @property
    def settings(self) -> dict[str, Any]:
        """What was said, by the names of the options."""
        return dict(self.request_step["settings"])

    @property
    def tag(self) -> str:
        return str(self.request_step["tag"])

    @property
    def job_id(self) -> str | None:
        return self.state.results.get(CREATE)

    @property
    def ending(self) -> Mapping[str, Any] | None:
        """How its job ended; None while it has not."""
        return self.state.facts.get(OVER)

    @property
    def has_model(self) -> bool:
        return MODEL in self.state.facts

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: a job that made a model is over once the model is recorded."""
        return self.has_model or (self.ending is not None and self.ending.get("status") != SUCCEEDED)

    def request(self) -> TuneRequest:
        """What was asked, as it was given."""
        return request_in(self.request_step, self.folder)


def find_existing(parent: Path, options: FinetuneOptions) -> ExistingFinetune | None:
    """The latest fine-tune in `parent` that matches `options`; None when there are no fine-tunes.

    Raises InputError, naming what differs, when there are only others. A damaged log matters only to who needs it.
    """
    latest: ExistingFinetune | None = None
    for folder in reversed(numbered_folders(parent)):
        each = ExistingFinetune.at(folder)
        if each.state.request is None:
            continue
        if not _differences(options, each):
            return each
        latest = latest or each
    if latest is None:
        return None
    differ = _differences(options, latest)
    if latest.state.refused and not latest.job_id and not _of_no_use(latest, differ):
        return replace(latest, amended=True)
    said = "; ".join(
        f"{name} is {'not set' if old is None else repr(old)} there, {new!r} here"
        for name, (new, old) in differ.items()
    )
    raise InputError(
        f"{str(latest.folder)!r} has different settings: {said}",
        fix="remove those options to continue it, or start another with --new",
    )


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of the fine-tune in `folder`, by option name."""
    return ExistingFinetune.at(folder).settings


def other_jobs(parent: Path, folder: Path) -> frozenset[str]:
    """The jobs of the fine-tunes in `parent` but for the one in `folder`: what a service lists of them is not its."""
    found: set[str] = set()
    for each in numbered_folders(parent):
        if each.name != folder.name:
            with contextlib.suppress(DamageError, RunFolderError):  # one that can't be read hides no other
                found |= {job_id for job_id in (ExistingFinetune.at(each).job_id,) if job_id}
    return frozenset(found)


def changed_files(existing: ExistingFinetune, found: Mapping[str, str]) -> list[str]:
    """What has changed since the fine-tune started; `found` is the SHA-256 of each role's file now."""
    told: Mapping[str, Mapping[str, Any]] = existing.request_step["files"]
    uploaded = files_in(existing.state.results)
    sentences = []
    for role in sorted(told.keys() | found.keys()):
        before, now = told.get(role, {}).get("sha256"), found.get(role)
        if before is None or now is None:
            sentences.append(f"the {role} file is {'new' if before is None else 'gone'}")
        elif before != now:
            done = "uploaded" if role in uploaded else "checked"
            sentences.append(
                f"the {role} file has changed since it was {done} (sha256 {before[:12]}..., now {now[:12]}...)"
            )
    return sentences


def _of_no_use(existing: ExistingFinetune, differ: Mapping[str, Any]) -> bool:
    """Whether what was done can't serve a request that differs so: files are at one service, for good."""
    elsewhere = {"backend", "format"} | ({"base_url"} if existing.state.results else set())
    return not elsewhere.isdisjoint(differ)


def _differences(options: FinetuneOptions, existing: ExistingFinetune) -> dict[str, tuple[Any, Any]]:
    """What was said -> as it was said, and as it is there."""
    there = existing.settings
    return {name: (said, there.get(name)) for name, said in options.settings().items() if said != there.get(name)}
