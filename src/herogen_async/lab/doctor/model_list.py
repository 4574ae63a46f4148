"""A server's list of models, in the shapes that servers use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from herogen_async.core import codec
from herogen_async.lab.doctor.diagnosis import ServedModel

Clean = Callable[[str], str]

_MOST = 1000  # models of a list
# OpenAI; Mistral, in two spellings; OpenRouter.
_ENDS = ("shutdown_date", "deprecation", "deprecation_date", "expiration_date", "retirement_date")


def models_in(body: bytes, clean: Clean) -> tuple[ServedModel, ...] | None:
    """The models of a list; None when it is none. `clean` makes a server's word fit to be shown."""
    try:
        data = codec.loads(body)
    except ValueError:
        return None
    listed = data.get("data", data.get("models")) if isinstance(data, dict) else data
    if not isinstance(listed, list):
        return None
    models = (model_in(each, clean) for each in listed[:_MOST])
    return tuple(model for model in models if model is not None)


def model_in(record: Any, clean: Clean) -> ServedModel | None:
    """One model of a list, or of its own route."""
    name = record.get("id") or record.get("name") if isinstance(record, dict) else None
    if not isinstance(name, str):
        return None
    owner = record.get("owned_by")
    return ServedModel(clean(name), clean(owner) if isinstance(owner, str) else None, _ends(record, clean))


def _ends(record: dict[str, Any], clean: Clean) -> str | None:
    said = next((record[name] for name in _ENDS if record.get(name)), None)
    if isinstance(said, str):
        return clean(said)[:40]
    if isinstance(said, int | float) and said is not True:
        try:
            return datetime.fromtimestamp(said, UTC).date().isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    return "date not given" if said is True or record.get("deprecated") is True else None
