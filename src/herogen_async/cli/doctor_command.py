"""`doctor`: check this machine and an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import shared
from herogen_async.cli.shell import JsonOption, out, print_json, say

_EPILOG = examples(
    "herogen-async doctor",
    "herogen-async doctor --base-url http://127.0.0.1:8000/v1",
    remark=("It sends one request of a few tokens to each route. Exit codes: 0 ready for a run, 2 not ready."),
)


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(doctor)


def doctor(
    base_url: Annotated[str | None, shared("base_url", "from the environment, as for run")] = None,
    model: Annotated[str | None, shared("model", "the only one served", help="Model name.")] = None,
    endpoint: Annotated[str | None, shared("endpoint", "both")] = None,
    json: JsonOption = False,
) -> None:
    """Check this machine and an endpoint. Keys, models, latency, limits, and a run command that fits them."""
    import asyncio
    import os
    from pathlib import Path

    from herogen_async.core.clock import MonotonicClock
    from herogen_async.lab.doctor import diagnose, diagnosis_lines

    diagnosis = asyncio.run(
        diagnose(
            base_url,
            model,
            endpoint=endpoint,
            environment=os.environ,
            folder=Path(),
            clock=MonotonicClock(),
        )
    )
    for line in diagnosis_lines(diagnosis):
        (say if json else out)(line)
    say(f"Next: {diagnosis.next}")
    if json:
        print_json(diagnosis.as_dict())
    if not diagnosis.usable:
        raise typer.Exit(2)
