"""Rows that are half done, from home to whoever goes on with them, and there. Pure but for the journal that is read.

A worker has no journal: what the calls that are left are made from comes with its span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from herogen_async.generation.cluster.door import Door
from herogen_async.generation.cluster.messages import Span
from herogen_async.generation.journal import Misfit, Recovered, Reusable
from herogen_async.generation.journal.record import CRC, NEAR_COPY, WRONG_FORM
from herogen_async.specs.plan import Plan

ReadRow = Callable[[int, int], Mapping[str, Any]]
"""The line at that byte of a segment, as its record."""


class HalfDone:
    """At home: what is there of rows, as `door` knows it. `found` is what there was when the session began, `read` and
    `earlier` read it: the line at a place, and the one that has answered a call.
    """

    def __init__(self, plan: Plan, found: Recovered, door: Door, read: ReadRow, earlier: Callable[[int], Any]) -> None:
        self._plan = plan
        self._width = plan.calls_a_row
        self._found = found
        self.door = door
        self._read = read
        self._earlier = earlier

    def span(self, pending: list[tuple[int, int]]) -> Span:
        """The calls at `pending`, with what there is of their rows."""
        if not self._plan.has_columns:
            return Span(pending)
        return Span(pending, [each for row in sorted(self._rows(pending)) for each in self._of_row(row)])

    def _rows(self, pending: list[tuple[int, int]]) -> set[int]:
        """Those of which anything is there."""
        rows = {start // self._width for start, _ in pending if start % self._width}
        rows |= {stop // self._width for _, stop in pending if stop % self._width}
        # By the calls of the span, which are bounded: after an edit every line of a journal may be one to use again.
        begun = [each for each in (self._found.asked, self._found.reusable, self.door.misfits) if each]
        for start, stop in pending if begun else ():
            rows.update(index // self._width for index in range(start, stop) if any(index in each for each in begun))
        return rows

    def _of_row(self, row: int) -> Iterator[dict[str, Any]]:
        first = row * self._width
        held = {line["index"]: line for line in self.door.of_row(row)}
        for place, children in enumerate(self._plan.shape.children):
            index = first + place
            if index in self.door.failed:
                continue
            if index in self.door.settled:
                line = (held.get(index) or self._earlier(index)) if children else {}
                told = {name: line[name] for name in ("response_txt", CRC, NEAR_COPY, "skipped") if name in line}
                yield {"index": index, "is": "done", **told}
                continue
            if (line := held.get(index)) is not None:
                yield _misfit(index, line, line.get("ask", 1))
            elif (misfit := self._found.asked.get(index)) is not None:
                yield _misfit(index, self._read(misfit.segment, misfit.offset), misfit.ask)
            for each in self._found.reusable.get(index, ()):
                line = self._read(each.segment, each.offset)
                told = {name: line[name] for name in ("response_txt", CRC, NEAR_COPY) if name in line}
                built = {"built_on": sorted(each.built_on), "skips": sorted(each.skipped)}
                yield {"index": index, "is": "reusable", **told, **built}


def _misfit(index: int, line: Mapping[str, Any], ask: int) -> dict[str, Any]:
    told = {name: line[name] for name in ("response_txt", "from", WRONG_FORM) if name in line}
    return {"index": index, "is": "misfit", "ask": ask, **told}


class SpanMemory:
    """At a worker: what its spans have said of rows that are half done, as an engine finds it in a journal."""

    def __init__(self, plan: Plan) -> None:
        self.found = Recovered(calls_a_row=plan.calls_a_row)
        self.on_misfit: Callable[[int, Misfit], None] = lambda _index, _misfit: None
        self._lines: dict[tuple[int, int], Mapping[str, Any]] = {}
        self._of_call: dict[int, Mapping[str, Any]] = {}

    def add(self, earlier: Iterable[Mapping[str, Any]]) -> None:
        """What came with a span."""
        found = self.found
        for line in earlier:
            index, place = line["index"], (0, len(self._lines))
            self._lines[place] = line
            if line["is"] == "done":
                found.done.add(index)
                self._of_call[index] = line
                if line.get("skipped") is not None:
                    found.skipped.add(index)
            elif line["is"] == "misfit":
                self.on_misfit(index, Misfit(*place, line["ask"]))
            else:
                reusable = Reusable(*place, frozenset(line["built_on"]), frozenset(line["skips"]))
                found.reusable.setdefault(index, []).append(reusable)

    def row(self, index: int, reusable: Reusable | None) -> Mapping[str, Any]:
        """The line that has answered the call at `index`, or that one."""
        return self._of_call[index] if reusable is None else self._lines[reusable.segment, reusable.offset]

    def misfit(self, line: Misfit) -> Mapping[str, Any]:
        """The last answer to a call that is asked again."""
        return self._lines[line.segment, line.offset]
