"""Measures one cell: a real run into a temporary folder, stopped when its time is up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.clock import process_busy_s
from herogen_async.core.errors import InputError, Interrupted
from herogen_async.generation.observer import Observer
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_request import RunRequest, new_request
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.sync_runner import run_to_end
from herogen_async.generation.settings import Settings
from herogen_async.lab.bench.figures import measured_from, moment_of
from herogen_async.lab.bench.records import Cell, Measured, Moment
from herogen_async.specs.spec import Spec


@dataclass(frozen=True, slots=True)
class MeasuredEndpoint:
    """The server to measure: a base URL, and the model and route there; None means the same as for a run."""

    base_url: str
    model: str | None = None
    route: str | None = None


def order_for(spec: Spec, endpoint: MeasuredEndpoint, settings: Settings, folder: Path) -> RunRequest:
    """The request for a cell's run. Raises InputError."""
    return new_request(
        spec,
        run=folder,
        base_url=endpoint.base_url,
        endpoint=endpoint.route,
        model=endpoint.model,
        api_key=None,
        timeout_s=None,
        settings=settings,
    )


def measure(
    cell: Cell, order: RunRequest, seconds: float, *, row_tokens: int | None = None
) -> tuple[Measured | None, bool]:
    """The figures of `cell` (None if there were none yet), and whether a person stopped it.

    `row_tokens` is the server's charge per row, if known. It ends after `seconds`, or with the last row of the order.
    Raises InputError if the endpoint can't be measured.
    """
    samples = _Samples(cell, seconds, row_tokens)
    session = samples.session = _StoppableSession(order, samples)
    try:
        final = run_to_end(session)
    except Interrupted:
        return None, True
    if final.state == "parked":
        url = "" if order.server is None else f" --base-url {order.server.base_url}"
        raise InputError(f"can't measure this endpoint: {final.reason}", fix=f"to diagnose: herogen-async doctor{url}")
    if samples.last is None:
        samples.last = final  # over before the first report
    if not samples.is_over and not session.is_stopped:
        samples.keep(final)
    assert samples.last is not None
    return measured_from(cell, samples.moments, samples.last, final, row_tokens=row_tokens), session.is_stopped


class _StoppableSession(Session):
    """A session whose `stop` drops what is in flight: nobody needs these answers."""

    is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True
        self.cancel()


class _Samples(Observer[object, RunReport]):
    """Keeps samples of the live reports, and ends the session when its time is up."""

    def __init__(self, cell: Cell, seconds: float, row_tokens: int | None) -> None:
        self.session: Session | None = None
        self.moments: list[Moment] = []
        self.last: RunReport | None = None
        self.is_over = False
        self._setting = cell.setting
        self._seconds = seconds
        self._row_tokens = row_tokens
        self._began_s = process_busy_s()

    def state(self, report: RunReport, /) -> None:
        """A moment of the run."""
        if self.is_over:  # from here on it is the tail
            return
        self.last = report
        self.keep(report)
        if report.elapsed_s >= self._seconds and self.session is not None:
            self.is_over = True
            self.session.cancel()

    def keep(self, report: RunReport) -> None:
        cpu_s = process_busy_s() - self._began_s
        self.moments.append(moment_of(report, self._setting, self._row_tokens, cpu_s=cpu_s))
