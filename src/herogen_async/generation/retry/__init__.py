"""What to do about an error: try again after a while, give the row up, or park the run.

The rules are tenacity's own predicates, waits and stops, evaluated on one failure at a time: nobody sleeps in here and
no worker is held, the engine's timer heap does the waiting. This is the only layer that retries.

Whose fault it is decides what it costs:
- the row's own (refused content, attempts used up): the row fails, the run goes on; early, and as quarantined,
  where the same fault meets it again and again while others are answered (`suspects`);
- the pace's (429) or the network's (nothing answers): everybody waits, no attempt is used up; a row that meets so many
  429s that chance can't explain it fails all the same, or it would keep the others waiting for ever;
- the server's (timeouts, 500s, broken answers): the row is tried again, against a quota that only successes refill; a
  503 or a gateway's 502 is waited for by time and not by calls, with few looks meanwhile (`outage`);
- the account's, the model's or the URL's: the run parks. A 403 or 404 that says nothing of them is first held against
  the next rows: a firewall may have met one prompt. And a refusal without a reason is held until the next answer: the
  run parks where row after row meets it, and no row has failed for that.
"""

from herogen_async.generation.retry.auto_resume import (
    DAY_WAIT_S,
    FRUITLESS_WAITS,
    LONGEST_FRUITLESS_WAIT_S,
    SHORTEST_RESUME_WAIT_S,
    WAKE_MARGIN_S,
    day_limit_park,
    resume_wait_s,
)
from herogen_async.generation.retry.backoff import FIRST_WAIT_S, LONGEST_WAIT_S, RETRY_AFTER_CAP_S
from herogen_async.generation.retry.decisions import Decision, GiveUp, Hold, Others, Park, Retry, Streak
from herogen_async.generation.retry.outage import OUT_AFTER, UNREACHABLE_PATIENCE_S, UNREACHABLE_WAIT_S
from herogen_async.generation.retry.poison_rows import DENIED_ALONE, DENIED_PROMPTS, POISON_AFTER
from herogen_async.generation.retry.quota import RetryQuota
from herogen_async.generation.retry.rate_limits import RATE_LIMIT_PATIENCE_S, RATE_LIMITS_A_ROW, SUSPECT_AFTER
from herogen_async.generation.retry.triage import (
    FALSE_STARTS,
    MAX_ATTEMPTS,
    PATIENCE_WITH_WAIT_S,
    TIMEOUTS_IN_TAIL,
    Triage,
)

__all__ = [
    "DAY_WAIT_S",
    "DENIED_ALONE",
    "DENIED_PROMPTS",
    "FALSE_STARTS",
    "FIRST_WAIT_S",
    "FRUITLESS_WAITS",
    "LONGEST_FRUITLESS_WAIT_S",
    "LONGEST_WAIT_S",
    "MAX_ATTEMPTS",
    "OUT_AFTER",
    "PATIENCE_WITH_WAIT_S",
    "POISON_AFTER",
    "RATE_LIMITS_A_ROW",
    "RATE_LIMIT_PATIENCE_S",
    "RETRY_AFTER_CAP_S",
    "SHORTEST_RESUME_WAIT_S",
    "SUSPECT_AFTER",
    "TIMEOUTS_IN_TAIL",
    "UNREACHABLE_PATIENCE_S",
    "UNREACHABLE_WAIT_S",
    "WAKE_MARGIN_S",
    "Decision",
    "GiveUp",
    "Hold",
    "Others",
    "Park",
    "Retry",
    "RetryQuota",
    "Streak",
    "Triage",
    "day_limit_park",
    "resume_wait_s",
]
