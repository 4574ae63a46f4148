"""`run`, `resume`, `retry`, `status`, `errors`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import SERVERS_HELP, SpecArgument, shared, takes_settings
from herogen_async.cli.page_beside import NoOpenOption, Stay, ViewOption, page_beside
from herogen_async.cli.previewed import Previewed, kept_lines, previewed_rows
from herogen_async.cli.run_display import run_display
from herogen_async.cli.shell import JsonOption, RunArgument, as_argument, out, print_json, say
from herogen_async.core.options import OUTPUT, ROWS, TIME, WHERE

if TYPE_CHECKING:
    from herogen_async.data.dataset import Acceptance
    from herogen_async.generation.report import RunReport
    from herogen_async.generation.session import RunObserver


_LOG_WIDTH = 120  # a log has more room than a terminal
FIRST_ANSWERS = 2  # of a small run that are printed

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the summary.", rich_help_panel=OUTPUT)]
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait where the run would park: for a limit to reset, a day for a server.", rich_help_panel=TIME
    ),
]

RequeueOption = Annotated[
    bool,
    typer.Option("--requeue-damaged", help="Skip damaged lines, and request their rows again.", rich_help_panel=ROWS),
]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async run --limit 8",
            "herogen-async run heroes.yaml --preview 3",
            "herogen-async run heroes.yaml --view",
            "herogen-async run heroes.yaml --base-url http://127.0.0.1:8000/v1 --concurrency 64",
            "herogen-async run heroes.yaml --model gpt-5-mini --rpm 500 --budget 20",
        )
    )(run)
    app.command(
        epilog=examples(
            "herogen-async resume superhero",
            "herogen-async resume superhero --concurrency auto --wait",
            "herogen-async resume superhero --base-url http://127.0.0.1:9000/v1",
        )
    )(resume)
    app.command(
        epilog=examples(
            "herogen-async retry superhero",
            "herogen-async retry superhero --class timeout --class server",
        )
    )(retry)
    app.command(
        epilog=examples(
            "herogen-async status superhero",
            "herogen-async status superhero --json",
        )
    )(status)
    app.command(
        epilog=examples(
            "herogen-async errors superhero",
            "herogen-async errors superhero --class server",
        )
    )(errors)


@takes_settings(of_a_run=False)
def run(
    spec: SpecArgument = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="The run's folder, or a name below runs/.",
            show_default="the spec's name",
            rich_help_panel=WHERE,
        ),
    ] = None,
    base_url: Annotated[list[str] | None, shared("base_url", help=SERVERS_HELP)] = None,
    endpoint: Annotated[str | None, shared("endpoint", "the spec's")] = None,
    model: Annotated[str | None, shared("model", "the spec's")] = None,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="For a changed spec: request what is new, and keep existing answers. "
            "See the cost: herogen-async plan SPEC RUN.",
            rich_help_panel=ROWS,
        ),
    ] = False,
    regenerate_stale: Annotated[
        bool,
        typer.Option(
            "--regenerate-stale",
            help="Request again the rows made with another prompt, model or sampling.",
            rich_help_panel=ROWS,
        ),
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME",
            help="With --regenerate-stale: only this column, and what builds on it; may be repeated.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    preview: Annotated[
        int | None,
        typer.Option(
            "--preview",
            metavar="N",
            min=1,
            help="Request only N rows, spread over the grid, and show each answer; the same command without it "
            "continues.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    wait: WaitOption = False,
    requeue_damaged: RequeueOption = False,
    view: ViewOption = False,
    no_open: NoOpenOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    **settings: Any,
) -> None:
    """Run a spec; the same command again resumes it."""
    from herogen_async.core.errors import InputError
    from herogen_async.generation import session
    from herogen_async.generation.run_folder import RunFolder, find_run
    from herogen_async.generation.run_request import read_spec

    if columns and not regenerate_stale:
        raise InputError("--column says which stale answers to request again", fix="add --regenerate-stale")

    def folder() -> RunFolder:
        return find_run(run or read_spec(spec).name)

    known = None if preview is None else previewed_rows(spec, run, preview, endpoint, model, settings)
    with page_beside(view, no_open, folder, say if json else out) as stay:
        _drive(
            lambda watch: session.run(
                spec,
                run=run,
                base_url=base_url or None,
                endpoint=endpoint,
                model=model,
                extend=extend,
                regenerate_stale=columns or regenerate_stale,
                preview=preview,
                wait=wait,
                requeue_damaged=requeue_damaged,
                **settings,
                watch=watch,
            ),
            json,
            quiet,
            known,
            stay=stay,
        )


@takes_settings(of_a_run=True)
def resume(
    run: RunArgument,
    base_url: Annotated[
        list[str] | None,
        shared("base_url", "the run's", help="Where the server is now, if it has moved; several: repeat it."),
    ] = None,
    wait: WaitOption = False,
    requeue_damaged: RequeueOption = False,
    view: ViewOption = False,
    no_open: NoOpenOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    **settings: Any,
) -> None:
    """Continue a run. Settings not given here stay as they are."""
    from herogen_async.generation.run_folder import existing_run

    options = {"base_url": base_url or None, "wait": wait, "requeue_damaged": requeue_damaged, **settings}
    with page_beside(view, no_open, lambda: existing_run(run), say if json else out) as stay:
        _resume(run, json, quiet, stay=stay, **options)


@takes_settings(of_a_run=True)
def retry(
    run: RunArgument,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Only rows that failed with this class; may be repeated."),
    ] = None,
    wait: WaitOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    **settings: Any,
) -> None:
    """Continue a run, and retry its failed rows. Settings not given here stay as they are."""
    _resume(run, json, quiet, retry_failed=kinds or True, wait=wait, **settings)


def status(run: RunArgument, json: JsonOption = False) -> None:
    """Show a run's state (also while it is running)."""
    from dataclasses import replace

    from herogen_async.core.units import in_words
    from herogen_async.generation import session
    from herogen_async.view.terminal import one_line, summary_lines

    report = session.status(run)
    report = replace(report, next=next_step(report))
    accepted = _acceptance(run)
    if json:
        print_json(report.as_dict() | ({} if accepted is None else {"acceptance": accepted.as_dict()}))
        return
    where = in_words(report.servers) or report.base_url or "on this machine"
    out(one_line(f"{report.run}: {report.model}, {report.endpoint}, {where}"))
    for line in (*summary_lines(report), *_column_lines(report), *([] if accepted is None else accepted.lines())):
        out(line)
    say(f"Next: {report.next}")


def _acceptance(run: str) -> Acceptance | None:
    """Where the spec accepts only some rows; no other status loads what reads them."""
    from herogen_async.generation.run_folder import existing_run, read_manifest

    spec = read_manifest(existing_run(run)).spec
    if not (spec.get("keep") or any(column.get("unlike") for column in spec.get("columns", {}).values())):
        return None
    from herogen_async.data.dataset import acceptance

    return acceptance(run)


def errors(
    run: RunArgument,
    kind: Annotated[str | None, typer.Option("--class", metavar="CLASS", help="Only this class.")] = None,
    json: JsonOption = False,
) -> None:
    """Show failed rows by class, with examples."""
    from herogen_async.data import dataset
    from herogen_async.view.terminal import failure_lines

    found = dataset.failures(run, kind)
    if json:
        print_json({"total": sum(each.count for each in found), "kinds": [each.as_dict() for each in found]})
        return
    for each in found:
        for line in failure_lines(each.as_dict()):
            out(line)
    if found:
        only = "" if kind is None else f" --class {kind}"
        say(f"Next: herogen-async retry {as_argument(run)}{only}")
    else:
        out("No rows failed.")
        say(f"Next: herogen-async status {as_argument(run)}")


def next_step(report: RunReport, *, is_part: bool = False) -> str:
    """The command that a person wants next. `is_part`: only some rows were to be asked."""
    from herogen_async.core.errors import ParkReason
    from herogen_async.generation.run_folder import RunFolder

    name = RunFolder(Path(report.run)).argument
    if report.state == "running":
        return f"herogen-async status {name}"
    if report.state == "parked" and report.budget is not None and report.park_reason is ParkReason.BUDGET:
        return f"herogen-async resume {name} --budget {2 * report.budget:g}"  # with the same one it would park again
    most = report.grid if report.at_most is None else report.at_most
    is_enough = report.wanted is not None and report.accepted == report.wanted
    is_cut_short = report.state in ("stopped", "interrupted") or (is_part and report.total < most and not is_enough)
    if report.pending or (is_cut_short and not report.failed):
        return f"herogen-async resume {name}"
    if report.failed:
        return f"herogen-async errors {name}"
    if report.shard is not None and report.total < most:
        return f"herogen-async merge {name} OTHER_SHARDS --run NAME"
    if report.total < most and not is_enough:
        return f"herogen-async resume {name} --limit {most}"
    return f"herogen-async assemble {name}"


def _resume(run: str, json: bool, quiet: bool, *, stay: Stay | None = None, **options: Any) -> None:
    from herogen_async.generation import session

    _drive(lambda watch: session.resume(run, watch=watch, **options), json, quiet, stay=stay)


def _drive(
    start: Callable[[RunObserver], RunReport],
    json: bool,
    quiet: bool,
    previewed: Previewed | None = None,
    *,
    stay: Stay | None = None,
) -> None:
    """Run with a display, say how it ended and what comes next, and exit with the code that says so.

    `stay` is called when all is said: it may wait for a person.
    """
    from dataclasses import replace

    from herogen_async.view.terminal import PreviewView, is_small, summary_lines

    tell = say if json else out
    for line in () if previewed is None or quiet else previewed.known:
        tell(line)
    with run_display(quiet, None if previewed is None else previewed.plan, tell) as watch:
        report = start(watch)
        watch.state(report)
    if previewed is not None:
        if isinstance(watch, PreviewView) and previewed.open_rows:
            kept = [row for row in previewed.open_rows if row not in watch.rows]
            for line in kept_lines(Path(report.run), kept):
                tell(line)
        tell("")
    report = replace(report, next=next_step(report, is_part=previewed is not None))
    if not quiet and previewed is None and is_small(report) and report.done:
        for line in _first_answers(report):
            tell(line)
    # Of a preview no word of how many rows there are besides: which ones it took, it has said.
    told = report if previewed is None else replace(report, grid=report.total, shard=None)
    for line in (*summary_lines(told), *_column_lines(report)):
        tell(line)
    say(f"Next: {report.next}")
    if json:
        print_json(report.as_dict())
    if stay is not None:
        stay(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _column_lines(report: RunReport) -> list[str]:
    """A table of the run's columns, for the terminal that there is."""
    import shutil

    from herogen_async.view.terminal import column_lines

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if is_terminal else _LOG_WIDTH
    return [f"  {line}" for line in column_lines(report, width - 2)]


def _first_answers(report: RunReport) -> Iterator[str]:
    """Some rows of a small run: a person tries a spec, and wants to read what comes of it."""
    from itertools import islice

    from herogen_async.data.dataset import rows
    from herogen_async.view.terminal import row_lines

    for row in islice(rows(Path(report.run)), FIRST_ANSWERS):
        yield from row_lines(row)
        yield ""
