"""`ctl`: control a running run from another terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, RunArgument, out, print_json, say
from herogen_async.core.errors import InputError
from herogen_async.generation.settings import RUN_SETTINGS

if TYPE_CHECKING:
    from herogen_async.generation.control import Command

_LIVE = [each for each in RUN_SETTINGS.values() if each.live]


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async ctl superhero status",
            "herogen-async ctl superhero set concurrency=32 rpm=500",
            "herogen-async ctl tutor set rpm=solution=100",
            "herogen-async ctl superhero drain",
        )
    )(ctl)


def ctl(
    run: RunArgument,
    do: Annotated[
        str,
        typer.Argument(
            metavar="pause|resume|drain|set|status",
            help="`pause` stops sending until `resume`; `drain` ends the run once the calls in flight are answered; "
            "`set` changes settings; `status` changes nothing.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help=f"With `set`: {', '.join(f'{each.name}=N' for each in _LIVE)}; rpm=none removes the limit; "
            "rpm=COLUMN=N sets one column's limit.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Control a running run from another terminal. Settings also apply when it is resumed."""
    from herogen_async.generation.control import ask
    from herogen_async.generation.run_folder import existing_run

    command = command_of_words(do, settings or [])
    folder = existing_run(run)
    status = ask(folder, command)
    if json:
        print_json(status)
        return
    for line in status_lines(status):
        out(line)
    say(f"Next: {_next_step(status, folder.argument)}")


def command_of_words(do: str, settings: list[str]) -> Command:
    """What was typed. Raises InputError."""
    from herogen_async.core.likeness import nearest
    from herogen_async.generation.control import ACTIONS, Command

    if do not in ACTIONS:
        raise InputError(f"unknown action {do!r}", fix=nearest(do, ACTIONS))
    if do == "set" and not settings:
        raise InputError("`set` needs a setting", fix="e.g. set concurrency=32 rpm=500")
    if do != "set" and settings:
        raise InputError(
            f"{do} takes no argument {settings[0]!r}", fix="change settings with set, e.g. set concurrency=32"
        )
    values: dict[str | None, dict[str, Any]] = {}  # by column; None: for all without one of their own
    for column, name, value in map(_setting, settings):
        held = values.setdefault(column, {})
        if name in held:
            whose = f" for {column}" if column else ""
            raise InputError(f"{name} is given twice{whose}", fix="remove one of them")
        held[name] = value
    return Command(do, values.pop(None, {}), {name: each for name, each in values.items() if name is not None})


def _setting(text: str) -> tuple[str | None, str, Any]:
    from herogen_async.core.likeness import nearest
    from herogen_async.generation.control import SETTABLE

    name, equals, value = text.partition("=")
    name = name.strip().lower().replace("-", "_")
    live = {each.parameter: each for each in SETTABLE.values()}
    if name not in live:
        raise InputError(f"{name!r} can't be set while a run is running", fix=nearest(name, tuple(live)))
    if not equals:
        raise InputError(f"{text!r} has no value", fix=f"{name}=VALUE")
    column, own, value = value.rpartition("=")
    return column.strip() if own else None, live[name].name, live[name].read_live(value)


def status_lines(status: dict[str, Any]) -> list[str]:
    """What a run replied, in words."""
    state = {"not asking": "starting or ending; no calls are sent"}.get(status["state"], status["state"])
    head = f"{status['run']}: {state}"
    if "done" in status:
        head += f", {status['done']:,} of {status['total']:,} done, {status['in_flight']:,} in flight"
        if status["failed"]:
            head += f", {status['failed']:,} failed"
    own = [f"{column}: {_all_shown(each)}" for column, each in status.get("by_column", {}).items()]
    return [head + ".", f"Settings: {'; '.join([_all_shown(status), *own])}."]


def _all_shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(_shown(each.word, settings[each.name]) for each in _LIVE if each.name in settings)


def _shown(name: str, value: float | str | None) -> str:
    if value is None:
        return f"no {name} limit"
    return f"{name} {value if isinstance(value, str) else format(value, ',.10g')}"


def _next_step(status: dict[str, Any], name: str) -> str:
    if status["state"] == "paused":
        return f"herogen-async ctl {name} resume"
    if status["state"] == "draining":
        return f"herogen-async resume {name} (once it has ended)"
    return f"herogen-async status {name}"
