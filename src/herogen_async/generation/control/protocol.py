"""What is said over the socket, and how much of it: a line of JSON each way.

```
{"v": 1, "do": "set", "settings": {"rpm": 500}}
{"v": 1, "do": "set", "by_column": {"solution": {"rpm": 100}}}
{"v": 1, "ok": true, "result": {...}}
{"v": 1, "ok": false, "error": "...", "fix": "..."}
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest, shown
from herogen_async.generation.settings import RUN_SETTINGS

VERSION = 1
MOST_COMMAND = 4 << 10  # bytes of a command with its newline: the longest that means anything has 200
MOST_REPLY = 64 << 10  # a reply names limits and states, and no rows
ACTIONS = ("pause", "resume", "drain", "set", "status")
SETTABLE = {name: each for name, each in RUN_SETTINGS.items() if each.live}

Value = float | Literal["auto"] | None


@dataclass(frozen=True, slots=True)
class Command:
    """`do` is one of ACTIONS; `settings` are the new values of a `set`, by their names in SETTABLE.

    `by_column` are those that a column has of its own, by its name.
    """

    do: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    by_column: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def line(self) -> bytes:
        """As it is sent. Raises InputError for a value that can't be set: JSON would send nan as null, no limit."""
        for settings in (self.settings, *self.by_column.values()):
            for name, value in settings.items():
                if name in SETTABLE:
                    SETTABLE[name].check(value, unset="None")
        own = {"by_column": {column: dict(each) for column, each in self.by_column.items()}} if self.by_column else {}
        return codec.dumps({"v": VERSION, "do": self.do, "settings": dict(self.settings), **own}) + b"\n"


def command_from(line: bytes) -> Command:
    """The command in `line`. Raises InputError for everything else."""
    said = _object(line)
    do, settings, own = said.get("do"), said.get("settings", {}), said.get("by_column", {})
    if not isinstance(do, str) or do not in ACTIONS:
        raise InputError(f"unknown action {shown(do)}", fix=nearest(str(do), ACTIONS))
    is_shaped = (
        isinstance(settings, dict) and isinstance(own, dict) and all(isinstance(each, dict) for each in own.values())
    )
    if not is_shaped or bool(settings or own) != (do == "set") or not all(own.values()):
        message = f"action {do!r} can't take the settings {shown(own if is_shaped and own else settings)}"
        raise InputError(message, fix="give settings with 'set' only, at least one")
    for each in (settings, *own.values()):
        _check(each)
    return Command(do, settings, own)


def _check(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if name not in SETTABLE:
            raise InputError(f"{shown(name)} can't be changed during a run", fix=nearest(name, tuple(SETTABLE)))
        SETTABLE[name].check(value, unset="null")


def success(result: Mapping[str, Any]) -> bytes:
    """The reply to a command that was carried out."""
    return codec.dumps({"v": VERSION, "ok": True, "result": dict(result)}) + b"\n"


def failure(message: str, fix: str | None = None) -> bytes:
    """The reply to one that was not."""
    return codec.dumps({"v": VERSION, "ok": False, "error": message, "fix": fix}) + b"\n"


def result_of(reply: bytes) -> dict[str, Any]:
    """What a reply tells. Raises InputError with the run's own words when it refused, or when it is no reply."""
    said = _object(reply)
    if said.get("ok") is True and isinstance(said.get("result"), dict):
        return cast(dict[str, Any], said["result"])
    raise InputError(str(said.get("error")), fix=said.get("fix"))


def _object(line: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(line)  # strict: NaN read as null would take a limit away
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise InputError(f"{shown(line)} is not a JSON object on one line")
    if said.get("v") != VERSION:
        raise InputError(
            f"the control protocol's version is {VERSION}, not {shown(said.get('v'))}",
            fix="use the version of herogen-async that started the run",
        )
    return said
