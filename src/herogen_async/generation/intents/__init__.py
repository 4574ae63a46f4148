"""Calls that must happen once: an intent is synced before the call, its outcome after it."""

from herogen_async.generation.intents.intent_log import STEPS, StepLog, next_numbered, numbered_folders, read_steps

__all__ = [
    "STEPS",
    "StepLog",
    "next_numbered",
    "numbered_folders",
    "read_steps",
]
