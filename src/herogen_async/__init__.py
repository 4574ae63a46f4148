"""Generate training data from language models: fast, and without losing or re-buying an answer.

>>> import herogen_async
>>> report = herogen_async.run(limit=20)          # the built-in spec on the embedded model
>>> report.done, report.state
(20, 'done')
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from herogen_async.generation.report import RunReport
    from herogen_async.generation.session import Watch, aresume, arun, resume, run, status
    from herogen_async.specs.spec import Sampling, Spec

__all__ = ["RunReport", "Sampling", "Spec", "Watch", "aresume", "arun", "resume", "run", "status"]

# Imported at the first use: `import herogen_async` and `herogen-async --help` stay instant.
_HOME = {
    "RunReport": "generation.report",
    "Sampling": "specs.spec",
    "Spec": "specs.spec",
    **dict.fromkeys(("Watch", "aresume", "arun", "resume", "run", "status"), "generation.session"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'herogen_async' has no attribute {name!r}")
    return getattr(importlib.import_module(f"herogen_async.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
