"""`view`: the page, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.page_beside import require_page
from herogen_async.cli.shell import out, say


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async view",
            "herogen-async view superhero",
            "herogen-async view superhero --no-open --port 8900",
            "herogen-async view superhero --bundle superhero-page",
        )
    )(view)


def view(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's folder, or its name below runs/. Default: all runs in runs/."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, help="The port to serve on.", show_default="a free one")
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to serve on. On any but this machine's own, anyone with the URL sees all rows.",
        ),
    ] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the URL without opening a browser.")] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Write RUN as it stands to a folder of files that open without a server, to send to somebody.",
        ),
    ] = None,
) -> None:
    """Show runs in the browser, and mark rows there. Also controls those that are running; needs the extra [view]."""
    from herogen_async.cli.browser import open_page
    from herogen_async.core.errors import InputError
    from herogen_async.generation.run_folder import existing_run

    only = None if run is None else existing_run(run)
    require_page()
    from herogen_async.view.web.page_copy import write_copy
    from herogen_async.view.web.server import serve_page_until_signal

    if bundle is not None:
        if only is None:
            raise InputError("--bundle writes one run", fix="name it: herogen-async view RUN --bundle DIR")
        if port or no_open or host != "127.0.0.1":
            raise InputError("with --bundle nothing is served", fix="leave out --port, --host and --no-open")
        made = write_copy(only, bundle)
        out(str(made.path / "index.html"))
        say(made.told)
        say(f"{made.files:,} files, {made.bytes / 1e6:,.1f} MB: send the whole folder.")
        return

    def started(url: str) -> None:
        out(url)
        opened = not no_open and open_page(url)
        say("Opened in the browser; serving until Ctrl-C." if opened else "Serving until Ctrl-C: open that URL.")
        say("Anyone with the URL can see the rows, mark them, control runs, ask their models, and train on them here.")

    serve_page_until_signal(started, only, host=host, port=port)
