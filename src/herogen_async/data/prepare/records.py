"""The records between the steps of `prepare`: the table, the notes on it, the fixes for it."""

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
    """Columns of text, all of the same length. `numbers` are the rows' places in the file, from 1."""

    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    numbers: Sequence[int]

    @classmethod
    def of(cls, names: Iterable[str], columns: Iterable[list[str]]) -> Table:
        """A table as read from a file."""
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
        """This table with new cells in one column."""
        place = self.names.index(name)
        return replace(self, columns=(*self.columns[:place], cells, *self.columns[place + 1 :]))

    def only(self, names: tuple[str, ...]) -> Table:
        """These columns, in this order."""
        return replace(self, names=names, columns=tuple(self.column(name) for name in names))

    def without(self, dropped: Iterable[int]) -> Table:
        """This table without the rows at these places (0-based)."""
        gone = set(dropped)
        kept = [place for place in range(len(self)) if place not in gone]
        columns = tuple([cells[place] for place in kept] for cells in self.columns)
        return replace(self, columns=columns, numbers=[self.numbers[place] for place in kept])


@dataclass(frozen=True, slots=True)
class Note:
    """A note to the user. `kind` is FOUND, ADVICE, WARNING or MENDED; `code` names what was mended."""

    kind: str
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A fix by name. `kind` is NECESSARY or RECOMMENDED; `value` is its parameter, if any."""

    kind: str
    action: str
    value: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without `value` if there is none."""
        told = {"kind": self.kind, "action": self.action}
        return told if self.value is None else {**told, "value": self.value}


@dataclass(frozen=True, slots=True)
class Remediation:
    """A validator's findings and its fix, if any. `does` describes the fix, `fix` applies it."""

    notes: tuple[Note, ...] = ()
    action: Action | None = None
    does: str = ""
    fix: Callable[[Table], Table] | None = None


@dataclass(frozen=True, slots=True)
class FileReading:
    """A file as read. `converted` is the format's name if converting it to JSON Lines counts as a fix."""

    table: Table
    format: str
    converted: str | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of `prepare` for a file.

    `actions` are all necessary or offered fixes, in order; `declined` are the rejected ones. `rows` were read,
    `rows_written` are in `outputs`. `prompt_indicator` ends every prompt and `stop` every completion; None if nothing
    does. `outputs` is empty if there was nothing to fix, or writing was declined.
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
