"""The cells and settings of a sweep, checked before anything starts. Pure except for the checks it calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.generation.settings import Settings, check_settings
from herogen_async.lab.bench.records import Cell, Concurrency, Setting
from herogen_async.lab.simulator import Latency, Policy

MOST_SECONDS = 3600.0  # per cell: longer is a run, not a measurement


@dataclass(frozen=True, slots=True)
class Simulated:
    """The simulated server in all cells of a sweep, besides limits and latency. `untold`: the run is not given the
    limits, and learns them from headers and refusals.
    """

    enforce: str = "bucket-second"
    headers: str = "openai"
    slots: int | None = None
    untold: bool = False

    def policy(self, setting: Setting, **more: Any) -> Policy:
        """The server's policy for one setting. Raises InputError."""
        return Policy(
            rpm=setting.rpm,
            tpm=setting.tpm,
            enforce=self.enforce,
            headers=self.headers,
            slots=self.slots,
            latency=Latency(ms=setting.latency_ms or 0.0),
            **more,
        )

    def settings(self, cell: Cell) -> Settings:
        """The settings of a cell's run."""
        told = Setting() if self.untold else cell.setting
        return Settings(concurrency=cell.concurrency, rpm=told.rpm, tpm=told.tpm)


def cells_of(
    concurrency: Sequence[Concurrency],
    *,
    rpm: Sequence[float] = (),
    tpm: Sequence[float] = (),
    latency_ms: Sequence[float | None] = (None,),
) -> tuple[Cell, ...]:
    """Every combination once; without limits if none are given. Raises InputError for invalid values."""
    settings = [
        Setting(*values)
        for values in product(dict.fromkeys(rpm) or (None,), dict.fromkeys(tpm) or (None,), dict.fromkeys(latency_ms))
    ]
    cells = tuple(Cell(number, setting) for setting in settings for number in dict.fromkeys(concurrency))
    if not cells:
        raise InputError("nothing to sweep", fix="e.g. --concurrency 16 --concurrency 64 --latency-ms 800")
    for cell in cells:
        check_settings(Settings(concurrency=cell.concurrency, rpm=cell.setting.rpm, tpm=cell.setting.tpm))
    return cells


def check_cell(seconds: float, limit: int | None) -> None:
    """Raise InputError for an invalid time or row limit of a cell."""
    check_settings(Settings(limit=limit))
    if not (math.isfinite(seconds) and 0 < seconds <= MOST_SECONDS):
        raise InputError(
            f"a cell can't take {seconds!r} seconds", fix=f"set --seconds above 0 and at most {MOST_SECONDS:,.0f}"
        )
