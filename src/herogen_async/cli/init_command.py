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
            "herogen-async init heroes.yaml --run superhero && herogen-async plan heroes.yaml superhero",
            "herogen-async init --schema > spec.schema.json",
        )
    )(init)


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the spec.")] = Path("superhero.yaml"),
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Write the spec of this run, as it was sent.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of specs instead.")] = False,
) -> None:
    """Write a commented spec to edit."""
    if schema:
        from herogen_async.specs.spec import Spec

        print_json(Spec.json_schema())
        return
    text = _builtin(file.stem) if run is None else _of_run(run)
    try:
        with file.open("x", encoding="utf-8") as target:
            try:
                target.write(text)
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
    after = (
        f"run {shlex.quote(str(file))} --limit 8"
        if run is None
        else f"plan {shlex.quote(str(file))} {shlex.quote(run)}"
    )
    say(f"Next: edit it, then herogen-async {after}")


def _builtin(name: str) -> str:
    from importlib.resources import files

    return _named(files("herogen_async.specs.spec").joinpath("superhero.yaml").read_text(encoding="utf-8"), name)


def _of_run(run: str) -> str:
    """The spec of a run under that run's name, with the endpoint and the model that it was asked with."""
    from herogen_async.generation.run_folder import existing_run, read_manifest
    from herogen_async.specs.spec.check import NAME
    from herogen_async.specs.spec.written import yaml_lines

    folder = existing_run(run)
    manifest = read_manifest(folder)
    spec = {**manifest.resolved_spec().as_dict(), "endpoint": manifest.endpoint}
    if manifest.base_url is not None:
        spec["model"] = manifest.model
    if NAME.fullmatch(folder.path.name):
        spec["name"] = folder.path.name
    head = f"# The spec of the run {folder.argument}, as it was sent. What you leave unchanged keeps its answers."
    return "\n".join([head, *yaml_lines(spec), ""])


def _named(text: str, name: str) -> str:
    """The spec under the file's own name, so that its runs don't share a folder with the built-in one's.

    Quoted: `12` and `null` are names of files, and no text in YAML.
    """
    import re

    from herogen_async.specs.spec.check import NAME

    own = name if NAME.fullmatch(name) else "heroes"
    return re.sub(r"^name: \S+", f"name: '{own}'", text, count=1, flags=re.MULTILINE)
