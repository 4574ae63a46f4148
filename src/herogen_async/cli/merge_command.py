"""`merge`: shards and other runs of one spec, as one run."""

from __future__ import annotations

from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.run_commands import next_step
from herogen_async.cli.shell import JsonOption, end_with


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async merge part-1 part-2 part-3 --run heroes",
            "herogen-async merge runs/part-* --run heroes && herogen-async assemble heroes",
            remark="Exit code 3 if rows are missing: resume requests them. See docs/shards.md.",
        )
    )(merge)


def merge(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Folders of runs, or names below runs/, in any order.")
    ],
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="The new run: its folder, or a name below runs/.")],
    json: JsonOption = False,
) -> None:
    """Make one run of shards. They stay as they are. Other runs of one spec can be merged, too."""
    from herogen_async.cli.spinner import waiting
    from herogen_async.generation.session.merge_runs import merge

    with waiting("merging"):
        made = merge(runs, run)
    end_with(made, step=next_step(made.report), json=json)
