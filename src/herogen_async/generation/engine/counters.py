"""The live counters of a run: what the report is folded from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from herogen_async.core.units import counted
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import Words
from herogen_async.generation.limits.latencies import FADE_ABOVE, Latencies
from herogen_async.generation.prices import Price
from herogen_async.specs.plan import Call, IndexSet

if TYPE_CHECKING:  # few runs want so many accepted rows
    from herogen_async.specs.plan.wanted_rows import WantedRows


@dataclass(frozen=True, slots=True)
class Straggler:
    """A row that is still out once nothing new is sent: the one at `index`, for `out_s` seconds since it was asked.

    It waits for the answer to attempt number `attempt`; where `retry_in_s` is set, for that attempt to begin. `after`
    is the class of the failure before it. `column` is which of its calls is out, where it has several.
    """

    index: int
    cell: dict[str, str]
    out_s: float
    attempt: int
    retry_in_s: float | None = None
    after: str | None = None
    column: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data; `column` only where there is one."""
        told = asdict(self)
        if self.column is None:
            del told["column"]
        return told


@dataclass(slots=True)
class ColumnCounts:
    """Calls of one column, of all sessions: answered, skipped by a condition, failed, and given up with another one.

    `in_row` are those of each row. `total` are those of the rows that are done, have failed or are wanted. `blocked_by`
    says with which columns those that were `not_asked` were given up. `price` is what its tokens cost; None where
    nobody knows.
    """

    in_row: int = 1
    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    blocked_by: Counter[str] = field(default_factory=Counter)
    usage: Words = field(default_factory=Words)
    price: Price | None = None

    @property
    def not_asked(self) -> int:
        """Calls that build on one that failed."""
        return self.blocked_by.total()

    @property
    def settled(self) -> int:
        """Calls of which nothing is expected any more."""
        return self.done + self.skipped + self.failed + self.not_asked


def total_columns(columns: Iterable[ColumnCounts], rows: int | None) -> None:
    """What is wanted of each column where so many `rows` were begun; None: no more than there is."""
    for column in columns:
        column.total = column.settled if rows is None else rows * column.in_row


@dataclass(slots=True)
class Counters:
    """Counts of one session. `total`, `done` and `failed` count rows on disk, from earlier sessions too.

    `in_flight`, `waiting`, `retries` and `attempts` count calls: a row has one for each of its columns. `columns` is
    empty where it has one.
    """

    total: int
    done: int = 0
    failed: int = 0
    session_rows: int = 0
    in_flight: int = 0
    waiting: int = 0  # calls that are to be tried again, and not in flight
    retries: int = 0
    attempts: int = 0
    started_s: float = 0.0
    usage: Words = field(default_factory=Words)
    errors: Counter[str] = field(default_factory=Counter)
    finish_reasons: Words = field(default_factory=Words)
    binding: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=lambda: Latencies(fade_above=FADE_ABOVE))
    binds_now: str | None = None
    # What admission knows: (taken, permitted) units of each limit since the start, the limits that hold, and how many
    # calls may be in flight.
    accounts: dict[str, tuple[float, float]] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    concurrency: int = 0
    stragglers: tuple[Straggler, ...] = ()
    latest: tuple[Call, Completion] | None = None  # the answer that came last
    streamed: int = 0  # tokens of answers that are not whole yet; only until a first one is
    given_up: IndexSet = field(default_factory=IndexSet)  # calls, in this session
    columns: dict[str, ColumnCounts] = field(default_factory=dict)
    lanes: dict[str, Counters] = field(default_factory=dict)  # those of several targets, by their columns
    parked: str | None = None  # why its lane sends nothing any more
    unclear: Counter[str] = field(
        default_factory=Counter
    )  # errors of no lane: conditions that can't be decided, and texts that can't be rendered
    workers: Counter[str] = field(default_factory=Counter)  # of a run whose calls are asked by other processes
    wanted: WantedRows | None = None  # where so many accepted rows are wanted; `total` are the rows begun so far then
    _earlier_usage: dict[str, int] = field(init=False)
    _of_no_column: dict[str, int] = field(init=False)  # usage of answers for columns that are no more
    _earlier_reasons: dict[str, int] = field(init=False)
    _earlier_calls: int = field(init=False)

    def __post_init__(self) -> None:
        self._earlier_usage = dict(self.usage)
        self._of_no_column = {
            name: count - sum(column.usage[name] for column in self.columns.values())
            for name, count in self.usage.items()
        }
        self._earlier_reasons = dict(self.finish_reasons)
        self._earlier_calls = self._ended_calls()

    def sum_columns(self) -> None:
        """The usage of all columns together is the run's."""
        self.usage = _added(self._of_no_column, [column.usage for column in self.columns.values()])

    def gather(self, lanes: Sequence[Counters]) -> None:
        """Take over what `lanes` have counted of calls, each since the session began."""
        self.in_flight = sum(lane.in_flight for lane in lanes)
        self.waiting = sum(lane.waiting for lane in lanes)
        self.retries = sum(lane.retries for lane in lanes)
        self.attempts = sum(lane.attempts for lane in lanes)
        self.concurrency = sum(lane.concurrency for lane in lanes)
        self.errors = sum((lane.errors for lane in lanes), self.unclear.copy())
        self.finish_reasons = _added(self._earlier_reasons, [lane.finish_reasons for lane in lanes])
        if not self.columns:  # else each answer's is counted with its column
            self.usage = _added(self._earlier_usage, [lane.usage for lane in lanes])
        self.accounts = {
            f"{number} {name}": each for number, lane in enumerate(lanes) for name, each in lane.accounts.items()
        }

    @property
    def awaited(self) -> str:
        """What a session that sends nothing more still waits for, in words."""
        if self.in_flight == 0:
            return "nothing is in flight"
        return f"waiting for the {'answer' if self.in_flight == 1 else counted(self.in_flight, 'answer')} in flight"

    @property
    def pending(self) -> int:
        """Rows that are still to be done or to fail."""
        return self.total - self.done - self.failed

    def begin_row(self) -> None:
        """One row more is wanted than was known."""
        self.total += 1
        for column in self.columns.values():
            column.total += column.in_row

    def begin_with(self, rows: int) -> None:
        """So many rows were begun by earlier sessions."""
        self.total = rows
        total_columns(self.columns.values(), rows)

    def end_rows(self) -> None:
        """No more is wanted than there is."""
        self.total = self.done + self.failed
        total_columns(self.columns.values(), None)

    @property
    def pending_calls(self) -> int:
        """Calls that are still to be answered, to be skipped or to fail; of wanted rows about so many."""
        if self.wanted is not None:
            return self.wanted.expected * self.calls_a_row
        if not self.columns:
            return self.pending
        return sum(each.total - each.settled for each in self.columns.values())

    @property
    def calls_a_row(self) -> int:
        """How many calls each row has."""
        return sum(each.in_row for each in self.columns.values()) or 1

    @property
    def settled_calls(self) -> int:
        """Calls of which nothing is expected any more, of all sessions."""
        return sum(each.settled for each in self.columns.values()) if self.columns else self.done + self.failed

    @property
    def answered_calls(self) -> int:
        """Calls that have an answer, of all sessions."""
        return sum(each.done for each in self.columns.values()) if self.columns else self.done

    @property
    def session_calls(self) -> int:
        """Calls that were answered or failed in this session; where a row is one call, those that were answered."""
        return self._ended_calls() - self._earlier_calls if self.columns else self.session_rows

    def _ended_calls(self) -> int:
        return sum(each.done + each.failed for each in self.columns.values())

    def session_tokens(self, name: str) -> int:
        """How much `usage[name]` has grown in this session."""
        return self.usage[name] - self._earlier_usage.get(name, 0)

    def hear(self, piece: str) -> None:
        """A piece of an answer that is being written: a token."""
        self.streamed += bool(piece)

    def bind(self, what: str) -> None:
        """One sample of what the run waits for."""
        self.binds_now = what
        self.binding[what] += 1


def _added(earlier: Mapping[str, int], lanes: Sequence[Words]) -> Words:
    """Counts of words, all together, in bounded memory."""
    found = Words(earlier)
    for words in lanes:
        found.add(words)
    return found
