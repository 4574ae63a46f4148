"""One limit for all workers: blocks of requests, tokens and money out of the run's own admission. Pure.

Kept here:
1. Blocks are taken from the admission before they are granted, and given back by nobody but who holds them, alive.
2. What a lost worker holds is spent: its money counts as what it may have cost.
3. Who wants less leaves it to the others; of what there is each gets a fair share, at the moment that it asks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from herogen_async.core.errors import ParkReason
from herogen_async.generation.cluster.messages import LaneOrders, LaneTold
from herogen_async.generation.engine import Counters
from herogen_async.generation.limits import BlockAdmission, Budget, CallsWanted, Grant, Told
from herogen_async.generation.limits.call_admission import FIRST_IN_FLIGHT
from herogen_async.generation.limits.token_bucket import BURST_S
from herogen_async.generation.retry import Park, day_limit_park

WANTS_FOR_S = 0.5  # whoever has wanted something within that counts when it is shared


@dataclass(slots=True)
class _Account:
    """Of one worker: what it has told of its money, and when it wanted something last."""

    rows: int = 0
    lost: int = 0
    held: int = 0
    wanted_s: float = float("-inf")


class Till:
    """Of one target, whose calls at most `concurrency` of may be in flight, at all workers together."""

    def __init__(self, admission: BlockAdmission, concurrency: int) -> None:
        self.admission = admission
        self.concurrency = concurrency
        self.waiting_for: str | None = None  # what the last worker waits for that got less than it wants
        self._accounts: dict[int, _Account] = {}
        self._answered = 0
        self._waiting: dict[int, str] = {}

    def open(self, worker: int) -> None:
        """`worker` takes part."""
        self._accounts[worker] = _Account()

    def take_in(self, worker: int, told: Told, now: float) -> None:
        """What `worker` tells; before the answers that it brings with it are written (`Budget.written`)."""
        account, budget = self._accounts[worker], self.admission.budget
        self._answered += told.answered
        if self.admission.terms(now).is_free:
            self.admission.pace.sent(now, told.sent)
        self.admission.take_in(told, now)
        rows, lost, held = told.account
        if budget is not None:
            budget.book_others(
                held=held - account.held, rows=rows - account.rows, lost=lost - account.lost, answers=told.answered
            )
        account.rows, account.lost, account.held = rows, lost, held

    def grant(self, worker: int, want: CallsWanted, now: float, *, is_open: bool = True) -> LaneOrders:
        """What `worker` may have of what it wants. `is_open`: anything is granted."""
        account, grant = self._accounts[worker], Grant()
        if want.requests:
            account.wanted_s = now
        terms = self.admission.terms(now)
        self._waiting.pop(worker, None)
        if want.requests and is_open and not terms.is_free:
            # No more than a fair share of what a bucket saves up: else the first one to ask takes it all.
            saved = self.admission.table.requests_per_s * BURST_S
            most = max(1, int(min(want.requests, -(-saved // self._sharing(now)))))
            grant, why = self.admission.grant(want, most, now)
            account.held += grant.pico
            if why is not None and grant.requests < want.requests:
                self._waiting[worker] = why
            terms = self.admission.terms(now)
        elif want.requests and terms.closed_s > 0:
            self._waiting[worker] = "gate"
        self.waiting_for = next(iter(self._waiting.values()), None)
        return LaneOrders(grant, terms, self.share(worker))

    def orders(self, worker: int, now: float) -> LaneOrders:
        """As a worker begins: nothing is granted yet."""
        return LaneOrders(Grant(), self.admission.terms(now), self.share(worker))

    def share(self, worker: int) -> int:
        """How many calls `worker` may have in flight. Of a server whose limits nobody knows, few at first."""
        most = self.concurrency
        if not self.admission.table.knows_requests:
            most = min(most, FIRST_IN_FLIGHT + self._answered)
        workers = sorted(self._accounts)
        share, more = divmod(most, max(len(workers), 1))
        return max(share + (worker in workers and workers.index(worker) < more), 1)

    def close(self, worker: int) -> None:
        """`worker` has ended, and has told all: what it gave back is back."""
        self._forget(worker, lost=0)

    def lose(self, worker: int) -> None:
        """`worker` is lost, with all that it held."""
        self._forget(worker, lost=1)

    @property
    def holds_money(self) -> bool:
        """Whether any worker holds some that may come back."""
        return any(account.held for account in self._accounts.values())

    def is_waited_for(self, why: str) -> bool:
        """Whether a worker waits for that."""
        return why in self._waiting.values()

    def _sharing(self, now: float) -> int:
        return sum(now - account.wanted_s <= WANTS_FOR_S for account in self._accounts.values()) or 1

    def _forget(self, worker: int, *, lost: int) -> None:
        account = self._accounts.pop(worker, None)
        self._waiting.pop(worker, None)
        if account is not None and account.held and self.admission.budget is not None:
            self.admission.budget.book_others(held=-account.held, lost=account.held * lost)


class Tills:
    """Those of all targets of a run, in their order; `columns` are the names of each one's columns."""

    def __init__(self, tills: Sequence[Till], columns: Sequence[Collection[str]]) -> None:
        self._tills = tuple(tills)
        self._columns = tuple(map(frozenset, columns))

    @property
    def budget(self) -> Budget | None:
        """The run's, which is one for all targets."""
        return self._tills[0].admission.budget

    @property
    def waiting_for(self) -> str | None:
        """What workers wait for that got less than they want."""
        return next((till.waiting_for for till in self._tills if till.waiting_for is not None), None)

    def asking(self, column: str | None) -> Sequence[Till]:
        """That of `column`; without one all of them."""
        return [till for till, names in zip(self._tills, self._columns, strict=True) if column in names] or self._tills

    def open(self, worker: int, now: float) -> list[LaneOrders]:
        """`worker` takes part: how it begins."""
        for till in self._tills:
            till.open(worker)
        return [till.orders(worker, now) for till in self._tills]

    def take_in(self, worker: int, said: Sequence[LaneTold], now: float) -> None:
        """What `worker` tells of each target, as `Till.take_in` says."""
        for till, each in zip(self._tills, said, strict=True):
            till.take_in(worker, each.told, now)

    def grant(self, worker: int, said: Sequence[LaneTold], now: float, *, is_open: bool) -> list[LaneOrders]:
        """What `worker` may have at each target of what it wants there."""
        return [
            till.grant(worker, each.want, now, is_open=is_open) for till, each in zip(self._tills, said, strict=True)
        ]

    def close(self, worker: int) -> None:
        """`worker` has ended, and has given back what it held."""
        for till in self._tills:
            till.close(worker)

    def lose(self, worker: int) -> None:
        """`worker` is lost, with all that it held."""
        for till in self._tills:
            till.lose(worker)

    def recover(self, passed_s: float, now: float) -> None:
        """`passed_s` seconds went by: what refusals took comes back."""
        for till in self._tills:
            till.admission.recover(passed_s, now)

    def used_up(self) -> Park | None:
        """Why nothing more may be sent, where nothing is in flight: the budget, or a day's limit, is used up."""
        is_money_out = any(till.holds_money for till in self._tills)
        for till in self._tills:
            budget = till.admission.budget
            if budget is not None and till.is_waited_for("budget") and not is_money_out:
                return Park(ParkReason.BUDGET, budget.used_up, "set a higher --budget")
            if till.is_waited_for("day"):
                return day_limit_park(till.admission.table.limits())
        return None

    def take_stock(self, counters: Counters, now: float) -> None:
        """Count anew what is permitted, and how much of it was taken."""
        counters.concurrency = sum(till.concurrency for till in self._tills)
        tables = [till.admission.table for till in self._tills]
        counters.limits = tables[0].limits()
        if len(tables) == 1:
            counters.accounts = tables[0].accounts(now)
            return
        accounts = [(number, table.accounts(now)) for number, table in enumerate(tables)]
        counters.accounts = {f"{number} {name}": each for number, own in accounts for name, each in own.items()}
