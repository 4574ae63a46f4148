"""A chain as its log tells it: a pure fold over the steps.

Kept here, by the order in which `chain` writes:
1. a call that costs is made only after its intent is in the log, durably;
2. an intent that no other step has closed may have arrived: `open` names it, and it is never made again before
   someone has told whether it did;
3. a call that has a result is never made again.

```
              INTENT          RESULT (the answer; found by a look; told by a person)
   (nothing) -------> open ----------------------------------------------------------> done
       ^               |
       +---------------+  CLOSED (refused; surely not sent; no look found it; told by a person)
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

REQUEST, INTENT, RESULT, CLOSED = "order", "intent", "result", "closed"
"""The steps that a chain knows, as they stand on disk."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """What is known of one chain.

    `request` is its latest REQUEST step, None before there is one. `results` is what the calls gave, by their names.
    `open` is the call that may have arrived and whose answer was lost. `refused` says why the service refused the last
    call, until something else is asked. `facts` is the latest step of every other name: what the caller recorded.
    """

    request: Mapping[str, Any] | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    open: str | None = None
    refused: str | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def fold(records: Iterable[Mapping[str, Any]]) -> ChainState:
    """The steps so far; a name that is not known (of a newer version) is a fact and changes nothing else."""
    request, still_open, refused = None, None, None
    results: dict[str, str] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for record in records:
        step = record.get("step")
        if step == REQUEST:
            request, refused = record, None
        elif step == INTENT:
            # 2: open until another step names what came of it, in this process or in a later one.
            still_open, refused = record["call"], None
        elif step == RESULT:
            # 3: whoever found it out, an answer, a look or a person.
            results[record["call"]], still_open = record["result"], None
        elif step == CLOSED:
            still_open, refused = None, record.get("error")
        else:
            # The caller's own, or a newer version's: it neither opens nor closes a call.
            facts[str(step)] = record
    return ChainState(request, results, still_open, refused, facts)
