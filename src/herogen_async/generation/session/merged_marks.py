"""What people said of the answers of several runs, as the marks of the run that they become.

A mark is of the very answer, by the checksum of its line, and lines are copied byte for byte: so each mark means in the
new run what it meant. Kept here:
1. Every mark is there, also of an answer that another run's counts before; one that several runs have is there once.
2. They stand in the order in which they were said, for what was said last counts; of two that were said in the same
   moment, that of the run that is taken later. So the order of the arguments changes nothing.
3. What a crash tore off an end was never reported as marked, and is left out; damage before it is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge as in_order
from itertools import accumulate

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, RunFolderError
from herogen_async.generation.run_folder import ASK_THE_OWNER, RunFolder
from herogen_async.generation.run_folder.own_file import own_bytes


def merged_marks(runs: Iterable[RunFolder]) -> list[bytes]:
    """The lines of the new `marks.jsonl`, of runs in the order in which they were begun.

    Raises DamageError, RunFolderError.
    """
    every = in_order(*(_said_when(folder) for folder in runs), key=lambda said: said[0])
    return list(dict.fromkeys(line for _, line in every))


def _said_when(folder: RunFolder) -> Iterator[tuple[str, bytes]]:
    """(when, line) of each mark of a run; where its clock was turned back, not before the one ahead of it."""
    lines = _sound_lines(folder)
    moments = accumulate((str(codec.loads(line).get("at", "")) for line in lines), max)
    return zip(moments, lines, strict=True)


def _sound_lines(folder: RunFolder) -> list[bytes]:
    path = folder.marks
    try:
        data = own_bytes(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    while lines and not codec.is_sealed(lines[-1][:-1]):
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not codec.is_sealed(line[:-1]):
            raise DamageError(
                f"{str(path)!r} is damaged in line {number}",
                fix="take that line out of the file, with an editor: the marks in the other lines are intact",
            )
    return lines
