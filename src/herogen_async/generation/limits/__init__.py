"""How fast may we ask? Arithmetic only: functions of (state, now, event), no clock, no waiting.

```
reserve(size, now) -> Ticket | Wait      one request and its estimated tokens, together or not at all
settle(ticket, outcome, now)             exactly once a ticket: give back what was not used, owe the overuse, learn
refused(ticket, now, wait_s=...)         a 429 closes the gate for everyone, once, and says something about the rate
```
"""

from herogen_async.generation.limits.admission import Admission
from herogen_async.generation.limits.blocks import BlockAdmission, CallsWanted, Grant, GrantedAdmission, Terms, Told
from herogen_async.generation.limits.budget import Budget, Rates, in_usd
from herogen_async.generation.limits.ledger import Ledger, LedgerBusy
from herogen_async.generation.limits.tickets import Charge, InFlight, Sized, Ticket, Used, Wait
from herogen_async.generation.limits.token_bucket import Bucket
from herogen_async.generation.limits.tokens import TokenEstimate, byte_size, estimate_tokens

__all__ = [
    "Admission",
    "BlockAdmission",
    "Bucket",
    "Budget",
    "CallsWanted",
    "Charge",
    "Grant",
    "GrantedAdmission",
    "InFlight",
    "Ledger",
    "LedgerBusy",
    "Rates",
    "Sized",
    "Terms",
    "Ticket",
    "TokenEstimate",
    "Told",
    "Used",
    "Wait",
    "byte_size",
    "estimate_tokens",
    "in_usd",
]
