"""Fine-tuning on this machine: a detached trainer (TRL and PEFT, the extra `[train]`) in the fine-tune's own folder."""

from __future__ import annotations

from herogen_async.tune.finetune.local.backend import LocalBackend

__all__ = ["LocalBackend"]
