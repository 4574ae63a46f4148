"""What passes between the steps of `prepare`: the table, what is said of it, what is to be done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from herogen_async.data.dataset.recipe import Recipe

PROMPT = "prompt"
COMPLETION = "completion"

NECESSARY = "necessary"
RECOMMENDED = "recommended"

FOUND, ADVICE, WARNING, MENDED = "found", "advice", "warning", "mended"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of text, all of one length. `numbers` are the rows' places in the file, the first is 1."""

    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    numbers: Sequence[int]

    @classmethod
    def of(cls, names: Iterable[str], columns: Iterable[list[str]]) -> Table:
        """A table as it was read."""
        kept = tuple(columns)
        return cls(tuple(names), kept, range(1, len(kept[0]) + 1 if kept else 1))

    def __len__(self) -> int:
        return len(self.numbers)

    def column(self, name: str) -> list[str]:
        """The cells of the column `name`."""
        return self.columns[self.names.index(name)]

    @property
    def prompts(self) -> list[str]:
        return self.column(PROMPT)

    @property
    def completions(self) -> list[str]:
        return self.column(COMPLETION)

    def with_column(self, name: str, cells: list[str]) -> Table:
        """This table with other cells in one column."""
        place = self.names.index(name)
        return replace(self, columns=(*self.columns[:place], cells, *self.columns[place + 1 :]))

    def only(self, names: tuple[str, ...]) -> Table:
        """These columns, in this order."""
        return replace(self, names=names, columns=tuple(self.column(name) for name in names))

    def without(self, dropped: Iterable[int]) -> Table:
        """This table without the rows at these places, which count from 0."""
        gone = set(dropped)
        kept = [place for place in range(len(self)) if place not in gone]
        columns = tuple([cells[place] for place in kept] for cells in self.columns)
        return replace(self, columns=columns, numbers=[self.numbers[place] for place in kept])


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to be said. `kind` is FOUND, ADVICE, WARNING or MENDED; `code` names what was mended."""

    kind: str
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A fix, by its name. `kind` is NECESSARY or RECOMMENDED; `value` what it is about, if anything."""

    kind: str
    action: str
    value: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data; without `value` where there is none."""
        told = {"kind": self.kind, "action": self.action}
        return told if self.value is None else {**told, "value": self.value}


@dataclass(frozen=True, slots=True)
class Remediation:
    """What a validator found, and the fix for it when there is one. `does` tells the fix to a person, `fix` does it."""

    notes: tuple[Note, ...] = ()
    action: Action | None = None
    does: str = ""
    fix: Callable[[Table], Table] | None = None


@dataclass(frozen=True, slots=True)
class FileReading:
    """A file as it was read. `converted` is the format's name where turning it into JSON lines is a fix of its own."""

    table: Table
    format: str
    converted: str | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` found in a file and made of it.

    `actions` are all fixes that were necessary or offered, in order, and `declined` those of them that were not
    wanted. `rows` were read, `rows_written` are in `outputs`. `prompt_indicator` ends every prompt and `stop` every
    completion, None where nothing does. `outputs` is empty where nothing had to be fixed, or nothing was to be written.
    """

    file: Path
    format: str
    rows: int
    task: str
    actions: tuple[Action, ...]
    declined: tuple[str, ...]
    prompt_indicator: str | None
    stop: str | None
    outputs: tuple[Path, ...]
    rows_written: int
    notes: tuple[Note, ...]
    recipe: Recipe = field(repr=False)
    nothing_to_fix: bool = False

    def told(self, kind: str) -> list[str]:
        """The texts of the notes of one kind."""
        return [note.text for note in self.notes if note.kind == kind]
