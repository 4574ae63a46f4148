"""`show`: rows of a run, to read. `runs`: which runs there are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, RunArgument, as_argument, out, print_json, say

if TYPE_CHECKING:
    from herogen_async.data.dataset import Newest

_LOOK_AGAIN_S = 0.5
_LISTED = ("run", "state", "done", "failed", "total", "model", "reason")  # of a report, in `runs --json`


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async show superhero",
            "herogen-async show superhero --cell age=40 -n 1",
            "herogen-async show superhero --index 12",
            "herogen-async show superhero --follow",
        )
    )(show)
    app.command(
        epilog=examples(
            "herogen-async runs",
            "herogen-async runs --json",
        )
    )(runs)


def show(
    run: RunArgument,
    number: Annotated[int, typer.Option("-n", "--rows", metavar="N", min=1, help="How many rows.")] = 3,
    cell: Annotated[
        list[str] | None,
        typer.Option("--cell", metavar="NAME=VALUE", help="Only rows with this value; may be repeated."),
    ] = None,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", metavar="N", min=0, help="The row with this index; may be repeated."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failed rows, with every attempt.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show rows as they come, until the run ends.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the latest rows of a run, or named ones. Also while it is running."""
    from herogen_async.core.errors import InputError
    from herogen_async.data.dataset import Newest, rows_at
    from herogen_async.view.terminal import failed_row_lines, row_lines

    others = {"--cell": cell, "--failed": failed, "--follow": follow}
    if index and (other := next((name for name, given in others.items() if given), None)):
        raise InputError(f"--index can't be combined with {other}", fix=f"remove {other}")
    if follow and (failed or json):
        raise InputError(f"--follow can't be combined with {'--failed' if failed else '--json'}", fix="remove --follow")
    newest = Newest(run, _cell(cell or []))
    found = rows_at(run, index) if index else newest.failures(number) if failed else newest.rows(number)
    if json:
        print_json({"rows": found})
        return
    lines = failed_row_lines if failed else row_lines
    for row in found:
        _print(lines(row))
    if follow:
        for row in _arriving(newest):
            _print(row_lines(row))
    elif not found:
        rows = "finished rows" if newest.has_columns else "rows"
        out("No failed rows." if failed else f"No {rows} yet." if cell is None else f"No {rows} with these values yet.")
    step = "retry" if failed and found else "status"
    say(f"Next: herogen-async {step} {as_argument(run)}")


def runs(json: JsonOption = False) -> None:
    """List the runs in runs/ with their states."""
    from herogen_async.core.errors import HerogenError
    from herogen_async.generation import session
    from herogen_async.generation.run_folder import all_runs
    from herogen_async.view.terminal import run_lines

    found: list[dict[str, Any]] = []
    folders = all_runs()
    width = max((len(folder.argument) for folder in folders), default=0)
    for folder in folders:
        try:
            report = session.status(folder.path)
        except HerogenError as error:  # one run that can't be read hides none of the others
            found.append({"run": str(folder.path), "state": "unreadable", "reason": error.message})
            lines = [f"{folder.argument:{width}}  unreadable: {error.message}"]
        else:
            found.append({name: getattr(report, name) for name in _LISTED})
            lines = list(run_lines(report, folder.argument, width))
        for line in () if json else lines:
            out(line)
    if json:
        print_json({"runs": found})
    elif found:
        say(f"Next: herogen-async show {folders[0].argument}")
    else:
        out("No runs in runs/.")
        say("Next: herogen-async run --limit 8")


def _arriving(newest: Newest) -> Iterator[dict[str, Any]]:
    while True:
        is_running = newest.is_running  # asked first: what was written before it ended is still shown
        yield from newest.arrived()
        if not is_running:
            return
        time.sleep(_LOOK_AGAIN_S)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        out(line)
    out("")


def _cell(words: list[str]) -> dict[str, str]:
    from herogen_async.core.errors import InputError

    cell = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--cell {word!r} is not NAME=VALUE", fix="give an attribute and its value: --cell age=40")
        cell[name.strip()] = value.strip()
    return cell
