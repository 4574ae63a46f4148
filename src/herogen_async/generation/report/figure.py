"""A figure of a run: declared once, as a field of a report's part, with all the places that it comes from.

```
counters of a session --now-->     live report     --published-->  the lock's page (`status` of another process)
counters of a session --at_end-->  last report     --kept-->       the `stopped` event
a run's folder        --folded-->  report of `status`
```
A new figure is one more field: what is published, kept and folded follows from how it is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, TypeVar, cast

from herogen_async.generation.engine import ColumnCounts, Counters
from herogen_async.generation.journal import Recovered
from herogen_async.specs.plan.wanted_rows import WantedRows

V = TypeVar("V")
_SOURCE = "source"


@dataclass(frozen=True, slots=True)
class LaneHead:
    """Whom one of several lanes asks, and for which columns; `base_url` is None for the embedded model.

    `is_one_of_several`: other servers have the same model, and take its calls where it is down.
    """

    model: str
    base_url: str | None
    columns: tuple[str, ...]
    is_one_of_several: bool = False


@dataclass(frozen=True, slots=True)
class SessionMoment:
    """What a running session's figures are read from: its counters at `now`, `earlier_s` is what sessions before took.

    `rows_per_s`, `tokens_per_s`, `permitted_pct` and `calls_per_s` are those of the last seconds, `eta_s` is how long
    the rest takes. `accounts_before` are the counters' accounts of a minute ago, `lanes` whom each of several asks.
    """

    counters: Counters
    now: float
    earlier_s: float
    rows_per_s: float
    tokens_per_s: float
    permitted_pct: float | None
    eta_s: float | None = None
    calls_per_s: float = 0.0
    accounts_before: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lanes: Mapping[str, LaneHead] = field(default_factory=dict)

    @property
    def session_s(self) -> float:
        """Seconds that the session has taken; never zero, so that a rate can be told."""
        return max(self.now - self.counters.started_s, 1e-9)

    @property
    def latest(self) -> tuple[dict[str, str], str] | None:
        """The cell and the text of the answer that came last."""
        if self.counters.latest is None:
            return None
        call, completion = self.counters.latest
        return call.cell, completion.text

    @property
    def latest_column(self) -> str | None:
        """Which of its row's calls the answer is of that came last; None where there is one."""
        return None if self.counters.latest is None else self.counters.latest[0].column


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a run's folder knows: its journal, what the events keep of its sessions, the page of one that runs now.

    `live` is empty where no process works on it. `last` holds the figures of the last session, those of `live` first.
    `columns` is what the journal has of each column, empty where a row is one call. `within` is how many rows it may
    ask, and `wanted` what they came to where so many are to be accepted.
    """

    found: Recovered
    total: int
    sessions: Mapping[str, Any]
    live: Mapping[str, Any]
    columns: Mapping[str, ColumnCounts] = field(default_factory=dict)
    within: int = 0
    wanted: WantedRows | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to ask."""
        if self.wanted is not None:
            return self.wanted.is_met or self.wanted.frontier >= self.within
        return self.found.rows_done + self.found.rows_failed >= self.total

    @property
    def last(self) -> Mapping[str, Any]:
        return {**self.sessions.get("last", {}), **self.live}


@dataclass(frozen=True, slots=True)
class FigureSource:
    """Where a figure comes from; None where whoever makes the report gives it."""

    now: Callable[[SessionMoment], Any] | None = None
    at_end: Callable[[SessionMoment], Any] | None = None
    folded: Callable[[Remembered], Any] | None = None
    is_published: bool = False
    is_kept: bool = False
    is_shown: bool = True
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as a report's class has it; `empty` is its value where nothing is known.

    One that is not shown is in no JSON, and an optional one only where it isn't empty.
    """

    name: str
    source: FigureSource
    empty: Any

    def is_left_out(self, value: Any) -> bool:
        """Whether `value` is not worth being written or told."""
        return self.source.is_optional and bool(value == self.empty)

    def remembered(self, run: Remembered) -> Any:
        """Its value as a folder has it."""
        if self.source.folded is not None:
            return self.source.folded(run)
        value = run.last.get(self.name, self.empty)
        return value if self.empty is None else type(self.empty)(value)


def all_sessions(
    empty: V, now: Callable[[SessionMoment], V], folded: Callable[[Remembered], V], *, is_optional: bool = False
) -> V:
    """A figure of all sessions together, that the journal knows. Optional: not in JSON where it is empty."""
    return cast(V, _declared(FigureSource(now, now, folded, is_optional=is_optional), empty))


def one_session(
    empty: V,
    now: Callable[[SessionMoment], V],
    *,
    at_end: Callable[[SessionMoment], V] | None = None,
    folded: Callable[[Remembered], V] | None = None,
    is_published: bool = True,
    is_kept: bool = True,
    is_optional: bool = False,
) -> V:
    """A figure of one session: published while it runs, and kept when it has ended, `at_end` where that differs.

    `status` finds it where it was published or kept, unless `folded` says otherwise. Optional: in none of these, and
    not in JSON, where it is empty.
    """
    source = FigureSource(now, at_end or now, folded, is_published, is_kept, is_optional=is_optional)
    return cast(V, _declared(source, empty))


def drawn(empty: V, now: Callable[[SessionMoment], V]) -> V:
    """A figure for those who watch: neither in JSON nor on disk."""
    return cast(V, _declared(FigureSource(now, now, lambda _: empty, is_shown=False), empty))


def given(empty: V, *, is_published: bool = False, is_shown: bool = True, is_optional: bool = False) -> V:
    """A figure that is neither counted nor measured: whoever makes the report knows it. Not shown: not in JSON.

    Optional: not in JSON where it is empty.
    """
    source = FigureSource(is_published=is_published, is_shown=is_shown, is_optional=is_optional)
    return cast(V, _declared(source, empty))


def figures(report: type) -> tuple[Figure, ...]:
    """All figures of a report's class, in their order."""
    return _figures(report)


@cache  # they are asked for several times a second
def _figures(report: type) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            each.name,
            each.metadata.get(_SOURCE, FigureSource()),
            each.default if each.default_factory is MISSING else each.default_factory(),
        )
        for each in fields(report)
    )


def _declared(source: FigureSource, empty: object) -> Any:
    metadata = {_SOURCE: source}
    return field(default_factory=dict, metadata=metadata) if empty == {} else field(default=empty, metadata=metadata)
