"""One mistake in a spec, and one error for several mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import MAX_SHOWN, shown_key

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `path`, and how to fix it. `line` (1-based) is set where the path can't give it."""

    path: KeyPath
    message: str
    fix: str
    line: int | None = None

    def below(self, parent: str) -> Problem:
        """The same problem, with its path relative to the mapping that holds `parent`."""
        return Problem((parent, *self.path), self.message, self.fix, self.line)


class Place(Protocol):
    """Where a spec came from."""

    @property
    def file(self) -> str | None:
        """The file name as the user gave it."""
        ...

    def line(self, path: KeyPath) -> int | None:
        """The 1-based line of what is at `path`, or of its nearest parent in the file."""
        ...


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A spec built in Python: no file and no lines."""

    file: str | None = None

    def line(self, path: KeyPath) -> int | None:  # noqa: ARG002 - the protocol's shape
        return None


class InvalidSpecError(SpecError):
    """A SpecError that keeps its problems as records."""

    def __init__(self, problems: Iterable[Problem], place: Place) -> None:
        located = [(problem.line or place.line(problem.path), problem) for problem in problems]
        located.sort(key=lambda pair: pair[0] or 0)
        self.problems = tuple(problem for _, problem in located)
        line, first = located[0]
        if len(located) == 1:
            super().__init__(_sentence(first), file=place.file, line=line, fix=first.fix)
            return
        rest = [_located_sentence(place.file, *pair) for pair in located[1:MAX_SHOWN]]
        many = len(located) > MAX_SHOWN
        if many:
            rest.append("and more")
        message = "\n".join([f"{_sentence(first)} ({first.fix})", *rest])
        super().__init__(
            message, file=place.file, line=line, fix=f"correct {'these' if many else f'these {len(located)}'} mistakes"
        )


def _sentence(problem: Problem) -> str:
    return f"{dotted(problem.path)}: {problem.message}" if problem.path else problem.message


def _located_sentence(file: str | None, line: int | None, problem: Problem) -> str:
    where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
    return f"{where}{_sentence(problem)} ({problem.fix})"


def dotted(path: KeyPath) -> str:
    """`("attributes", "age", 2)` as `attributes.age[2]`; list positions are 0-based, as in the Python API."""
    words = [f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}" for part in path]
    return "".join(words).removeprefix(".")
