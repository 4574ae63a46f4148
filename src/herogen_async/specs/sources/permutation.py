"""A seeded order of the whole numbers below a size, computed place by place in both directions. Pure.

PM1  It is a permutation: `number(place(n)) == n` and `place(number(p)) == p` for all of `range(size)`.
PM2  Memory and the time of a look-up do not grow with the size, which may be beyond 2**64.
PM3  It depends on size and seed alone: on every machine and in every release the same. Runs on disk rest on it.

How: numbers are taken as pairs (left, right) in a rectangle of about the square root on each side, whose halves are
mixed in turn (a Feistel network, in the form that Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA
2002, give for sizes that are no power of two). A pair that falls outside of the size is mixed again until it falls
inside: the rectangle is little larger than the size, so that is rare.
"""

from __future__ import annotations

import math

_ROUNDS = 6  # fewer leave a structure that shows in small sizes
_WORD = (1 << 64) - 1


class Permutation:
    """Of `range(size)`; another `seed` (64 bits) is another order."""

    __slots__ = ("_columns", "_keys", "_rows", "size")

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._rows = math.isqrt(max(size - 1, 0)) + 1  # at least the square root
        self._columns = -(-size // self._rows)
        self._keys = tuple(_mixed(seed * _ROUNDS + number & _WORD) for number in range(_ROUNDS))

    def number(self, place: int) -> int:
        """Which number is at `place`. IndexError outside `range(size)`."""
        found = self._mix(self._checked(place))
        while found >= self.size:
            found = self._mix(found)
        return found

    def place(self, number: int) -> int:
        """Where `number` is. IndexError outside `range(size)`."""
        found = self._unmix(self._checked(number))
        while found >= self.size:
            found = self._unmix(found)
        return found

    def _checked(self, number: int) -> int:
        if not 0 <= number < self.size:
            raise IndexError(f"{number!r} is outside the order: valid: 0 to {self.size - 1}")
        return number

    def _mix(self, number: int) -> int:
        left, right = divmod(number, self._columns)
        for count, key in enumerate(self._keys):
            if count % 2:
                right = (right + _mixed(left ^ key)) % self._columns
            else:
                left = (left + _mixed(right ^ key)) % self._rows
        return left * self._columns + right

    def _unmix(self, number: int) -> int:
        left, right = divmod(number, self._columns)
        for count in range(_ROUNDS - 1, -1, -1):
            key = self._keys[count]
            if count % 2:
                right = (right - _mixed(left ^ key)) % self._columns
            else:
                left = (left - _mixed(right ^ key)) % self._rows
        return left * self._columns + right


def _mixed(number: int) -> int:
    """64 bits in which every bit of `number` shows: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    number = (number + 0x9E3779B97F4A7C15) & _WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _WORD
    return number ^ (number >> 31)
