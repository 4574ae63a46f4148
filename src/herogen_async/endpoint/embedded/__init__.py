"""A small language model that runs on this machine: weights, a child process that serves them, and its parent's side.

The child speaks OpenAI's HTTP, so that the rest of the package sees nothing but one more base URL.
"""

from __future__ import annotations

from .adapter_file import BASE, TUNED
from .fetch import SMOLLM2, WeightsSource
from .process import EmbeddedServer
from .progress import OnProgress, Progress
from .weights import Weights, cached_weights, ensure_weights, weights_in_thread

DESCRIPTION = (
    "The embedded model is a 135-million-parameter model for trying the whole loop, not for a product's data; "
    "it runs here, and nothing leaves the machine."
)

__all__ = [
    "BASE",
    "DESCRIPTION",
    "SMOLLM2",
    "TUNED",
    "EmbeddedServer",
    "OnProgress",
    "Progress",
    "Weights",
    "WeightsSource",
    "cached_weights",
    "ensure_weights",
    "weights_in_thread",
]
