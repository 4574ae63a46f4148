"""How long a failed row waits: tenacity's waits, evaluated on one failure."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exception, wait_random_exponential

from herogen_async.core.errors import EndpointError, RetryableError

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
RETRY_AFTER_CAP_S = 60.0  # what a server may ask for; a longer wait is asked for again by the next answer

backoff = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def _server_asked_for(error: BaseException) -> float:
    asked = error.retry_after_s if isinstance(error, RetryableError) else None
    return min(asked or 0.0, RETRY_AFTER_CAP_S)


asked_for = wait_exception(_server_asked_for)


def retry_state(error: EndpointError, attempt: int) -> RetryCallState:
    """What tenacity's rules look at: attempt number `attempt` ended in `error`."""
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    state.set_exception((type(error), error, error.__traceback__))
    return state
