"""`import`: what other tools have written, as a spec or as a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.new_files import check_new, write_new
from herogen_async.cli.shell import JsonOption, out, print_json, say
from herogen_async.core.errors import InputError

if TYPE_CHECKING:
    from herogen_async.generation.session.import_answers import ImportedRun
    from herogen_async.specs.foreign import TranslatedSpec

_CONFIGS = (".yaml", ".yml")
_MOST_BYTES = 16 << 20  # of a file that may be a config


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        name="import",
        epilog=examples(
            "herogen-async import design.yaml --out reviews.yaml",
            "herogen-async import answers.jsonl --run paid && herogen-async assemble paid --format messages",
            "herogen-async import ~/.cache/curator/0123abcd --run paid && herogen-async resume paid",
            remark="Exit code 2 if nothing came of it. docs/coming-from.md says what is read.",
        ),
    )(import_)


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="A DataDesigner config (.yaml, .json), files of records with prompts and answers, or a folder of "
            "curator's requests and responses.",
        ),
    ],
    spec: Annotated[
        Path | None,
        typer.Option("--out", metavar="SPEC", help="Where to write the spec; of a config FILE.spec.yaml if left out."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="The new run that the answers become; default: FILE's name."),
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="FIELD", help="The field with the prompt.")] = None,
    answer: Annotated[str | None, typer.Option("--answer", metavar="FIELD", help="The field with the answer.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The model that has answered; only its answers.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="KIND", help="How it was asked: chat (default) or completions.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="The server that `resume` asks what is missing.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take over other tools' configs and answers.

    A config becomes a spec, and paid answers become the done rows of a run. Nothing is sent.
    """
    if spec is not None:
        check_new(spec)  # before the run is made
    config = _config_in(files)
    if config is not None:
        of_rows = {"--run": run, "--prompt": prompt, "--answer": answer, "--model": model, "--endpoint": endpoint}
        for option, value in {**of_rows, "--base-url": base_url}.items():
            if value is not None:
                raise InputError(f"{option} is about answers, and {str(files[0])!r} is a config", fix="remove it")
        _import_config(files[0], *config, target=spec, json=json)
        return
    from herogen_async.generation.session.import_answers import import_answers
    from herogen_async.specs.foreign import FieldNames
    from herogen_async.specs.spec.written import yaml_lines

    made = import_answers(
        files, run=run, endpoint=endpoint, model=model, base_url=base_url, names=FieldNames(prompt, answer)
    )
    if spec is not None:
        from herogen_async.core.codec import dumps_pretty
        from herogen_async.specs.spec.loader import MAX_YAML_BYTES

        plain = made.spec.as_dict()
        head = f"# The spec of the run {made.argument}: what it asks was answered elsewhere."
        text = "\n".join([head, *yaml_lines(plain), ""])
        if spec.suffix == ".json":
            text = dumps_pretty(plain).decode()
        elif len(text.encode()) > MAX_YAML_BYTES:
            say(f"warning: {spec} is more YAML than `run` reads; write it with --out NAME.json.")
        write_new({spec: text})
    _tell_answers(made, spec, json=json)


def _tell_answers(made: ImportedRun, spec: Path | None, *, json: bool) -> None:
    from herogen_async.core.units import counted

    for reason, count in made.left_out.items():
        say(f"Left out: {counted(count, 'record')}: {reason}.")
    if json:
        print_json(
            {
                "run": made.run,
                "spec": None if spec is None else str(spec),
                "model": made.spec.model,
                "rows": made.rows,
                "total": made.total,
                "left_out": made.left_out,
                "without_finish_reason": made.unended,
            }
        )
    else:
        out(f"{made.rows:,} of {made.total:,} rows -> {made.run}")
    if made.rows < made.total:
        missing = counted(made.total - made.rows, "row")
        most = made.spec.repeats
        why = "" if most == 1 else f", since one prompt has {most:,} answers and others have fewer"
        say(f"{missing} without an answer{why}: herogen-async resume {made.argument} requests them.")
    if made.formed:
        say(
            f"warning: {counted(made.formed, 'request')} asked for a response_format, and this run's spec doesn't; "
            "what `resume` requests may have another form."
        )
    if made.unended:
        say(f"{counted(made.unended, 'answer')} without a finish reason: `assemble --truncated keep` takes them.")
    keep = " --truncated keep" if made.unended else ""
    say(f"Next: herogen-async assemble {made.argument} --format messages{keep}")


def _config_in(files: list[Path]) -> tuple[dict[str, Any], Any] | None:
    """The data of a config and where it stands; None where the files hold answers."""
    first = files[0]
    suffix = first.suffix.lower()
    if suffix not in (*_CONFIGS, ".json") or not first.is_file():
        return None
    from herogen_async.core import codec
    from herogen_async.specs.foreign import is_datadesigner

    if suffix == ".json":
        if first.stat().st_size > _MOST_BYTES:
            return None
        try:
            is_config = is_datadesigner(codec.loads(first.read_bytes()))
        except ValueError:
            return None  # the reader of records says what is wrong
        if not is_config:
            return None
    from herogen_async.specs.spec import loader
    from herogen_async.specs.spec.problem import InvalidSpecError

    data, source = loader.load(first)
    if not is_datadesigner(data):
        raise InputError(
            f"{str(first)!r} is no config of DataDesigner: it has no list of `columns`",
            fix="give a file that `write_config` wrote; a spec is run with: herogen-async run",
        )
    if source.problems:
        raise InvalidSpecError(source.problems, source)
    if len(files) > 1:
        raise InputError(f"{str(first)!r} is a config, and other files are given", fix="give the config alone")
    return data, source


def _import_config(file: Path, data: dict[str, Any], source: Any, *, target: Path | None, json: bool) -> None:
    from herogen_async.core.codec import dumps_pretty
    from herogen_async.core.errors import SpecError
    from herogen_async.specs.foreign import translated
    from herogen_async.specs.spec import Spec
    from herogen_async.specs.spec.check import NAME

    target = Path(f"{file.stem}.spec.yaml") if target is None else target
    stem = target.name.partition(".")[0]
    made = translated(data, name=stem if NAME.fullmatch(stem) else "imported")
    filled = {name: values or ["x"] for name, values in made.spec.get("attributes", {}).items()}
    fields = {name: ["x"] for name in made.spec.get("source", {}).get("fields", ())}  # the file need not be here yet
    plain = {key: value for key, value in made.spec.items() if key != "source"}
    if fields and "sample" in (grid := made.spec.get("grid", {})):
        plain["grid"] = {**grid, "sample": 1}
    try:
        Spec(**{**plain, "attributes": {**fields, **filled}})
    except SpecError as error:
        raise InputError(f"what {str(file)!r} comes to is no spec: {error.message}", fix=error.fix) from None
    missing = None
    if "source" in made.spec:
        missing = _move_source(made.spec["source"], file, target)
    lines = {id(note): source.line(note.path) for note in made.notes}
    write_new({target: dumps_pretty(made.spec).decode() if target.suffix == ".json" else _text(file, made)})
    for note in made.notes:
        say(f"{file}:{lines[id(note)]}: {note}")
    if json:
        notes = [
            {"place": note.place, "reason": note.reason, "nearest": note.nearest or None, "line": lines[id(note)]}
            for note in made.notes
        ]
        print_json({"spec": str(target), "not_mapped": notes, "to_fill_in": list(made.to_fill_in)})
    else:
        out(str(target))
    if missing is not None:
        say(f"warning: there is no {missing!r}; `path` of the spec's source says where its records are.")
    if made.to_fill_in:
        say(f"Fill in before you run it: the values of {', '.join(made.to_fill_in)}.")
    say(f"Next: herogen-async plan {shlex.quote(str(target))} --show 1")


def _move_source(source: dict[str, Any], config: Path, target: Path) -> str | None:
    """Make the path of a source one from the spec's folder on; the path as it was, where nothing is there.

    In a config it is one from the folder that DataDesigner runs in: here, or that of the config.
    """
    import os
    from glob import glob

    path = source["path"]
    if path.startswith("hf:"):
        return None
    places = [Path.cwd() / Path(path).expanduser(), config.parent.absolute() / path]
    found = next((each for each in places if each.exists() or glob(str(each), recursive=True)), None)  # noqa: PTH207
    if not Path(path).is_absolute():
        source["path"] = os.path.relpath(found or places[0], target.parent.absolute())
    return None if found else path


def _text(file: Path, made: TranslatedSpec) -> str:
    from herogen_async.specs.spec.written import yaml_lines

    head = [f"# From {file.name}, a config of DataDesigner. What is different:"] if made.notes else []
    notes = ["# - " + " ".join(str(note).split()) for note in made.notes]
    lines = []
    for line in yaml_lines(made.spec):
        empty = line.startswith("  ") and line.endswith(": []") and line.strip()[:-4] in made.to_fill_in
        lines.append(f"{line}  # fill in" if empty else line)
    return "\n".join([*head, *notes, *lines, ""])
