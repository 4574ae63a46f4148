"""Which failures are tried again, how often, and how long a row waits: tenacity's rules, evaluated on one failure.

The library is loaded with the first failure: a run that meets none starts sooner.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from herogen_async.core.errors import EndpointError, RetryableError

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.retry import retry_base
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
RETRY_AFTER_CAP_S = 60.0  # what a server may ask for; a longer wait is asked for again by the next answer


def retry_state(error: EndpointError, attempt: int) -> RetryCallState:
    """What tenacity's rules look at: attempt number `attempt` ended in `error`."""
    from tenacity import RetryCallState, Retrying  # noqa: PLC0415

    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    state.set_exception((type(error), error, error.__traceback__))
    return state


def backoff(state: RetryCallState) -> float:
    """Seconds that a row waits by itself: random, up to twice as long with each attempt."""
    return _backoff()(state)


def asked_for(state: RetryCallState) -> float:
    """Seconds that the server asked for."""
    return _asked_for()(state)


def is_retryable(state: RetryCallState) -> bool:
    """Whether another attempt may end otherwise."""
    return _retryable()(state)


def is_last(state: RetryCallState, max_attempts: int) -> bool:
    """Whether the row has no attempt left."""
    return _stop(max_attempts)(state)


@cache
def _backoff() -> wait_base:
    from tenacity.wait import wait_random_exponential  # noqa: PLC0415

    return wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


@cache
def _asked_for() -> wait_base:
    from tenacity.wait import wait_exception  # noqa: PLC0415

    return wait_exception(_server_asked_for)


def _server_asked_for(error: BaseException) -> float:
    asked = error.retry_after_s if isinstance(error, RetryableError) else None
    return min(asked or 0.0, RETRY_AFTER_CAP_S)


@cache
def _retryable() -> retry_base:
    from tenacity.retry import retry_if_exception_type  # noqa: PLC0415

    return retry_if_exception_type(RetryableError)


@cache
def _stop(max_attempts: int) -> stop_base:
    from tenacity.stop import stop_after_attempt  # noqa: PLC0415

    return stop_after_attempt(max_attempts)
