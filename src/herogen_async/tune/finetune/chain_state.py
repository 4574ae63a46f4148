"""The chain as its log tells it: a pure fold over the steps.

Kept here:
1. a call that costs is made only after its intent is in the log, durably;
2. an intent that no other step has closed may have arrived: `open` names it, and it is never made again before
   someone has told whether it did;
3. a call that has a result is never made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ORDER, INTENT, RESULT, CLOSED, OVER, MODEL = "order", "intent", "result", "closed", "over", "model"

CREATE = "create"
ROLES = ("training", "validation")


def upload_of(role: str) -> str:
    """The name of the call that hands over a file."""
    return f"upload {role}"


@dataclass(frozen=True, slots=True)
class Steps:
    """What is known of one fine-tune.

    `order` is its ORDER step, None before there is one. `results` is what calls gave: ids of files and of the job.
    `open` is the call that may have arrived and whose answer was lost. `refused` says why the service refused the last
    call. `over` is how the job ended, `model` what it made: their steps.
    """

    order: Mapping[str, Any] | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    open: str | None = None
    refused: str | None = None
    over: Mapping[str, Any] | None = None
    model: dict[str, Any] | None = None

    @property
    def job_id(self) -> str | None:
        return self.results.get(CREATE)

    @property
    def files(self) -> dict[str, str]:
        """The ids of the files that were handed over, by role."""
        return {role: self.results[upload_of(role)] for role in ROLES if upload_of(role) in self.results}


def fold(records: Iterable[Mapping[str, Any]]) -> Steps:
    """The steps so far; a word that is not known (of a newer version) changes nothing."""
    known: dict[str, Any] = {"results": {}}
    for record in records:
        what = record.get("step")
        if what == ORDER:
            known |= {"order": record, "refused": None}
        elif what == INTENT:
            known |= {"open": record["call"], "refused": None}
        elif what == RESULT:
            known["results"][record["call"]] = record["result"]
            known["open"] = None
        elif what == CLOSED:
            known |= {"open": None, "refused": record.get("error")}
        elif what == OVER:
            known["over"] = record
        elif what == MODEL:
            known["model"] = dict(record)
    return Steps(**known)
