"""How long a grid takes and what raising a limit would gain, from its first answers in virtual time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from herogen_async.lab.bench.records import Cell, plain_number


@dataclass(frozen=True, slots=True)
class FirstAnswers:
    """The answers in virtual time: when each came, in seconds and ascending, and what the run waited for.

    `is_whole`: all rows were answered. `most_per_s` is what each limit allows in the long run, in rows/s. A row took
    `requests_a_row` on average.
    """

    answered_s: tuple[float, ...]
    is_whole: bool
    peak_in_flight: int
    refused: int
    binding_shares: dict[str, float]
    most_per_s: dict[str, float] = field(default_factory=dict)
    requests_a_row: float = 1.0


@dataclass(frozen=True, slots=True)
class GridForecast:
    """How long `rows` rows take with a cell's limits, latency and concurrency.

    `simulated` rows were answered in virtual time; if that is fewer than `rows`, the rest is extrapolated from their
    steady `rows_per_s`. `binding` is what the run waits for before the last answers, None if nothing. A row takes
    `requests_a_row`, which is in JSON where it isn't 1.
    """

    cell: Cell
    rows: int
    duration_s: float
    rows_per_s: float
    simulated: int
    refused: int
    peak_in_flight: int
    binding: str | None
    binding_shares: dict[str, float]
    requests_a_row: float = 1.0

    @property
    def requests(self) -> int:
        """How many requests the rows take."""
        return round(self.rows * self.requests_a_row)

    @property
    def is_extrapolated(self) -> bool:
        """Whether only the first rows were simulated."""
        return self.simulated < self.rows

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        told = {**asdict(self), "cell": self.cell.as_dict(), "is_extrapolated": self.is_extrapolated}
        if self.requests_a_row == 1:
            del told["requests_a_row"]
        return told


@dataclass(frozen=True, slots=True)
class Raise:
    """What a change would gain: `what` is a phrase, `saved_s` is negative if it costs time."""

    what: str
    outlook: GridForecast
    saved_s: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {"what": self.what, "saved_s": self.saved_s, **self.outlook.as_dict()}


def forecast_from(cell: Cell, rows: int, seen: FirstAnswers) -> GridForecast:
    """The forecast for `rows` rows. Raises ValueError if nothing was answered."""
    times = seen.answered_s
    if not times:
        raise ValueError("no answer came in virtual time")
    binding = next((what for what in seen.binding_shares if what != "tail"), None)
    if seen.is_whole:
        duration_s, rows_per_s = times[-1], len(times) / max(times[-1], 1e-9)
    else:
        rows_per_s = rate_in_flight(times, seen.peak_in_flight)
        for limit, most_per_s in seen.most_per_s.items():  # a burst in the first rows does not last
            if most_per_s < rows_per_s:
                rows_per_s, binding = most_per_s, limit
        duration_s = times[-1] + (rows - len(times)) / rows_per_s
    return GridForecast(
        cell=cell,
        rows=rows,
        duration_s=round(duration_s, 3),
        rows_per_s=round(rows_per_s, 3),
        simulated=len(times),
        refused=seen.refused,
        peak_in_flight=seen.peak_in_flight,
        binding=binding,
        binding_shares=seen.binding_shares,
        requests_a_row=round(seen.requests_a_row, 3),
    )


def rate_in_flight(answered_s: Sequence[float], in_flight: int) -> float:
    """Answers per second at the end of `answered_s`, over at most half of them.

    Taken over a multiple of `in_flight`: if all calls take the same time, answers come in rounds of that size, and a
    partial round would mislead.
    """
    count = len(answered_s)
    rounds = max(count // 2 // max(in_flight, 1), 1) * in_flight
    for span in (rounds, count - 1):
        if 0 < span < count and answered_s[-1 - span] < answered_s[-1]:
            return span / (answered_s[-1] - answered_s[-1 - span])
    return count / max(answered_s[-1], 1e-9)


def changes(outlook: GridForecast) -> list[tuple[str, Cell | None]]:
    """The changes worth a look, each with its cell; None if it can't change anything.

    Doubling the concurrency does nothing if it was never fully used.
    """
    cell, setting = outlook.cell, outlook.cell.setting
    found: list[tuple[str, Cell | None]] = []
    if setting.rpm is not None:
        found.append((f"{plain_number(2 * setting.rpm)} requests a minute", _with(cell, rpm=2 * setting.rpm)))
    if setting.tpm is not None:
        found.append((f"{plain_number(2 * setting.tpm)} tokens a minute", _with(cell, tpm=2 * setting.tpm)))
    if cell.concurrency != "auto":
        more = replace(cell, concurrency=2 * cell.concurrency)
        in_use = outlook.peak_in_flight >= cell.concurrency
        found.append((f"a concurrency of {2 * cell.concurrency:,}", more if in_use else None))
    if setting.latency_ms:
        found.append(
            (f"a latency of {plain_number(setting.latency_ms / 2)} ms", _with(cell, latency_ms=setting.latency_ms / 2))
        )
    return found


def _with(cell: Cell, **change: float) -> Cell:
    return replace(cell, setting=replace(cell.setting, **change))
