"""How fast may we ask? Arithmetic only: functions of (state, now, event), no clock, no waiting.

```
reserve(tokens, now) -> Ticket | (wait_s, why)   one request and its estimated tokens, together or not at all
settle(ticket, outcome, now)                     exactly once a ticket: give back what was not used, owe the overuse
close_gate(wait_s, now)                          a 429 closes the gate for everyone, for as long as it says
```
"""

from herogen_async.admission.bucket import Bucket
from herogen_async.admission.controller import Admission, Outcome, Ticket
from herogen_async.admission.tokens import estimate_tokens

__all__ = ["Admission", "Bucket", "Outcome", "Ticket", "estimate_tokens"]
