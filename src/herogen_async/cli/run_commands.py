"""`run`, `resume`, `retry`, `status`, `errors`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from herogen_async.cli.shell import JsonOption, RunArgument, as_argument, out, print_json, say
from herogen_async.errors import InputError

if TYPE_CHECKING:
    from herogen_async.report import RunReport
    from herogen_async.session import Watch

_CONCURRENCY = "How many requests are in flight at most; `auto` finds it out."
_LIMIT = "Only the first N tasks of the grid."
_TIMEOUT = "Seconds that one request may take."
Rpm = Annotated[float | None, typer.Option(help="Requests a minute that are permitted.")]
Tpm = Annotated[float | None, typer.Option(help="Tokens a minute that are permitted.")]
InputTpm = Annotated[float | None, typer.Option(help="Prompt tokens a minute that are permitted.")]
OutputTpm = Annotated[float | None, typer.Option(help="Answer tokens a minute that are permitted.")]
Rpd = Annotated[float | None, typer.Option(help="Requests a day that are permitted.")]
Tpd = Annotated[float | None, typer.Option(help="Tokens a day that are permitted.")]
Window = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="The window that the server counts in, e.g. 1s: never more than its share."),
]
MinTimeout = Annotated[
    float | None,
    typer.Option(
        help="A request is cut off after 4 times the latency of the slowest 1 %, but never before so many seconds.",
        show_default="30",
    ),
]
Concurrency = Annotated[str, typer.Option(metavar="N|auto", help=_CONCURRENCY)]
Timeout = Annotated[float | None, typer.Option(help=_TIMEOUT, show_default="600")]
OtherConcurrency = Annotated[str | None, typer.Option(metavar="N|auto", help=_CONCURRENCY, show_default="the run's")]
OtherTimeout = Annotated[float | None, typer.Option(help=_TIMEOUT, show_default="the run's")]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(epilog="Example: herogen-async run heroes.yaml --base-url http://127.0.0.1:8000/v1 --concurrency 64")(
        run
    )
    app.command(epilog="Example: herogen-async resume superhero")(resume)
    app.command(epilog="Example: herogen-async retry superhero")(retry)
    app.command(epilog="Example: herogen-async status superhero --json")(status)
    app.command(epilog="Example: herogen-async errors superhero")(errors)


def run(
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC", help="A spec file; left out, the built-in superhero spec.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN", help="The run's folder, or a name below runs/.", show_default="the spec's name"
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Any OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1; on this machine it needs no key."
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="completions|chat", help="Which route to ask.", show_default="the spec's")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model's name; `embedded` or a .gguf file for the embedded model.")
    ] = None,
    concurrency: Concurrency = "16",
    rpm: Rpm = None,
    tpm: Tpm = None,
    input_tpm: InputTpm = None,
    output_tpm: OutputTpm = None,
    rpd: Rpd = None,
    tpd: Tpd = None,
    window: Window = None,
    limit: Annotated[int | None, typer.Option(help=_LIMIT)] = None,
    timeout: Timeout = None,
    min_timeout: MinTimeout = None,
    json: JsonOption = False,
) -> None:
    """Run a spec, or go on with it: the same command again resumes."""
    from herogen_async import session

    _drive(
        lambda watch: session.run(
            spec,
            run=run,
            base_url=base_url,
            endpoint=endpoint,
            model=model,
            concurrency=concurrency_from(concurrency),
            rpm=rpm,
            tpm=tpm,
            input_tpm=input_tpm,
            output_tpm=output_tpm,
            rpd=rpd,
            tpd=tpd,
            window_s=seconds_from(window),
            limit=limit,
            timeout_s=timeout,
            min_timeout_s=min_timeout,
            watch=watch,
        ),
        json,
    )


def resume(
    run: RunArgument,
    concurrency: OtherConcurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    input_tpm: InputTpm = None,
    output_tpm: OutputTpm = None,
    rpd: Rpd = None,
    tpd: Tpd = None,
    window: Window = None,
    limit: Annotated[int | None, typer.Option(help=_LIMIT, show_default="the run's")] = None,
    timeout: OtherTimeout = None,
    min_timeout: MinTimeout = None,
    json: JsonOption = False,
) -> None:
    """Go on with a run, as its folder says."""
    _resume(
        run,
        json,
        concurrency=None if concurrency is None else concurrency_from(concurrency),
        rpm=rpm,
        tpm=tpm,
        input_tpm=input_tpm,
        output_tpm=output_tpm,
        rpd=rpd,
        tpd=tpd,
        window_s=seconds_from(window),
        limit=limit,
        timeout_s=timeout,
        min_timeout_s=min_timeout,
    )


def retry(run: RunArgument, concurrency: OtherConcurrency = None, json: JsonOption = False) -> None:
    """Go on with a run, and ask also for the rows that were given up."""
    _resume(run, json, concurrency=None if concurrency is None else concurrency_from(concurrency), retry_failed=True)


def status(run: RunArgument, json: JsonOption = False) -> None:
    """What a run is, also while it runs."""
    from dataclasses import replace

    from herogen_async import session
    from herogen_async.view import summary_lines

    report = session.status(run)
    report = replace(report, next=next_step(report))
    if json:
        print_json(report.as_dict())
        return
    out(f"{report.run}: {report.model}, {report.endpoint}, {report.base_url or 'on this machine'}")
    for line in summary_lines(report):
        out(line)
    say(f"Next: {report.next}")


def errors(run: RunArgument, json: JsonOption = False) -> None:
    """The rows that were given up, by class, with an example each."""
    from herogen_async import dataset

    found = dataset.failures(run)
    if json:
        print_json({"total": sum(each.count for each in found), "kinds": [each.as_dict() for each in found]})
        return
    for each in found:
        out(f"{each.kind}: {each.count}")
        example = f"task {each.example['index']} {each.example['cell']}: {each.example['message']}"
        out(f"  e.g. {example}")
    if found:
        say(f"Next: herogen-async retry {as_argument(run)}")
    else:
        out("No row was given up.")
        say(f"Next: herogen-async status {as_argument(run)}")


def concurrency_from(text: str) -> int | Literal["auto"]:
    """`auto`, or a number. Raises InputError."""
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit():
        return int(text)
    raise InputError(f"{text!r} is no concurrency", fix="give a number above zero, or auto")


def seconds_from(text: str | None) -> float | None:
    """`1s`, `10` or `0.5s` in seconds. Raises InputError."""
    if text is None:
        return None
    try:
        return float(text.strip().removesuffix("s"))
    except ValueError:
        raise InputError(f"{text!r} is no window", fix="give seconds, e.g. 1s or 10s") from None


def next_step(report: RunReport) -> str:
    """The command that a person wants next."""
    from herogen_async.journal import RunFolder

    name = RunFolder(Path(report.run)).argument
    if report.state == "running":
        return f"herogen-async status {name}"
    if report.pending:
        return f"herogen-async resume {name}"
    if report.failed:
        return f"herogen-async errors {name}"
    if report.total < report.grid:
        return f"herogen-async resume {name} --limit {report.grid}"
    return f"herogen-async assemble {name}"


def _resume(run: str, json: bool, **options: Any) -> None:
    from herogen_async import session

    _drive(lambda watch: session.resume(run, watch=watch, **options), json)


def _drive(start: Callable[[Watch], RunReport], json: bool) -> None:
    """Run with a display, say how it ended and what comes next, and exit with the code that says so."""
    from dataclasses import replace

    from herogen_async.view import summary_lines

    with _display() as watch:
        report = start(watch)
    report = replace(report, next=next_step(report))
    for line in summary_lines(report):
        (say if json else out)(line)
    say(f"Next: {report.next}")
    if json:
        print_json(report.as_dict())
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@contextlib.contextmanager
def _display() -> Iterator[Watch]:
    """A live panel on a terminal, plain lines elsewhere."""
    from herogen_async.cli.weights_bar import weights_bar
    from herogen_async.session import Watch

    if sys.stderr is None or not sys.stderr.isatty():
        from herogen_async.view import PlainView

        with weights_bar(None) as on_weights:
            yield Watch(on_report=PlainView(say), on_notice=say, on_weights=on_weights)
        return
    from rich.console import Console

    from herogen_async.view.panel import LivePanel

    console = Console(stderr=True)
    with weights_bar(console) as on_weights, LivePanel(console) as panel:
        yield Watch(on_report=panel, on_notice=panel.notice, on_weights=on_weights)
