"""A small language model that runs on this machine: weights, a child process that serves them, and its parent's side.

The child speaks OpenAI's HTTP, so that the rest of the package sees nothing but one more base URL.
"""

from __future__ import annotations

from herogen_async.generation.endpoint.embedded.adapter_file import BASE, TUNED
from herogen_async.generation.endpoint.embedded.fetch import SMOLLM2, WeightsSource
from herogen_async.generation.endpoint.embedded.open_embedded import open_embedded
from herogen_async.generation.endpoint.embedded.process import EmbeddedServer
from herogen_async.generation.endpoint.embedded.weights import (
    Weights,
    cached_weights,
    ensure_weights,
    weights_in_thread,
)
from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

DESCRIPTION = (
    "The embedded model has 135 million parameters: use it to try the whole loop, not for production data; "
    "it runs on this machine, and nothing leaves it."
)

__all__ = [
    "BASE",
    "DESCRIPTION",
    "SMOLLM2",
    "TUNED",
    "EmbeddedServer",
    "OnProgress",
    "Weights",
    "WeightsProgress",
    "WeightsSource",
    "cached_weights",
    "ensure_weights",
    "open_embedded",
    "weights_in_thread",
]
