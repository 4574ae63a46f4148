"""Generate training data from language models: fast, and without losing or re-buying an answer.

>>> import herogen_async
>>> report = herogen_async.run(limit=20)          # the built-in spec on the embedded model
>>> report.done, report.state
(20, 'done')
>>> texts = [row["response_txt"] for row in herogen_async.rows(report.run)]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from herogen_async.core.errors import (
        DamageError,
        DiskError,
        EndpointError,
        EndpointRefused,
        HerogenError,
        InputError,
        Interrupted,
        LocalModelError,
        RunFolderError,
        RunInUse,
        SpecError,
    )
    from herogen_async.data.dataset import assemble, export, rows
    from herogen_async.data.dataset import failures as errors
    from herogen_async.data.prepare import inferred_recipe, prepare
    from herogen_async.generation.forecast.look_ahead import plan
    from herogen_async.generation.mirror import restore
    from herogen_async.generation.observer import CallEnded, Observer
    from herogen_async.generation.report import RunReport
    from herogen_async.generation.session import Watch, status
    from herogen_async.generation.session.merge_runs import merge
    from herogen_async.specs.spec import Column, Sampling, Spec
    from herogen_async.tune.evaluation.api import evaluate
    from herogen_async.tune.finetune import afinetune, finetune
    from herogen_async.tune.query import aquery, query
    from herogen_async.view.notebook import shown_aresume as aresume
    from herogen_async.view.notebook import shown_arun as arun
    from herogen_async.view.notebook import shown_resume as resume
    from herogen_async.view.notebook import shown_run as run

__all__ = [
    "CallEnded",
    "Column",
    "DamageError",
    "DiskError",
    "EndpointError",
    "EndpointRefused",
    "HerogenError",
    "InputError",
    "Interrupted",
    "LocalModelError",
    "Observer",
    "RunFolderError",
    "RunInUse",
    "RunReport",
    "Sampling",
    "Spec",
    "SpecError",
    "Watch",
    "afinetune",
    "aquery",
    "aresume",
    "arun",
    "assemble",
    "errors",
    "evaluate",
    "export",
    "finetune",
    "inferred_recipe",
    "merge",
    "plan",
    "prepare",
    "query",
    "restore",
    "resume",
    "rows",
    "run",
    "status",
]

# Imported at the first use: `import herogen_async` and `herogen-async --help` stay instant.
_HOME = {
    **dict.fromkeys(
        (
            "DamageError",
            "DiskError",
            "EndpointError",
            "EndpointRefused",
            "HerogenError",
            "InputError",
            "Interrupted",
            "LocalModelError",
            "RunFolderError",
            "RunInUse",
            "SpecError",
        ),
        "core.errors",
    ),
    "RunReport": "generation.report",
    "errors": "data.dataset",
    "evaluate": "tune.evaluation.api",
    "merge": "generation.session.merge_runs",
    "plan": "generation.forecast.look_ahead",
    "restore": "generation.mirror",
    **dict.fromkeys(("CallEnded", "Observer"), "generation.observer"),
    **dict.fromkeys(("Column", "Sampling", "Spec"), "specs.spec"),
    **dict.fromkeys(("Watch", "status"), "generation.session"),
    **dict.fromkeys(("assemble", "export", "rows"), "data.dataset"),
    **dict.fromkeys(("inferred_recipe", "prepare"), "data.prepare"),
    **dict.fromkeys(("afinetune", "finetune"), "tune.finetune"),
    **dict.fromkeys(("aquery", "query"), "tune.query"),
    **dict.fromkeys(("aresume", "arun", "resume", "run"), "view.notebook"),
}
_NAME_THERE = {
    "errors": "failures",
    **{name: f"shown_{name}" for name in ("aresume", "arun", "resume", "run")},
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'herogen_async' has no attribute {name!r}")
    return getattr(importlib.import_module(f"herogen_async.{_HOME[name]}"), _NAME_THERE.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
