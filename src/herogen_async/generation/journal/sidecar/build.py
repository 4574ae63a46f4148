"""A sidecar from the lines of its segment: in the background, so every key is computed and every doubt counts."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from herogen_async.core import codec
from herogen_async.generation.journal.read.endings import Ended, Endings
from herogen_async.generation.journal.read.line_blocks import are_sealed, blocks_of
from herogen_async.generation.journal.read.recovered import Recovered
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.journal.record import (
    INDEX_AT,
    KEY_AT,
    KEY_END,
    NEAR_COPY_LEAD,
    SKIPPED_LEAD,
    WRONG_FORM_LEAD,
)
from herogen_async.generation.journal.sidecar.sidecar import SEEN_LINES, Seen, Sidecar, plan_prints, seen_at
from herogen_async.generation.journal.words import MOST_WORDS
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import IndexSet, Plan


def sidecar_from_lines(segment: Path, plan: Plan) -> Sidecar | None:
    """That of a segment which was written under `plan`; None where a line is damaged, torn, or none is there.

    Raises OSError, DamageError when it can't be read.
    """
    with own_file(segment) as file:
        size, lines, offset, last = file.seek(0, 2), _Lines(plan), 0, 0
        file.seek(0)
        for block in blocks_of(file):
            if not lines.take(block):
                return None
            last = offset + sum(map(len, block[:-1])) + len(block) - 1
            offset = last + len(block[-1]) + 1
        if not size or offset != size:  # its last line lacks its end, or it grows
            return None
        seen = (*_seen(file, size), seen_at(file, last, size - last))
    return lines.sidecar(size, seen)


def _seen(file: BinaryIO, size: int) -> list[Seen]:
    found = []
    for place in range(SEEN_LINES + 1):
        offset = size * place // (SEEN_LINES + 1)
        if offset:
            # The line that begins there or behind it; none does so behind the last one.
            file.seek(offset - 1)
            offset += len(file.readline()) - 1
        file.seek(offset)
        found.append(seen_at(file, offset, len(file.readline())))
    return found


class _Lines:
    """The lines of a segment, block by block."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._is_usual = True
        self._calls = IndexSet()
        self._skipped: dict[str, IndexSet] = {}
        self._endings: dict[int, Endings] = {}
        self._ended: dict[int, Recovered] = {}

    def take(self, block: list[bytes]) -> bool:
        """Take more lines in; False where one is damaged."""
        if not self._is_usual:
            return True
        if not are_sealed(block):
            self._is_usual = False
            return all(map(codec.is_sealed, block))  # of another writer, say: sound all the same
        self._is_usual = self._take_usual(block)
        return True

    def sidecar(self, size: int, seen: tuple[Seen, ...]) -> Sidecar:
        """What was taken in."""
        ended = {}
        for place, endings in self._endings.items():
            endings.count()
            found = self._ended[place]
            # So many different words that some may have been counted together: which, the whole journal decides.
            if max(len(found.usage), len(found.finish_reasons)) >= MOST_WORDS - 1:
                self._is_usual = False
            ended[place] = Ended(found.column_answers[""], dict(found.usage), dict(found.finish_reasons))
        if not self._is_usual:
            return Sidecar(size, plan_prints(self._plan), seen, False, IndexSet(), {}, {})
        return Sidecar(size, plan_prints(self._plan), seen, True, self._calls, self._skipped, ended)

    def _take_usual(self, block: list[bytes]) -> bool:
        plan, calls = self._plan, self._plan.calls_a_row
        try:
            indices = [int(line[INDEX_AT : line.index(b",", INDEX_AT)]) for line in block]
        except ValueError:
            return False
        if min(indices) < 0 or max(indices) >= plan.size:
            return False
        by_place: dict[int, list[bytes]] = {}
        for line, index in zip(block, indices, strict=True):
            if line[KEY_AT:KEY_END] != plan.key(index).encode() or WRONG_FORM_LEAD in line or NEAR_COPY_LEAD in line:
                return False
            if SKIPPED_LEAD in line and "skipped" in (record := record_of(line) or {}):
                self._skipped.setdefault(record["skipped"], IndexSet()).add(index)
            place = index % calls
            # Of a call that stands in front of one that it builds on, only the lines tell which came first.
            if any(index - place + child in self._calls for child in plan.shape.children[place]):
                return False
            if not self._calls.add(index):
                return False
            by_place.setdefault(place, []).append(line)
        for place, lines in by_place.items():
            if place not in self._endings:
                self._ended[place] = Recovered()
                self._endings[place] = Endings(self._ended[place])
            self._endings[place].note(lines, counts=True, column="")
        return True
