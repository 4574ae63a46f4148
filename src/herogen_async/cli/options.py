"""How options get to the command line: those of a table, and those that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from herogen_async.core.options import ANY_TEXT, COUNT, POSITIVE, Option, Options
from herogen_async.generation.settings import RUN_SETTINGS, SERVER_OPTIONS

SpecArgument = Annotated[
    Path | None, typer.Argument(metavar="SPEC", help="A spec file; default: the built-in superhero spec.")
]

SERVERS_HELP = (
    "OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1; on this machine it needs no key. Several servers of one "
    "model: repeat it."
)
# Of the simulated server: its own room checks the values, and is not imported for help.
_SIMULATED = {
    "enforce": Option(
        replace(ANY_TEXT, metavar="KIND"),
        "How the server limits: bucket-minute, bucket-second, window-second, sliding-minute, window-minute.",
    ),
    "headers": Option(
        replace(ANY_TEXT, metavar="DIALECT"), "Rate-limit headers: openai, azure, anthropic, none, silent."
    ),
    "latency_ms": Option(replace(POSITIVE, metavar="MS"), "Latency of an answer in milliseconds."),
    "slots": Option(COUNT, "Requests the server handles at once."),
}
_SHARED = {**SERVER_OPTIONS, **RUN_SETTINGS, **{name: replace(each, name=name) for name, each in _SIMULATED.items()}}


def shared(name: str, default: str | None = None, **shown: Any) -> Any:
    """The declaration of an option that other commands take, too; `default` tells what holds without it.

    `shown` is for `typer.Option`.
    """
    return declared(_SHARED[name], **{"show_default": default or False, **shown})


def declared(option: Option, **shown: Any) -> Any:
    """What typer knows of an option; `shown` overrules."""
    known = {"help": option.help, "metavar": option.kind.metavar, "rich_help_panel": option.group or None}
    return typer.Option(option.typed or option.flag, **{**known, **shown})


def takes_options(
    table: Options, *, show_defaults: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose `**options` are given by the options of `table`: their names and values, only those given.

    They stand before the command's last own option in its help.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]

        @wraps(command)
        def wrapped(*arguments: Any, **given: Any) -> None:
            options = {
                option.name: option.read(value) if isinstance(value, str) else value
                for option in table.values()
                if (value := _one_text(given.pop(option.parameter, None))) is not None
            }
            command(*arguments, **given, **options)

        parameters = [*own[:-1], *(_parameter(option, show_defaults) for option in table.values()), own[-1]]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def takes_settings(*, of_a_run: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose `**settings` are those of RUN_SETTINGS; `of_a_run`: what is not given stays as the run has it."""
    return takes_options(RUN_SETTINGS, show_defaults=not of_a_run)


def _one_text(value: Any) -> Any:
    """What was typed for an option; the texts of one that was given several times are lines."""
    if isinstance(value, list):
        return "\n".join(value) if value else None
    return value


def _parameter(option: Option, show_default: bool) -> inspect.Parameter:
    shown = (show_default and option.default_text) or option.unset or False
    is_repeatable = option.kind.write is not None or option.by_column
    parsed_as: Any = list[str] if is_repeatable else option.kind.parsed_as
    annotation: Any = Annotated[parsed_as | None, declared(option, show_default=shown)]
    return inspect.Parameter(
        option.parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation
    )
