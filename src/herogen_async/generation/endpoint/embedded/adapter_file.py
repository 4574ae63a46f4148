"""An adapter beside the weights: is it one, and was it made for them. The server's own words for either are no help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded.gguf_header import read_header
from herogen_async.generation.endpoint.embedded.weights import Weights

TUNED: list[dict[str, Any]] = [{"id": 0, "scale": 1.0}]
"""What a request says under `lora` to be answered by the tuned model; it is also what one that says nothing gets."""
BASE: list[dict[str, Any]] = [{"id": 0, "scale": 0.0}]
"""What a request says under `lora` to be answered by the weights as they are."""


def origin_of(adapter: Path) -> Path:
    """Where it is kept which weights `adapter` was made for: JSON with their `weights_sha256` and `weights_name`."""
    return adapter.with_name(adapter.name + ".json")


def require_adapter(adapter: Path, weights: Weights) -> None:
    """Raises LocalModelError when `adapter` can't be loaded beside `weights`.

    One that says nothing of its origin is believed to fit: it was made elsewhere.
    """
    fix = "give the adapter.gguf of a local fine-tune, or make it again"
    try:
        header = read_header(adapter)
    except OSError as error:
        raise LocalModelError(f"can't read the adapter {str(adapter)!r}: {error.strerror}", fix=fix) from error
    except ValueError as error:
        raise LocalModelError(f"the adapter can't be used: {error}", fix=fix) from error
    if header.metadata.get("general.type") != "adapter":
        raise LocalModelError(f"{str(adapter)!r} is a {header.metadata.get('general.type')!r}, not an adapter", fix=fix)
    _require_origin(adapter, weights)


def _require_origin(adapter: Path, weights: Weights) -> None:
    try:
        origin = codec.loads(origin_of(adapter).read_bytes())
    except (OSError, ValueError):
        return
    if not isinstance(origin, dict) or origin.get("weights_sha256") in (None, weights.sha256):
        return
    raise LocalModelError(
        f"the adapter {str(adapter)!r} was made for different weights than {weights.name!r}: for "
        f"{origin.get('weights_name')!r} with the sha256 {origin['weights_sha256']!r}, not {weights.sha256!r}",
        fix="serve it with the weights it was trained on, or fine-tune again on these",
    )
