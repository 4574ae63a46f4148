"""Fine-tuning on this machine: a detached trainer (TRL and PEFT, the extra `[train]`) in the fine-tune's own folder."""

from __future__ import annotations

from .backend import LocalBackend

__all__ = ["LocalBackend"]
