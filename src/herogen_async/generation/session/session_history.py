"""What the events say of a run's earlier sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def fold_history(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`elapsed_s` of all sessions, the figures of the `last`, and its end: `state`, `reason`, `fix` and `wake_at`."""
    history: dict[str, Any] = {"elapsed_s": 0.0, "last": {}, "state": "stopped"}
    for event in events:
        if event.get("event") == "merged":  # how one of its parts ended says nothing about the whole
            history |= {"last": {}, "state": "stopped", "reason": None, "fix": None, "wake_at": None}
        if event.get("event") not in ("stopped", "died"):
            continue
        figures = {name: value for name, value in event.items() if name not in ("event", "at")}
        history["elapsed_s"] += float(figures.get("session_s", 0.0))
        history["last"] = figures
        history["state"] = figures.get("state", "stopped")
        history |= {name: figures.get(name) for name in ("reason", "fix", "wake_at")}
    return history
