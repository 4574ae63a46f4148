"""What every command shares: where words go, how errors read, what `--json` prints.

With `--json` the last line of standard output is one JSON object; everything else goes to standard error. Without it
results go to standard output, and what is said along the way to standard error.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from herogen_async.errors import HerogenError

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name below runs/.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def say(line: str) -> None:
    """A line for the person, on standard error."""
    print(line, file=sys.stderr, flush=True)


def out(line: str) -> None:
    """A line of the result, on standard output."""
    print(line, flush=True)


def print_json(value: Any) -> None:
    """The result for a script."""
    from herogen_async.codec import dumps

    out(dumps(value).decode())


def print_error(error: HerogenError) -> None:
    """An error as sentences; for a script too, when it asked for JSON."""
    from herogen_async.view.text import sanitize

    say(f"error: {sanitize(error.message)}")
    if error.fix:
        say(f"  fix: {sanitize(error.fix)}")
    if "--json" in sys.argv:
        print_json({"error": error.message, "kind": error.kind, "fix": error.fix})


def quoted(run: str) -> str:
    """A run as the command line takes it: its name when it lies below runs/."""
    import shlex
    from pathlib import PurePath

    path = PurePath(run)
    return shlex.quote(path.name if path.parts[:-1] == ("runs",) else run)
