"""The options that a run's settings are given by: one table, for every command that takes them."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal, get_type_hints

import typer

from herogen_async.core.errors import InputError


def concurrency_from(text: str) -> int | Literal["auto"]:
    """`auto`, or a number. Raises InputError."""
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit():
        return int(text)
    raise InputError(f"{text!r} is no concurrency", fix="give a number above zero, or auto")


def window_from(text: str) -> float:
    """`1s`, `10` or `0.5s` in seconds. Raises InputError."""
    try:
        return float(text.strip().removesuffix("s"))
    except ValueError:
        raise InputError(f"{text!r} is no window", fix="give seconds, e.g. 1s or 10s") from None


@dataclass(frozen=True, slots=True)
class _Option:
    """`setting` is the field of `journal.Settings`; `default` is what help shows where no run says otherwise."""

    setting: str
    help: str
    type: type = float
    default: str | None = None
    metavar: str | None = None
    read: Callable[[Any], Any] = lambda value: value

    @property
    def parameter(self) -> str:
        """The option's name: its unit is said in the help, not in the flag."""
        return self.setting.removesuffix("_s").removesuffix("_usd")


OPTIONS = (
    _Option(
        "concurrency",
        "How many requests are in flight at most; `auto` finds it out.",
        str,
        "16",
        "N|auto",
        concurrency_from,
    ),
    _Option("rpm", "Requests a minute that are permitted."),
    _Option("tpm", "Tokens a minute that are permitted."),
    _Option("input_tpm", "Prompt tokens a minute that are permitted."),
    _Option("output_tpm", "Answer tokens a minute that are permitted."),
    _Option("rpd", "Requests a day that are permitted."),
    _Option("tpd", "Tokens a day that are permitted."),
    _Option(
        "window_s",
        "The window that the server counts in, e.g. 1s: never more than its share.",
        str,
        metavar="SECONDS",
        read=window_from,
    ),
    _Option("limit", "Only the first N tasks of the grid.", int),
    _Option("timeout_s", "Seconds that one request may take.", default="600"),
    _Option(
        "min_timeout_s",
        "A request is cut off after 4 times the latency of the slowest 1 %, but never before so many seconds.",
        default="30",
    ),
    _Option(
        "durability",
        "What an answer survives once it counts as done: `process` the end of this program, `power` any power cut, "
        "`periodic` a power cut too, but for the last 256 answers or 50 ms.",
        str,
        "periodic",
        "process|periodic|power",
    ),
    _Option("row_timeout_s", "Seconds that one row may take with all its attempts; then it is given up."),
    _Option("run_timeout_s", "Seconds after which nothing more is sent: the run parks and can be resumed."),
    _Option("budget_usd", "What the run may cost at most, over all its sessions; then it parks.", metavar="USD"),
    _Option("price", "USD for a million tokens of prompt and of answer, e.g. 0.4,1.6.", str, metavar="IN,OUT"),
)


def takes_settings(*, of_a_run: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose `**settings` are given by OPTIONS, under the names of `journal.Settings`; only those given.

    `of_a_run`: what is not given stays as the run has it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]

        @wraps(command)
        def wrapped(**given: Any) -> None:
            settings = {
                option.setting: option.read(value)
                for option in OPTIONS
                if (value := given.pop(option.parameter)) is not None
            }
            command(**given, **settings)

        parameters = [*own[:-1], *(_parameter(option, of_a_run=of_a_run) for option in OPTIONS), own[-1]]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """The options that give `settings`, as a shell takes them."""
    words = []
    for option in OPTIONS:
        if (value := settings.get(option.setting)) is not None:
            shown = format(value, ".15g") if isinstance(value, float) else str(value)
            words += [f"--{option.parameter.replace('_', '-')}", shlex.quote(shown)]
    return words


def _parameter(option: _Option, *, of_a_run: bool) -> inspect.Parameter:
    has_default = option.default is not None or option.setting == "limit"
    shown = "the run's" if of_a_run and has_default else option.default
    told = typer.Option(help=option.help, metavar=option.metavar, show_default=shown or False)
    annotation: Any = Annotated[option.type | None, told]
    return inspect.Parameter(
        option.parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation
    )
