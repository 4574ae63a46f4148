"""How many retries a run may pay for."""

from __future__ import annotations


class RetryQuota:
    """Stops a run that only burns requests: retries cost, successes earn, an empty purse means park.

    The constants are those of the AWS SDKs' retry quota ("adaptive" and "standard" mode): 500 in the purse, 5 a retry,
    1 back a success. With 5 % of failures it never empties; against a server that always fails it allows 100 retries.
    """

    SIZE = 500
    RETRY_COST = 5
    SUCCESS_EARNS = 1

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = self.SIZE

    def spend(self) -> bool:
        """Pay for one retry; False when the purse is empty."""
        if self.left < self.RETRY_COST:
            return False
        self.left -= self.RETRY_COST
        return True

    def earn(self, rows: int = 1) -> None:
        """So many rows succeeded."""
        if self.left < self.SIZE:
            self.left = min(self.left + rows * self.SUCCESS_EARNS, self.SIZE)
