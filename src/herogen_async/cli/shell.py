"""What every command shares: where words go, how errors read, what `--json` prints.

With `--json` the last line of standard output is one JSON object; everything else goes to standard error. Without it
results go to standard output, and what is said along the way to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Protocol, TextIO
from unicodedata import category

import typer

from herogen_async.core.errors import DiskError, HerogenError, InputError
from herogen_async.core.options import OUTPUT

# What a disk does by itself: the same command can succeed once there is room, or another disk.
_FULL_OR_FAILING = {errno.ENOSPC, errno.EDQUOT, errno.EIO}

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name below runs/.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.", rich_help_panel=OUTPUT)
]


def say(line: str) -> None:
    """A line for the person, on standard error."""
    _print(line, sys.stderr)


def out(line: str) -> None:
    """A line of the result, on standard output."""
    _print(line, sys.stdout)


def out_piece(text: str) -> None:
    """Part of a line of the result, on standard output at once; `text` is sanitized."""
    with _written_if_it_can(sys.stdout):
        print(text, end="", flush=True)


def _print(line: str, stream: TextIO | None) -> None:
    """What comes from a server or a model can't move the cursor; a reader that went away ends no run."""
    from herogen_async.view.terminal.sanitize import sanitize

    line = sanitize(line)
    with _written_if_it_can(stream):
        if stream is not None and stream.isatty():
            line = _wrapped(line)
        print(line, file=stream, flush=True)


@contextlib.contextmanager
def _written_if_it_can(stream: TextIO | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if stream is sys.stdout and error.errno in _FULL_OR_FAILING:
            Printed.lost = error
    except ValueError:  # a stream that is closed
        pass


def _wrapped(line: str) -> str:
    """Broken between words where a terminal would break inside of one."""
    import shutil
    import textwrap

    columns = shutil.get_terminal_size().columns
    if len(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, tabsize=4
    )


class Printed:
    """Whether this program has printed its object for a script."""

    json = False
    lost: OSError | None = None  # why a result is not on standard output, though somebody wants it


class _Escapes(dict[int, str]):
    """How characters are written that JSON lets stand, and at which readers end a line or terminals move or turn the
    direction of the text: controls, format characters, separators. Read by `str.translate`; a script gets them back.
    """

    def __missing__(self, number: int) -> str:
        each = chr(number)
        if category(each) in ("Cc", "Cf", "Zl", "Zp"):
            units = each.encode("utf-16-be").hex()  # one of four digits, or two
            each = "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
        self[number] = each
        return each


_ESCAPED = _Escapes()


def print_json(value: Any) -> None:
    """The result for a script, on one line however lines are told apart."""
    from herogen_async.core.codec import dumps

    Printed.json = True
    with _written_if_it_can(sys.stdout):
        print(dumps(value).decode().translate(_ESCAPED), flush=True)


class CommandResult(Protocol):
    """What a command found or made, with the exit code that says how it is."""

    @property
    def exit_code(self) -> int:
        """0 where all is well."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""

    def lines(self) -> Iterable[str]:
        """For a person."""


def end_with(found: CommandResult, *, step: str, json: bool) -> None:
    """Print a result and the command that comes next, and exit with the result's code."""
    if json:
        print_json({**found.as_dict(), "next": step})
    else:
        for line in found.lines():
            out(line)
    say(f"Next: {step}")
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def print_error(error: HerogenError) -> None:
    """An error as sentences; for a script too, when it asked for JSON."""
    say(f"error: {error.message}")
    if error.fix:
        say(f"  fix: {error.fix}")
    if "--json" in sys.argv:
        print_json({"error": error.message, "kind": error.kind, "fix": error.fix})


def error_of(refused: OSError) -> HerogenError:
    """What the system refused a command, as an error with a fix: no folder or file of a user's ends in a traceback."""
    what = f"{refused.strerror or refused}"
    if isinstance(refused.filename, str | bytes | os.PathLike):
        what = f"{os.fsdecode(refused.filename)!r} can't be used: {what}"
    if refused.errno in _FULL_OR_FAILING:
        return DiskError(what, fix="free some space, or use another disk")
    if isinstance(refused, PermissionError):
        return InputError(what, fix="ask the owner of the file or its folder, or change its mode")
    return InputError(what, fix="check that path, and what lies there")


def as_argument(run: str) -> str:
    """A RUN as it is typed: a run's name, or its path, quoted."""
    from herogen_async.generation.run_folder import find_run

    return find_run(run).argument
