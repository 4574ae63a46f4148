"""`verify` and `recover`: whether a run is sound, and what to do when it isn't."""

from __future__ import annotations

from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, RunArgument, end_with


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async verify superhero",
            "herogen-async verify superhero --json",
        )
    )(verify)
    app.command(
        epilog=examples(
            "herogen-async recover superhero --out superhero-2",
        )
    )(recover)


def verify(run: RunArgument, json: JsonOption = False) -> None:
    """Check every line of a run. Also while it is running. Exit code 4 for damage; nothing is changed."""
    from herogen_async.generation.journal import verify

    verdict = verify.verify(run)
    end_with(verdict, step=verdict.next, json=json)


def recover(
    run: RunArgument,
    to: Annotated[
        str | None,
        typer.Option("--out", metavar="NEWRUN", help="Folder or name of the new run.", show_default="RUN-recovered"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy a damaged run's intact rows to a new run. Exit code 4 if anything was lost; RUN is not changed."""
    from herogen_async.generation.journal import verify

    recovery = verify.recover(run, to)
    end_with(recovery, step=recovery.next, json=json)
