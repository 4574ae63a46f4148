"""`init`: a spec to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.new_files import write_new
from herogen_async.cli.shell import out, print_json, say
from herogen_async.core.errors import InputError

_SHOWN = 12  # fields that the first prompt names


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async init heroes.yaml && herogen-async run heroes.yaml --model embedded --limit 8",
            "herogen-async init --list && herogen-async init --example magpie",
            "herogen-async init heroes.yaml --run superhero && herogen-async plan heroes.yaml superhero",
            "herogen-async init --from seeds.csv && herogen-async plan seeds.yaml",
            "herogen-async init --schema > spec.schema.json",
        )
    )(init)


def init(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Where to write the spec. Default: superhero.yaml, or a name from the example or the records.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Write the spec of this run, as it was sent.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RECORDS", help="Write a spec for these records: a file, or hf:OWNER/NAME."),
    ] = None,
    example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="Write this example, and the files that it needs.")
    ] = None,
    is_list: Annotated[bool, typer.Option("--list", help="List the examples instead.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of specs instead.")] = False,
) -> None:
    """Write a commented spec to edit."""
    if schema:
        from herogen_async.specs.spec import Spec

        print_json(Spec.json_schema())
        return
    if is_list:
        _list_examples()
        return
    named = [f"--{name}" for name, each in (("example", example), ("run", run), ("from", source)) if each is not None]
    if len(named) > 1:
        raise InputError(f"{named[0]} and {named[1]} both say which spec to write", fix="remove one of them")
    beside: dict[str, str] = {}
    if example is not None:
        from herogen_async.cli.example_specs import example_files

        file = Path(f"{example}.yaml") if file is None else file
        text, beside = example_files(example)
        text = _named(text, file.stem)
    elif source is not None:
        file = Path(f"{_stem(source)}.yaml") if file is None else file
        text = _for_source(source, file)
    else:
        file = Path("superhero.yaml") if file is None else file
        text = _builtin(file.stem) if run is None else _of_run(run)
    texts = {file: text, **{file.parent / name: more for name, more in beside.items()}}
    write_new({each: more for each, more in texts.items() if each == file or not _has(each, more)})
    for each in texts:
        out(str(each))
    after = (
        f"run {shlex.quote(str(file))} --limit 8"
        if run is None
        else f"plan {shlex.quote(str(file))} {shlex.quote(run)}"
    )
    say(f"Next: edit it, then herogen-async {after}")


def _list_examples() -> None:
    from herogen_async.cli.example_specs import example_lines

    lines = example_lines()
    width = max(map(len, lines))
    for name, line in lines.items():
        out(f"{name:{width}}  {line}")
    say("Next: herogen-async init --example NAME")


def _has(file: Path, text: str) -> bool:
    """Whether another copy of the example has left this file here."""
    try:
        return file.is_file() and file.read_bytes() == text.encode()
    except OSError:
        return False


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
    if "source" in spec:  # the content that it is made with is the run's: another one is a change, and no mistake
        del spec["source"]["sha256"]
    if manifest.base_url is not None:
        spec["model"] = manifest.model
    if NAME.fullmatch(folder.path.name):
        spec["name"] = folder.path.name
    head = f"# The spec of the run {folder.argument}, as it was sent. What you leave unchanged keeps its answers."
    return "\n".join([head, *yaml_lines(spec), ""])


def _stem(source: str) -> str:
    """What a spec for a source is called: as its file, or as its data set."""
    return Path(source).stem if Path(source).suffix else source.rpartition("/")[2]


def _for_source(source: str, file: Path) -> str:
    """A spec for the records of a source, with the fields that they have."""
    import os

    from herogen_async.specs.spec.check import NAME, usable_name
    from herogen_async.specs.spec.source import source_of
    from herogen_async.specs.spec.written import yaml_lines

    found = source_of(source, None)
    path = source
    if found.can_be_read_again and not found.is_on_hub:
        path = os.path.relpath(found.path, file.parent.absolute())
    fields = found.fields
    is_same = list(fields) == list(fields.values())
    named = [f"{name}: {{{name}}}" for name in list(fields)[:_SHOWN]]
    spec = {
        "name": file.stem if NAME.fullmatch(file.stem) else usable_name(file.stem),
        "source": {"path": path, "fields": list(fields) if is_same else fields},
        "prompt": "\n".join(named),
        "endpoint": "chat",
        "sampling": {"max_tokens": 500},
    }
    head, own, *rest = yaml_lines(spec)
    return "\n".join(
        [
            f"# Each record of {found.title} is asked once. The fields stand in braces in the prompt.",
            head,
            "",
            "# The path is relative to this file. Remove fields that you don't need, or rename them:",
            "# `fields: {our_name: its_name}`. To use some records: `where: \"a_field == 'a value'\"`, `limit: 100`.",
            own,
            "",
            "# With attributes, each record is asked with each of their values:",
            "# attributes:",
            "#   level: [easy, hard]",
            "",
            "# An answer belongs to what is sent of its record: fields that no prompt names may change freely.",
            *rest,
            "",
        ]
    )


def _named(text: str, name: str) -> str:
    """The spec under the file's own name, so that its runs don't share a folder with the built-in one's.

    Quoted: `12` and `null` are names of files, and no text in YAML.
    """
    import re

    from herogen_async.specs.spec.check import NAME

    own = name if NAME.fullmatch(name) else "heroes"
    return re.sub(r"^name: \S+", f"name: '{own}'", text, count=1, flags=re.MULTILINE)
