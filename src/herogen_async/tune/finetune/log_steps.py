"""The names in a fine-tune's log, and what they tell: its calls, how its job ended, the model that it made."""

from __future__ import annotations

from herogen_async.generation.intents import Results

OVER, MODEL = "over", "model"  # how the job ended; the model that came of it
CREATE = "create"  # the call that starts the job
ROLES = ("training", "validation")


def upload_of(role: str) -> str:
    """The name of the call that hands over a file."""
    return f"upload {role}"


def files_in(results: Results) -> dict[str, str]:
    """The ids of the files that were handed over, by role."""
    return {role: results[upload_of(role)] for role in ROLES if upload_of(role) in results}
