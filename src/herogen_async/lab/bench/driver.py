"""Runs a sweep: cell by cell, each with its own server and run, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.generation.settings import Settings
from herogen_async.lab.bench.bench_rows import planned, repeated, row_tokens, unchecked, varied
from herogen_async.lab.bench.measure import MeasuredEndpoint, measure, order_for
from herogen_async.lab.bench.recommend import recommend
from herogen_async.lab.bench.records import Bench, Cell, FormCost, Measured
from herogen_async.lab.bench.server_process import serving
from herogen_async.lab.bench.signals import all_as_ctrl_c, signals_later
from herogen_async.lab.bench.sweep import Simulated, check_cell
from herogen_async.specs.spec import Spec

# Distinct prompts for a simulated server: more than an hour-long cell could use, and created instantly.
ROWS = 5_000_000
_LIMITS = "HEROGEN_LIMITS_DIR"

OnCell = Callable[[int, Measured | None], None]  # the cell's number from 1; None at its start


def bench_simulated(
    spec: Spec, cells: Sequence[Cell], simulated: Simulated, *, seconds: float, limit: int | None, on_cell: OnCell
) -> Bench:
    """Measure `cells` against the simulator, at most `seconds` and `limit` rows each; calls `on_cell` for each.

    Where columns have forms, each cell is measured once more, with answers that nobody checks.

    Ctrl-C ends it early and returns what was measured by then. Raises InputError, ServerFailed.
    """
    check_cell(seconds, limit)
    for cell in cells:
        simulated.policy(cell.setting)
    many, bare = varied(spec, ROWS), unchecked(spec)
    forms: list[FormCost] = []
    charge = row_tokens(planned(spec))  # the simulator charges each request for its largest possible answer

    def one(cell: Cell, folder: Path) -> tuple[Measured | None, bool]:
        found, is_stopped = run(many, cell, folder / "run")
        if bare is not None and found is not None and not is_stopped:
            other, is_stopped = run(varied(bare, ROWS), cell, folder / "unchecked")
            forms.extend([FormCost(found, other)] if other is not None and not is_stopped else [])
        return found, is_stopped

    def run(rows: Spec, cell: Cell, folder: Path) -> tuple[Measured | None, bool]:
        settings = replace(simulated.settings(cell), limit=limit)
        with serving(cell.setting, simulated) as url, _own_limits(folder):
            order = order_for(rows, MeasuredEndpoint(url, "simulated"), settings, folder)
            return measure(cell, order, seconds, row_tokens=charge)

    bench = _sweep(cells, one, on_cell, {"simulated": asdict(simulated), "seconds": seconds, "limit": limit})
    return replace(bench, forms=tuple(forms))


def bench_endpoint(
    spec: Spec, cells: Sequence[Cell], endpoint: MeasuredEndpoint, *, seconds: float, limit: int | None, on_cell: OnCell
) -> Bench:
    """Measure `cells` against an existing server, like `bench_simulated`; the limits are ceilings for the runs.

    It costs what the server charges for `limit` rows per cell. Raises InputError, also if `limit` is None.
    """
    check_cell(seconds, limit)
    if limit is None:
        raise InputError(
            f"benchmarking {endpoint.base_url!r} may cost money, and no --limit was given",
            fix="set --limit N, the maximum number of rows per cell",
        )
    many = repeated(spec, limit)

    def one(cell: Cell, folder: Path) -> tuple[Measured | None, bool]:
        settings = Settings(concurrency=cell.concurrency, rpm=cell.setting.rpm, tpm=cell.setting.tpm, limit=limit)
        return measure(cell, order_for(many, endpoint, settings, folder / "run"), seconds)

    return _sweep(cells, one, on_cell, {"base_url": endpoint.base_url, "seconds": seconds, "limit": limit})


def _sweep(
    cells: Sequence[Cell],
    one: Callable[[Cell, Path], tuple[Measured | None, bool]],
    on_cell: OnCell,
    server: dict[str, object],
) -> Bench:
    measured: list[Measured] = []
    interrupted = False
    try:
        with all_as_ctrl_c():
            for number, cell in enumerate(cells, start=1):
                on_cell(number, None)
                with _scratch() as folder:
                    found, interrupted = one(cell, folder)
                if found is not None and (found.rows or not interrupted):
                    measured.append(found)
                    on_cell(number, found)
                if interrupted:
                    break
    except KeyboardInterrupt:  # between two runs, which handle it themselves
        interrupted = True
    return Bench(tuple(measured), recommend(measured), server, len(cells), interrupted)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder that is always removed."""
    folder = None
    try:
        with signals_later():
            folder = Path(tempfile.mkdtemp(prefix="herogen-sweep-"))
        yield folder
    finally:
        if folder is not None:
            with signals_later():
                shutil.rmtree(folder)


@contextlib.contextmanager
def _own_limits(folder: Path) -> Iterator[None]:
    """Keep limits in `folder`: they are shared by address, and a simulated server's address never comes back."""
    before = os.environ.get(_LIMITS)
    os.environ[_LIMITS] = str(folder / "limits")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LIMITS]
        else:
            os.environ[_LIMITS] = before
