"""`init`: a spec to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import out, print_json, say
from herogen_async.core.errors import InputError


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async init heroes.yaml && herogen-async run heroes.yaml --model embedded --limit 8",
            "herogen-async init --schema > spec.schema.json",
        )
    )(init)


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the spec.")] = Path("superhero.yaml"),
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of specs instead.")] = False,
) -> None:
    """Write a commented spec to edit."""
    if schema:
        from herogen_async.specs.spec import Spec

        print_json(Spec.json_schema())
        return
    from importlib.resources import files

    text = files("herogen_async.specs.spec").joinpath("superhero.yaml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as target:
            try:
                target.write(_named(text, file.stem))
                target.flush()
            except OSError:
                file.unlink()  # half a spec would be in the way of the next try
                raise
    except FileExistsError:
        raise InputError(
            f"{str(file)!r} already exists", fix="name another file; files are never overwritten"
        ) from None
    except OSError as error:
        raise InputError(f"{str(file)!r} can't be written: {error.strerror}", fix="name another file") from error
    out(str(file))
    say(f"Next: edit it, then herogen-async run {shlex.quote(str(file))} --limit 8")


def _named(text: str, name: str) -> str:
    """The spec under the file's own name, so that its runs don't share a folder with the built-in one's.

    Quoted: `12` and `null` are names of files, and no text in YAML.
    """
    import re

    from herogen_async.specs.spec.check import NAME

    own = name if NAME.fullmatch(name) else "heroes"
    return re.sub(r"^name: \S+", f"name: '{own}'", text, count=1, flags=re.MULTILINE)
