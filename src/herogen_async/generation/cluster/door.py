"""The door of the journal: each line is looked at before it is written, whoever brings it. Pure.

Kept here:
1. A call gets one line that counts, be it brought by whom it was lent to, by one that was thought dead, or twice.
2. A line of another plan, or one that was damaged on its way, is not let in.
3. An answer that was made from other answers is let in only where those are the ones that count (`from`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.journal.read.line_blocks import are_sealed
from herogen_async.generation.journal.record import (
    CRC,
    INDEX_AT,
    KEY_AT,
    KEY_END,
    NEAR_COPY,
    NEAR_COPY_LEAD,
    WRONG_FORM,
    WRONG_FORM_LEAD,
    seal_of,
)
from herogen_async.specs.plan import IndexSet, Plan


@dataclass(slots=True)
class Passed:
    """What was let in: `lines`, and of each its call's `index`, or ~index of an answer that is asked again.

    `ends` are the places among them of those that a row is done with. `paid_twice` are second answers, or answers that
    were made from such ones; `foreign` fit no call of the plan or no checksum. `again` are the rows of calls that
    somebody takes for answered and that are not.
    """

    lines: list[bytes] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    paid_twice: int = 0
    foreign: int = 0
    again: list[int] = field(default_factory=list)


class Door:
    """Of one session. `settled` are the calls of which nothing is expected, `failed` those of them that have no answer
    and get none; both grow with what is let in. `earlier` reads the line of a call that an earlier session has settled.
    """

    def __init__(
        self, plan: Plan, settled: IndexSet, failed: IndexSet, earlier: Callable[[int], Mapping[str, Any]]
    ) -> None:
        self.settled = settled
        self.failed = failed
        self._plan = plan
        self._width = plan.calls_a_row
        self._earlier = earlier
        self._is_plain = not plan.has_columns
        self._builds_on = [bool(call.parents) or call.condition is not None for call in plan.shape.calls]
        self._leads_on = [bool(children) for children in plan.shape.children]
        self._is_checked = [call.column.form is not None for call in plan.shape.calls]
        # Of rows that are open: the lines of this session that others are made from, and answers that are asked again.
        self._lines: dict[int, dict[int, bytes]] = {}
        self.misfits: dict[int, bytes] = {}

    @property
    def open_rows(self) -> int:
        """How many rows are held whose calls build on each other."""
        return len(self._lines)

    # -- rows --------------------------------------------------------------------------------------------------

    def rows(self, lines: list[bytes]) -> Passed:
        """Let in what counts of `lines`, each with its newline."""
        passed = Passed()
        is_sound = are_sealed(lines, b"\n")
        plan, settled, is_plain = self._plan, self.settled, self._is_plain
        size, key_of = plan.size, plan.key
        for line in lines:
            if not is_sound and not are_sealed([line], b"\n"):
                passed.foreign += 1
                continue
            digits = line[INDEX_AT : line.find(b",", INDEX_AT)]
            index = int(digits) if digits.isdigit() else size
            if index >= size or key_of(index).encode() != line[KEY_AT:KEY_END]:
                passed.foreign += 1
            elif is_plain:
                if settled.add(index):
                    passed.lines.append(line)
                    passed.indices.append(index)
                else:
                    passed.paid_twice += 1
            else:
                self._row_of_columns(index, line, passed)
        return passed

    def _row_of_columns(self, index: int, line: bytes, passed: Passed) -> None:
        row, place = divmod(index, self._width)
        if index in self.settled:
            passed.paid_twice += 1
            return
        said: dict[str, Any] = {}
        if self._builds_on[place] or (self._is_checked[place] and _may_be_asked_again(line)):
            said = codec.loads_rounded(line)
        made_from = said.get("from")
        if made_from and not self._counting(row).issuperset(made_from):
            passed.paid_twice += 1
            passed.again.append(row)
            return
        passed.lines.append(line)
        if _is_asked_again(said):
            passed.indices.append(~index)
            self.misfits[index] = line
            return
        passed.indices.append(index)
        self._settle(index)
        if self._leads_on[place]:
            self._lines.setdefault(row, {})[index] = line
        if self._close(row) and not self._has_failed(row):
            passed.ends.append(len(passed.lines) - 1)

    def _counting(self, row: int) -> set[str]:
        """The checksums of the lines of `row` that count, as far as anything is made from them."""
        first = row * self._width
        held = self._lines.get(row, {})
        found = {seal_of(line) for line in held.values()}
        for place, leads_on in enumerate(self._leads_on):
            index = first + place
            if leads_on and index in self.settled and index not in held:
                found.add(str(self._earlier(index).get(CRC)))
        return found

    # -- failures ----------------------------------------------------------------------------------------------

    def failures(self, lines: Iterable[bytes]) -> tuple[Passed, list[tuple[int, bool, list[int]]]]:
        """As `rows`; and of each failure that was let in its call, whether it is its row's first, and the calls that
        are not asked for it.
        """
        passed, found = Passed(), []
        for line in lines:
            record = codec.loads_rounded(line) if codec.is_sealed(line) else {}
            if not self._plan.owns(record):
                passed.foreign += 1
                continue
            index = record["index"]
            row = index // self._width
            if index in self.settled:
                passed.paid_twice += 1
                continue
            not_asked = [each for each in self._plan.followers(index) if each not in self.settled]
            passed.lines.append(line)
            passed.indices.append(index)
            is_first = not self._has_failed(row)
            for each in (index, *not_asked):
                self._settle(each)
                self.failed.add(each)
            found.append((index, is_first, not_asked))
            self._close(row)
        return passed, found

    # -- rows that are half done -------------------------------------------------------------------------------

    def of_row(self, row: int) -> Iterable[dict[str, Any]]:
        """The lines of this session that calls of `row` are made from, or that are asked again."""
        first = row * self._width
        for line in self._lines.get(row, {}).values():
            yield codec.loads(line)
        for index in range(first, first + self._width):
            if (misfit := self.misfits.get(index)) is not None:
                yield codec.loads(misfit)

    def _settle(self, index: int) -> None:
        self.settled.add(index)
        self.misfits.pop(index, None)

    def _close(self, row: int) -> bool:
        """Let go of `row` where nothing of it is expected any more."""
        first = row * self._width
        is_over = all(index in self.settled for index in range(first, first + self._width))
        if is_over:
            self._lines.pop(row, None)
        return is_over

    def _has_failed(self, row: int) -> bool:
        first = row * self._width
        return any(index in self.failed for index in range(first, first + self._width))


def _may_be_asked_again(line: bytes) -> bool:
    return WRONG_FORM_LEAD in line or NEAR_COPY_LEAD in line


def _is_asked_again(said: Mapping[str, Any]) -> bool:
    near = said.get(NEAR_COPY)
    return WRONG_FORM in said or (isinstance(near, dict) and not near.get("last"))
