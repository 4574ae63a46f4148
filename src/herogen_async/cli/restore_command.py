"""`restore`: the folder of a run, made again from its mirror."""

from __future__ import annotations

from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, end_with


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async restore s3://bucket/runs/heroes --run heroes",
            "herogen-async restore file:///mnt/backup/heroes --run heroes && herogen-async resume heroes",
            remark="Interrupted, the same command continues. Exit code 4 if something is missing. See docs/mirror.md.",
        )
    )(restore)


def restore(
    uri: Annotated[str, typer.Argument(metavar="URI", help="The mirror: what the run had as --mirror.")],
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="The folder to make, or a name below runs/.")],
    json: JsonOption = False,
) -> None:
    """Make a run's folder again from its mirror."""
    from herogen_async.cli.spinner import waiting
    from herogen_async.generation.mirror import restore
    from herogen_async.generation.settings import RUN_SETTINGS

    RUN_SETTINGS["mirror"].check(uri)
    with waiting("restoring"):
        made = restore(uri, run)
    end_with(made, step=made.next, json=json)
