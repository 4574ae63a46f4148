"""`prepare`: prepares any file of prompts and completions for fine-tuning."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, out, print_json, say

if TYPE_CHECKING:
    from herogen_async.core.errors import InputError
    from herogen_async.data.prepare import Prepared

WRONG_INPUT = 1  # the legacy tool's exit code, which scripts rely on; every other command uses 2


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async prepare -f prepared_data.csv",
            "herogen-async prepare -f prepared_data.csv -q --json",
        )
    )(prepare)


def prepare(
    file: Annotated[
        Path, typer.Option("--file", "-f", metavar="FILE", help="A .csv, .tsv, .xlsx, .json, .jsonl or .txt file.")
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Accept all recommended fixes without asking.")] = False,
    json: JsonOption = False,
) -> None:
    """Check a file of prompts and completions. Writes a fine-tuning file next to it.

    Without -q, it asks before each recommended fix; Enter means yes. Exit code 1 if the file can't be used.
    """
    from herogen_async.core.errors import InputError
    from herogen_async.data.prepare import prepare as prepare_file

    line = say if json else out
    try:
        prepared = prepare_file(file, ask=_yes(line) if quiet else _asked(line), tell=line)
    except InputError as error:
        _refuse(error, file, json)
        raise typer.Exit(WRONG_INPUT) from None
    if json:
        print_json(as_dict(prepared))
        return
    for each in prepare_lines(prepared):
        out(each)
    say(f"Next: {prepare_next_step(prepared)}")


def _refuse(error: InputError, file: Path, json: bool) -> None:
    """Say why, for a script in the shape it expects."""
    say(f"error: {error.message}")
    if error.fix:
        say(f"  fix: {error.fix}")
    if json:
        nothing: dict[str, Any] = {"actions": [], "prompt_indicator": None, "stop": None, "outputs": []}
        print_json({"error": error.message, "kind": error.kind, "fix": error.fix, "file": str(file), **nothing})


def _yes(line: Callable[[str], None]) -> Callable[[str], bool]:
    def ask(question: str) -> bool:
        line(question)
        return True

    return ask


def _asked(line: Callable[[str], None]) -> Callable[[str], bool]:
    """Asks the user; anything but n or no means yes. In the legacy tool, even `no` means yes."""
    from herogen_async.core.errors import InputError

    def ask(question: str) -> bool:
        line(f"{question} [Y/n]")
        answer = sys.stdin.readline() if sys.stdin else ""
        if not answer:
            raise InputError(
                f"standard input ended before an answer to {question!r}; nothing was written",
                fix="answer every question, or accept all recommended fixes with -q",
            )
        return answer.strip().lower() not in ("n", "no")

    return ask


def prepare_lines(prepared: Prepared) -> Iterator[str]:
    """The result, and how to ask a model tuned on it."""
    from herogen_async.core.units import counted

    if prepared.outputs:
        yield f"{counted(prepared.rows_written, 'row')} -> {' and '.join(map(str, prepared.outputs))}"
        if not prepared.rows_written:
            yield "warning: no rows are left, so there is nothing to train on."
    elif prepared.nothing_to_fix:
        yield "Nothing to fix: the file is ready as is; no new file was written."
    else:
        yield "Nothing was written."
        return
    if prepared.prompt_indicator:
        yield f"End prompts for the tuned model with {prepared.prompt_indicator!r}."
    if prepared.stop:
        yield f"Stop its answers at {prepared.stop!r}."


def prepare_next_step(prepared: Prepared) -> str:
    """The next command."""
    again = f"herogen-async prepare -f {shlex.quote(str(prepared.file))} -q"
    if prepared.outputs and not prepared.rows_written:
        return f"add rows that can be kept, then {again}"
    if prepared.outputs:
        training, *validation = (shlex.quote(str(output)) for output in prepared.outputs)
        return " ".join(["herogen-async finetune", training, *(f"--validation {each}" for each in validation)])
    if prepared.nothing_to_fix:
        return f"herogen-async finetune {shlex.quote(str(prepared.file))}"
    return again


def as_dict(prepared: Prepared) -> dict[str, Any]:
    """The result for a script."""
    from herogen_async.data import prepare as room

    return {
        "file": str(prepared.file),
        "format": prepared.format,
        "rows": prepared.rows,
        "rows_written": prepared.rows_written,
        "task": prepared.task,
        "actions": [action.as_dict() for action in prepared.actions],
        "declined": list(prepared.declined),
        "prompt_indicator": prepared.prompt_indicator,
        "stop": prepared.stop,
        "outputs": [str(output) for output in prepared.outputs],
        "advice": prepared.told(room.ADVICE),
        "warnings": prepared.told(room.WARNING),
        "mended": [{"code": note.code, "text": note.text} for note in prepared.notes if note.kind == room.MENDED],
        "next": prepare_next_step(prepared),
    }
