"""The file through which the processes on one machine share the rate-limit buckets of one key.

```
open_ledger(base_url, key, model=..., clock=..., on_notice=...) -> SharedLedger | None
acquire(now) -> (seconds since it was written, values) | None     takes the lock; LedgerBusy when it can't
release(values | None, now)                                       writes, and lets go of the lock
```
"""

from herogen_async.generation.limits.shared.ledger_path import limits_folder, open_ledger
from herogen_async.generation.limits.shared.shared_ledger import SharedLedger

__all__ = ["SharedLedger", "limits_folder", "open_ledger"]
