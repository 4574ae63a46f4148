"""`doctor`: check this machine and an endpoint, or all that a spec asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import SERVERS_HELP, shared
from herogen_async.cli.shell import JsonOption, out, print_json, say

_EPILOG = examples(
    "herogen-async doctor",
    "herogen-async doctor --base-url http://127.0.0.1:8000/v1",
    "herogen-async doctor tutor.yaml",
    remark=("It sends one request of a few tokens to each route. Exit codes: 0 ready for a run, 2 not ready."),
)


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(doctor)


def doctor(
    spec: Annotated[
        Path | None,
        typer.Argument(metavar="SPEC", help="A spec file: check every model and server its columns use."),
    ] = None,
    base_url: Annotated[
        list[str] | None, shared("base_url", "from the environment, as for run", help=SERVERS_HELP)
    ] = None,
    model: Annotated[str | None, shared("model", "the only one served", help="Model name.")] = None,
    endpoint: Annotated[str | None, shared("endpoint", "both")] = None,
    json: JsonOption = False,
) -> None:
    """Check this machine, and an endpoint or a spec. Keys, models, latency, limits, and a fitting run."""
    import asyncio
    import os

    from herogen_async.core.clock import MonotonicClock
    from herogen_async.lab.doctor import diagnose, diagnose_spec, diagnosis_lines
    from herogen_async.specs.spec import Spec

    clock, folder = MonotonicClock(), Path()
    if spec is None:
        looking = diagnose(base_url, model, endpoint=endpoint, environment=os.environ, folder=folder, clock=clock)
    else:
        looking = diagnose_spec(
            Spec.load(spec),
            str(spec),
            base_url,
            model,
            endpoint=endpoint,
            environment=os.environ,
            folder=folder,
            clock=clock,
        )
    diagnosis = asyncio.run(looking)
    for line in diagnosis_lines(diagnosis):
        (say if json else out)(line)
    say(f"Next: {diagnosis.next}")
    if json:
        print_json(diagnosis.as_dict())
    if not diagnosis.usable:
        raise typer.Exit(2)
