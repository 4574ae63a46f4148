"""Options that are declared once, as the fields of a dataclass: all else that knows of them reads them from there.

```
@dataclass(frozen=True, slots=True)
class Settings:
    rpm: float | None = option(None, POSITIVE, "Request limit per minute.", unit="requests/min")

SETTINGS = options_of(Settings)
```
A command line takes an option's `flag`, `metavar` and `help`; what is typed is made a value by `read`, and a value from
anywhere is checked by `check`, with one sentence for all of them; `as_words` is the way back. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import inf
from typing import Any, TypeVar, cast

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import shown

T = TypeVar("T")
_METADATA = "option"
CAN_NOT_BE = "{name} can't be {value}"
UNKNOWN = "unknown {name} {value}"


@dataclass(frozen=True, slots=True)
class Kind:
    """The values that an option takes.

    `fix` says what to give, and `wrong` is the sentence about any other value; a number that is above zero and not
    between `least` and `most` is told the end that it missed. `holds` says whether a value is one: callers may pass
    anything. `read` makes one of text, and raises ValueError. `parsed_as` is what a command line's own parser makes of
    the text: with str the text is left to `read`. An option that may be given several times has a `write`, the texts
    that give a value; its `read` takes them all, a line each.
    """

    fix: str
    holds: Callable[[Any], bool]
    read: Callable[[str], Any] = str
    parsed_as: type = str
    metavar: str | None = None
    wrong: str = CAN_NOT_BE
    write: Callable[[Any], Sequence[str]] | None = None
    least: float = 0.0
    most: float = inf

    def fix_for(self, value: object) -> str:
        """What to give instead of `value`."""
        if type(value) in (int, float):
            if cast(float, value) > self.most:
                return f"give at most {_written(self.most)}"
            if 0 < cast(float, value) < self.least:
                return f"give at least {_written(self.least)}"
        return self.fix


def _written(end: float) -> str:
    return f"{end:,.10f}".rstrip("0").rstrip(".")


def is_number(value: Any, *, least: float, most: float) -> bool:
    """Whether it is a number from `least` to `most`.

    No bool, which is an int to Python, and neither nan nor infinity, which JSON has no number for.
    """
    return type(value) in (int, float) and least <= value <= most


def numbers(least: float, most: float, *, fix: str = "give a number above zero", metavar: str = "N") -> Kind:
    """Numbers above zero, which is what `fix` says, from `least` to `most`.

    Both ends are far from what anybody means: beyond them a rate, a wait or a sum would overflow somewhere.
    """
    holds = partial(is_number, least=least, most=most)
    return Kind(fix, holds, read_number, float, metavar, least=least, most=most)


def count_to(most: int) -> Kind:
    """Whole numbers from 1 to `most`."""
    return Kind("give a whole number above zero", partial(is_count, most=most), read_count, int, "N", most=most)


def read_number(text: str) -> float:
    """A number as people write it: `1_000` is one to Python alone. Raises ValueError."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def read_count(text: str) -> int:
    """A whole number in digits. Raises ValueError."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def is_count(value: Any, *, most: float = inf) -> bool:
    """Whether it is a whole number from 1 on."""
    return type(value) is int and 1 <= value <= most


MOST_NUMBER = 10**15  # of anything that is counted or sent in a minute: a float still holds each whole number up to it
POSITIVE = numbers(1e-9, MOST_NUMBER)
COUNT = count_to(MOST_NUMBER)
SECONDS = numbers(1e-6, 1e9, fix="give a number of seconds above zero", metavar="SECONDS")  # 31 years
USD = numbers(1e-6, 1e9, fix="give a number of USD above zero", metavar="USD")
ANY_TEXT = Kind("give text", lambda value: isinstance(value, str))
FLAG = Kind("give True or False", lambda value: type(value) is bool, parsed_as=bool)


def one_of(*values: str) -> Kind:
    """One of these words."""
    fix = f"choose {', '.join(values[:-1])} or {values[-1]}"
    return Kind(fix, values.__contains__, metavar="|".join(values), wrong=UNKNOWN)


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `name` is the record's field and the Python keyword, its unit last: `timeout_s`.

    `hint` is the field's type as it is written. With a `default` of None the option may be unset, and `unset` tells
    people what it is then. `live`: it may be changed while the work goes on. `typed` is how a command line has it,
    where that is not its name: `--watch/--no-watch`. `group` is the heading that help has it under. `by_column`: it may
    be given once more for each column that is to have its own, as `--rpm 500 --rpm solution=100`; its value then is a
    mapping of columns to values, with None for all others. A column may also have none, where the option may be unset.
    """

    kind: Kind
    help: str
    unit: str = ""
    live: bool = False
    unset: str = ""
    typed: str = ""
    name: str = ""
    hint: str = ""
    default: Any = None
    group: str = ""
    by_column: bool = False

    @property
    def parameter(self) -> str:
        """The name without a unit at its end: on the command line the metavar says it."""
        return self.name.removesuffix("_s").removesuffix("_usd")

    @property
    def word(self) -> str:
        """The name as people see it."""
        return self.parameter.replace("_", "-")

    @property
    def flag(self) -> str:
        """As it is typed."""
        return self.typed if self.kind.write is not None else f"--{self.word}"

    def texts(self, value: Any) -> Sequence[str]:
        """What is typed to give `value`, one text for each time."""
        if self.kind.write is not None:
            return self.kind.write(value)
        if isinstance(value, Mapping):
            own = [
                f"{name}={text}"
                for name, each in value.items()
                if name
                for text in (("none",) if each is None else self.texts(each))
            ]
            return [*(self.texts(value[None]) if value.get(None) is not None else ()), *own]
        return [format(value, ".15g") if isinstance(value, float) else str(value)]

    @property
    def meaning(self) -> str:
        """The help, and what holds where it is left out."""
        left_out = self.default_text or self.unset
        return f"{self.help} Default: {left_out}." if left_out else self.help

    @property
    def default_text(self) -> str:
        """The default as people read it, empty where it is no value."""
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default or "")

    def read(self, text: str) -> Any:
        """The value that `text` means. Raises InputError when it means none; whether it can work, `check` says."""
        if self.by_column and ("=" in text or "\n" in text):
            return self._by_column(text)
        try:
            return self.kind.read(text.strip())
        except ValueError:
            raise self._refused(text, "") from None

    def _by_column(self, text: str) -> dict[str | None, Any]:
        found: dict[str | None, Any] = {}
        for line in text.splitlines():
            name, equals, value = line.rpartition("=")
            column = name.strip() if equals else None
            if column in found:
                whose = f" for {column}" if column else ""
                raise InputError(f"{self.flag} is given twice{whose}", fix="give it once")
            if column is not None:
                found[column] = self.read_live(value)
                continue
            try:
                found[None] = self.kind.read(value.strip())
            except ValueError:
                raise self._refused(value, "") from None
        return found

    def check(self, value: object, *, unset: str = "") -> None:
        """InputError for a value that can't work; `unset` is how "no value" is written where that is a choice."""
        if not (self.kind.holds(value) or (value is None and self.default is None)):
            raise self._refused(value, unset if self.default is None else "")

    def read_live(self, text: str) -> Any:
        """The checked value of `text` where `none` unsets the option. Raises InputError."""
        if self.default is None and text.strip().lower() == "none":
            return None
        try:
            value = self.kind.read(text.strip())
        except ValueError:
            value = text
        self.check(value, unset="none")
        return value

    def _refused(self, value: object, unset: str) -> InputError:
        also = f", or {unset}" if unset else ""
        wrong = self.kind.wrong.format(name=self.word, value=shown(value))
        return InputError(wrong, fix=f"{self.kind.fix_for(value)}{also}")


# Help's headings: where it is asked, which rows, how fast, how long, for how much, and what becomes of it.
WHERE, ROWS, SPEED, TIME, MONEY, OUTPUT = "Where", "Rows", "How fast", "How long", "Money", "Output"
_GROUPS = {
    **dict.fromkeys(("requests", "requests/min", "requests/day", "tokens/min", "tokens/day"), SPEED),
    **dict.fromkeys(("s", "attempts"), TIME),
    **dict.fromkeys(("USD", "USD per million tokens"), MONEY),
    "rows": ROWS,
}
Options = Mapping[str, Option]  # by name, in the order that help and words have


def option(
    default: T,
    kind: Kind,
    text: str,
    *,
    unit: str = "",
    live: bool = False,
    unset: str = "",
    typed: str = "",
    group: str = "",
    by_column: bool = False,
) -> T:
    """The declaration of an option: a dataclass field with this default; `text` is its help."""
    group = group or _GROUPS.get(unit, "")
    told = Option(kind, text, unit, live, unset, typed, group=group, by_column=by_column)
    return field(default=default, metadata={_METADATA: told})


def options_of(record: type) -> dict[str, Option]:
    """The options that `record`'s fields declare, by name and in their order; other fields are no options."""
    return {
        each.name: replace(each.metadata[_METADATA], name=each.name, hint=str(each.type), default=each.default)
        for each in fields(record)
        if _METADATA in each.metadata
    }


def check_options(options: Options, record: object) -> None:
    """InputError for the first option that `record` holds a value of that can't work."""
    for name, each in options.items():
        each.check(getattr(record, name))


def changed_options(options: Options, record: object) -> dict[str, Any]:
    """The values in `record` that are not the defaults, by name."""
    return {name: value for name, each in options.items() if (value := getattr(record, name)) != each.default}


def as_words(options: Options, values: Mapping[str, Any]) -> list[str]:
    """The command-line words that give `values`, as a shell takes them; None is not given."""
    words = []
    for name, each in options.items():
        if (value := values.get(name)) is not None:
            for text in each.texts(value):
                words += [each.flag, shlex.quote(text)]
    return words
