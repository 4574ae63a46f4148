"""`bench`: which concurrency is enough, how long a grid takes, and what raising a limit would gain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import SpecArgument, shared
from herogen_async.cli.shell import JsonOption, out, print_json, say
from herogen_async.core.errors import InputError
from herogen_async.generation.settings import RUN_SETTINGS

if TYPE_CHECKING:
    from herogen_async.lab.bench import Bench, Cell, Measured, Simulated
    from herogen_async.specs.spec import Spec

_EPILOG = examples(
    "herogen-async bench --rpm 3000 --latency-ms 800 --concurrency 16 --concurrency 64 --out sweep",
    "herogen-async bench --virtual --rpm 3000 --latency-ms 3000 --concurrency 512",
    remark=("Options marked ... can be repeated: every combination is a cell."),
)
_MEASURED_CONCURRENCY = ("16", "64", "256")
_RUNS_CONCURRENCY = "16"  # what `run` has
_LATENCY_MS = 1000.0


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(bench)


def bench(
    spec: SpecArgument = None,
    rpm: Annotated[list[float] | None, shared("rpm", metavar="N ...")] = None,
    tpm: Annotated[list[float] | None, shared("tpm", metavar="N ...")] = None,
    concurrency: Annotated[
        list[str] | None,
        shared("concurrency", "16, 64 and 256; with --virtual 16", metavar="N|auto ..."),
    ] = None,
    latency_ms: Annotated[list[float] | None, shared("latency_ms", f"{_LATENCY_MS:g}", metavar="MS ...")] = None,
    slots: Annotated[int | None, shared("slots", "unlimited")] = None,
    enforce: Annotated[str | None, shared("enforce", "bucket-second; with --virtual bucket-minute")] = None,
    headers: Annotated[str | None, shared("headers", "openai")] = None,
    untold: Annotated[
        bool, typer.Option("--untold", help="Do not give the limits to the run, so it has to learn them.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Seconds per cell.")] = 10.0,
    limit: Annotated[int | None, shared("limit", help="Maximum rows per cell.")] = None,
    base_url: Annotated[
        str | None, shared("base_url", help="Measure this server, with --rpm and --tpm as ceilings. Needs --limit.")
    ] = None,
    model: Annotated[str | None, shared("model", help="Model name at --base-url.")] = None,
    endpoint: Annotated[str | None, shared("endpoint")] = None,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="Forecast how long the grid would take, without measuring.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option(help="With --virtual: number of rows.", show_default="the spec's grid")
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for bench.json and plots.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure which concurrency is enough. With real runs against a simulated server or your own."""
    from herogen_async.generation.run_request import read_spec
    from herogen_async.lab.bench import MeasuredEndpoint, Simulated, cells_of

    _check_together(virtual=virtual, base_url=base_url, rows=rows, limit=limit, own=(model, endpoint))
    if base_url is not None:
        _check_simulated(latency_ms=latency_ms, slots=slots, enforce=enforce, headers=headers, untold=untold or None)
    numbers = concurrency or ([_RUNS_CONCURRENCY] if virtual else list(_MEASURED_CONCURRENCY))
    cells = cells_of(
        [RUN_SETTINGS["concurrency"].read(text) for text in numbers],
        rpm=rpm or (),
        tpm=tpm or (),
        latency_ms=(None,) if base_url is not None else latency_ms or (_LATENCY_MS,),
    )
    simulated = Simulated(
        enforce or ("bucket-minute" if virtual else "bucket-second"), headers or "openai", slots, untold
    )
    wanted = read_spec(spec)
    if out_folder is not None:
        _check_folder(out_folder)
    run = ["herogen-async", "run", *([] if spec is None else [str(spec)])]
    if virtual:
        _foresee(wanted, rows, cells, simulated, run, folder=out_folder, json=json)
        return
    target = None if base_url is None else MeasuredEndpoint(base_url, model, endpoint)
    _measure(wanted, cells, simulated, target, run, seconds=seconds, limit=limit, folder=out_folder, json=json)


def _check_together(
    *, virtual: bool, base_url: str | None, rows: int | None, limit: int | None, own: tuple[str | None, str | None]
) -> None:
    if virtual and base_url is not None:
        raise InputError(
            "--virtual uses no server, but --base-url names one",
            fix="remove one; with --virtual, describe the server with --rpm, --tpm and --latency-ms",
        )
    if rows is not None and not virtual:
        raise InputError("--rows works only with --virtual", fix="use --limit N for measured cells")
    if limit is not None and virtual:
        raise InputError("--limit works only for measured cells", fix="use --rows N with --virtual")
    if base_url is None and any(own):
        raise InputError("--model and --endpoint need --base-url", fix="add --base-url")


def _check_simulated(**options: object) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise InputError(
            f"{' and '.join(given)} can't be used with --base-url", fix="remove: only for the simulated server"
        )


def _check_folder(folder: Path) -> None:
    """Raise InputError for an unwritable folder, before anything is measured."""
    from herogen_async.generation.run_folder.publish import make_folder, require_room

    try:
        make_folder(folder)
        require_room(folder)
    except OSError as error:
        raise InputError(
            f"can't write to --out {str(folder)!r}: {error.strerror or error}", fix="choose another folder"
        ) from None


def _measure(
    spec: Spec,
    cells: Sequence[Cell],
    simulated: Simulated,
    target: object,
    run: list[str],
    *,
    seconds: float,
    limit: int | None,
    folder: Path | None,
    json: bool,
) -> None:
    from herogen_async.core.units import duration, rate
    from herogen_async.lab.bench import MeasuredEndpoint, bench_endpoint, bench_simulated
    from herogen_async.lab.bench.bench_rows import unchecked
    from herogen_async.lab.bench.summary import HEADINGS, advice_lines, bench_run_command, several, tables

    has_forms = any(column.answer is not None for column in spec.columns.values())
    is_twice = has_forms and not isinstance(target, MeasuredEndpoint) and unchecked(spec) is not None
    twice = ", and as long once more with answers that nobody checks against their forms" if is_twice else ""
    if has_forms and not is_twice and not isinstance(target, MeasuredEndpoint):
        say("What the forms cost can't be measured: a prompt or a condition of this spec names their fields.")

    def on_cell(number: int, measured: Measured | None) -> None:
        if measured is not None:
            say(f"{number}/{len(cells)} {measured.cell.text}: {rate(measured.rows_per_s)} rows/s")
        elif number == 1:
            say(f"{several(len(cells), 'cell')}, at most {duration(seconds)} each{twice}.")

    if isinstance(target, MeasuredEndpoint):
        found = bench_endpoint(spec, cells, target, seconds=seconds, limit=limit, on_cell=on_cell)
        run += ["--base-url", target.base_url]
        run += ["--model", target.model] if target.model else []
        run += ["--endpoint", target.route] if target.route else []
    else:
        found = bench_simulated(spec, cells, simulated, seconds=seconds, limit=limit, on_cell=on_cell)
    for name, rows in tables(found.measured):
        (say if json else out)(f"{name}:")
        _print_table(HEADINGS, rows, json)
    for line in advice_lines(found):
        (say if json else out)(line)
    if folder is not None:
        _write(folder, found)
    say(f"Next: {bench_run_command(found, run)}")
    if json:
        print_json(found.as_dict())
    if found.interrupted:
        raise typer.Exit(130)


def _foresee(
    spec: Spec,
    rows: int | None,
    cells: Sequence[Cell],
    simulated: Simulated,
    run: list[str],
    *,
    folder: Path | None,
    json: bool,
) -> None:
    from herogen_async.core.codec import dumps
    from herogen_async.generation.run_folder import publish
    from herogen_async.lab.bench import foresee, raises
    from herogen_async.lab.bench.bench_rows import planned
    from herogen_async.lab.bench.summary import FORECAST_HEADINGS, best_raise, forecast_lines, forecast_rows

    wanted = planned(spec).rows if rows is None else rows
    outlooks = [foresee(spec, wanted, cell, simulated) for cell in cells]
    quickest = min(outlooks, key=lambda each: each.duration_s)
    if len(outlooks) > 1:
        _print_table(FORECAST_HEADINGS, forecast_rows(outlooks), json)
    found = raises(spec, quickest, simulated)
    for line in forecast_lines(quickest, found):
        (say if json else out)(line)
    value = {
        "outlooks": [each.as_dict() for each in outlooks],
        "quickest": quickest.as_dict(),
        "raises": [each.as_dict() for each in found],
    }
    if folder is not None:
        publish(folder / "bench.json", dumps(value) + b"\n")
        say(f"Wrote {folder / 'bench.json'}.")
    say(f"Next: {best_raise(quickest, found, run)}")
    if json:
        print_json(value)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], json: bool) -> None:
    """A table on a terminal, plain text columns elsewhere."""
    stream = sys.stderr if json else sys.stdout
    if stream is None or not stream.isatty():
        from herogen_async.lab.bench.summary import plain_table

        for line in plain_table(headings, rows):
            (say if json else out)(line)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(file=stream).print(table)


def _write(folder: Path, found: Bench) -> None:
    """Write bench.json, and plots if they can be drawn."""
    from herogen_async.core.codec import dumps
    from herogen_async.data.charts import NO_MATPLOTLIB
    from herogen_async.generation.run_folder import publish
    from herogen_async.lab.bench.plots import draw_bench

    publish(folder / "bench.json", dumps(found.as_dict()) + b"\n")
    written = ["bench.json"]
    if found.measured:
        try:
            pictures = draw_bench(found)
        except ImportError:
            say(NO_MATPLOTLIB)
        else:
            for name, data in pictures.items():
                publish(folder / name, data)
            written += pictures
    say(f"Wrote {', '.join(written)} to {folder}.")
