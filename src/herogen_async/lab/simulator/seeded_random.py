"""What is drawn for a request: functions of the seed, the question and its turn, never of the order of arrival."""

from __future__ import annotations

import math
from hashlib import blake2b
from struct import unpack

_UNIFORM = 2.0**-53


def draws(seed: int, question: bytes, turn: int = 0) -> tuple[int, ...]:
    """Eight independent integers of 64 bits."""
    digest = blake2b(question, key=b"%d" % seed, salt=b"%d" % turn, digest_size=64).digest()
    return unpack("<8Q", digest)


def uniform(drawn: int) -> float:
    """A drawn integer as a number in [0, 1)."""
    return (drawn >> 11) * _UNIFORM


def lognormal(median: float, sigma: float, first: int, second: int) -> float:
    """A lognormal number of two drawn integers (Box and Muller's way)."""
    if not sigma:
        return median
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(first)))
    return median * math.exp(sigma * radius * math.cos(2.0 * math.pi * uniform(second)))
