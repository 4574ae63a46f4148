"""Calls that must happen once: an intent is synced before the call, its outcome after it.

`IntentLog` is the file, `Chain` makes the calls of something that costs, in order and each once, whatever stops the
process; `JobWatch` looks at what they started, until it stands still. What the calls are, and what is started, is the
caller's: nothing here knows.
"""

from __future__ import annotations

from herogen_async.generation.intents.chain import UNRESOLVED, Chain, OnceCall, Resolution, Results
from herogen_async.generation.intents.chain_state import REQUEST, ChainState, fold
from herogen_async.generation.intents.intent_log import STEPS, IntentLog, next_numbered, numbered_folders, read_steps
from herogen_async.generation.intents.job_watch import FIRST_S, LONGEST_S, JobWatch

__all__ = [
    "FIRST_S",
    "LONGEST_S",
    "REQUEST",
    "STEPS",
    "UNRESOLVED",
    "Chain",
    "ChainState",
    "IntentLog",
    "JobWatch",
    "OnceCall",
    "Resolution",
    "Results",
    "fold",
    "next_numbered",
    "numbered_folders",
    "read_steps",
]
