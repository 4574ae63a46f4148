"""The input and the results of a measurement, as plain records."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Concurrency = int | Literal["auto"]


def plain_number(value: float) -> str:
    """`3,000`, `0.5`: in full, without unnecessary decimals."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a cell is measured against: request and token limits per minute, and the latency in ms.

    `rpm` and `tpm` are None without such a limit, `latency_ms` for a server whose latency we do not control.
    """

    rpm: float | None = None
    tpm: float | None = None
    latency_ms: float | None = None

    @property
    def text(self) -> str:
        """`3,000 rpm, 800 ms`; `no limit` without any."""
        limits = [
            f"{plain_number(value)} {name}"
            for name, value in (("rpm", self.rpm), ("tpm", self.tpm))
            if value is not None
        ]
        latency = [] if self.latency_ms is None else [f"{plain_number(self.latency_ms)} ms"]
        return ", ".join([*(limits or ["no limit"]), *latency])


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of a sweep."""

    concurrency: Concurrency
    setting: Setting

    @property
    def text(self) -> str:
        """The cell's distinguishing values, for people."""
        return f"concurrency {self.concurrency}, {self.setting.text}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {"concurrency": self.concurrency, **asdict(self.setting)}


@dataclass(frozen=True, slots=True)
class Moment:
    """A sample of a running cell, `at_s` seconds after its first request was due.

    `rows` and `refused` count from the start; where a row has several calls, begun rows count by their share.
    `permitted` is how many rows the limits allowed so far, None while no
    limit is known. `concurrency` is the maximum number of calls in flight. `cpu_s` is the processor time that this
    process has used since.
    """

    at_s: float
    rows: float
    permitted: float | None
    in_flight: int
    refused: int
    concurrency: int | None
    binding: str | None
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of one cell.

    `rows_per_s` is measured over the second half of its `seconds`: warmed up, and without what is in flight at the end.
    `permitted_pct` is the used share of the rate limit, `permitted_per_s` the limit in rows/s; None if no limit is
    known. `refused` are 429s, `refused_pct` their share of the requests that ended. `latency_ms` has `p50`, `p95` and
    `p99`; `in_flight` is the mean over the second half; `reached` is the concurrency at the end. `binding_shares` are
    the % of time spent waiting for each limit. `cpu_ms` is the processor time that this process uses for a row, over
    the second half, too; None for too few rows.
    """

    cell: Cell
    seconds: float
    rows: int
    rows_per_s: float
    permitted_pct: float | None
    permitted_per_s: float | None
    refused: int
    refused_pct: float
    retries: int
    given_up: int
    latency_ms: dict[str, float]
    in_flight: float
    reached: int | None
    binding: str | None
    binding_shares: dict[str, float]
    moments: tuple[Moment, ...] = field(default=(), repr=False)
    cpu_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data; the samples are in `moments`."""
        return {**asdict(self), "cell": self.cell.as_dict()}


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice for one setting. `concurrency` is the smallest one close to the best, None if only `auto` ran.

    `limit_binds`: the rate limit is the bottleneck. `is_edge`: even the highest one tried is still limited by the
    concurrency itself. `auto` is the cell of `auto`, None when it was not in the sweep.
    """

    setting: Setting
    best_rows_per_s: float
    concurrency: int | None
    rows_per_s: float
    permitted_pct: float | None
    limit_binds: bool
    is_edge: bool
    auto: Measured | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data; of `auto`, only what it reached."""
        auto = None if self.auto is None else {"rows_per_s": self.auto.rows_per_s, "reached": self.auto.reached}
        own = {name: getattr(self, name) for name in self.__slots__ if name not in ("setting", "auto")}
        return {**asdict(self.setting), **own, "auto": auto}


@dataclass(frozen=True, slots=True)
class FormCost:
    """A cell measured twice: with answers that are checked against their forms, and with the same ones unchecked."""

    checked: Measured
    unchecked: Measured

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data: of each, rows a second and milliseconds of processor time a row."""
        sides = {"checked": self.checked, "unchecked": self.unchecked}
        figures = {name: {"rows_per_s": each.rows_per_s, "cpu_ms": each.cpu_ms} for name, each in sides.items()}
        return {"cell": self.checked.cell.as_dict(), **figures}


@dataclass(frozen=True, slots=True)
class Bench:
    """A sweep: the measured cells, the advice, and how they were measured.

    `server` describes the server. `interrupted`: it ended before its `planned` cells were done. `forms` are
    the cells once more, where columns have forms.
    """

    measured: tuple[Measured, ...]
    advice: tuple[Advice, ...]
    server: dict[str, Any]
    planned: int
    interrupted: bool = False
    forms: tuple[FormCost, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `--json` and of bench.json."""
        return {
            "server": self.server,
            "planned": self.planned,
            "interrupted": self.interrupted,
            "measured": [each.as_dict() for each in self.measured],
            "advice": [each.as_dict() for each in self.advice],
            **({"forms": [each.as_dict() for each in self.forms]} if self.forms else {}),
        }
