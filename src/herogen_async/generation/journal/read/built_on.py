"""Which lines count in rows of several calls, where their order alone doesn't say it: by what each was made from.

A line names the checksums of the lines that its prompt was made from (`from`). Mostly these are the ones that count, by
the way a run works: an answer is asked for once those before it are in the journal. Where a call has several lines (a
regenerated answer, a second one after damage) or a line stands in front of what it was made from, it is looked up here:
a line counts only if all that it was made from counts, and of several that do the first one does. Not compared are
stale answers that were made from what their column builds on no more: by name alone they are kept.

Memory: some hundred bytes for each line of those rows; of all others nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.recovered import Recovered
from herogen_async.generation.journal.read.scan import Line, scan
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.run_folder.layout import segment_number
from herogen_async.specs.plan import IndexSet, Lineage, Standing


@dataclass(slots=True)
class BuiltLine:
    """A line of an unsettled row: when it was written, where it is, and what it was made from."""

    standing: Standing
    segment: int
    offset: int
    seal: str
    built_on: tuple[str, ...]
    is_skipped: bool


def lines_of(rows: IndexSet, lineage: Lineage, paths: Iterable[Path]) -> dict[int, list[BuiltLine]]:
    """By call, the lines of the calls of `rows` that would count but for what they were made from, best ones first."""
    calls = lineage.plan.calls_a_row
    found: dict[int, list[BuiltLine]] = {}
    for path in paths:
        segment = segment_number(path)
        era = lineage.era(segment)
        for line in scan(path):
            if not isinstance(line, Line):
                continue
            index = counting_index(line.record, lineage, era)
            if index is not None and index // calls in rows:
                made = built_line(line.record, lineage, era, segment=segment, offset=line.offset)
                found.setdefault(index, []).append(made)
    for lines in found.values():
        lines.sort(key=precedence)
    return found


def precedence(line: BuiltLine) -> tuple[int, int, int]:
    """What lines of one call are sorted by, best ones first."""
    return line.standing.age, line.segment, line.offset


def sound_lines(row: int, lines: Mapping[int, list[BuiltLine]], calls: int) -> dict[int, list[BuiltLine]]:
    """Of the calls of `row`, by index, the lines that were made from lines that count: the first one counts."""
    found: dict[int, list[BuiltLine]] = {}
    seals: set[str] = set()
    # In the order of the calls: each comes behind all that it may be made from.
    for index in range(row * calls, (row + 1) * calls):
        if sound := [each for each in lines.get(index, ()) if seals.issuperset(each.built_on)]:
            found[index] = sound
            seals.add(sound[0].seal)
    return found


def settle_rows(
    found: Recovered, rows: IndexSet, lineage: Lineage, paths: Iterable[Path], places: LinePlaces | None
) -> None:
    """Correct `found` and `places` for `rows`, where a line was taken for one that counts and is none."""
    calls = lineage.plan.calls_a_row
    lines = lines_of(rows, lineage, paths)
    for row in {index // calls for index in lines}:
        sound = sound_lines(row, lines, calls)
        for index in range(row * calls, (row + 1) * calls):
            found.done.discard(index)
            found.skipped.discard(index)
            if places is not None:
                places.discard(index)
            _tally(found, lines.get(index, ()), -1)
            found.outdated += len(lines.get(index, ())) - len(sound.get(index, ()))
            if index not in sound:
                continue
            _tally(found, sound[index], 1)
            line = sound[index][0]
            found.done.add(index)
            if line.is_skipped:
                found.skipped.add(index)
            if line.standing.is_stale:
                found.stale.add(index)
            else:
                found.stale.discard(index)
            if places is not None and (places.of is None or index % calls in places.of):
                places.put(index, line.segment, line.offset)


def _tally(found: Recovered, lines: Sequence[BuiltLine], times: int) -> None:
    """Count what lines behind the first of a call are: of its generation, or of an older one."""
    for line in lines[1:]:
        if line.standing.age == lines[0].standing.age:
            found.duplicates += times
        else:
            found.replaced += times


def counting_index(record: Mapping[str, Any], lineage: Lineage, era: int) -> int | None:
    """The current index of a line that would count but for what it was made from; None for any other."""
    if not lineage.eras[era].plan.owns(record) or not lineage.standing(era, record["index"]).counts:
        return None
    index = lineage.place(era, record["index"])
    skipped_by = record.get("skipped")
    if index is None or skipped_by is None:
        return index
    return index if skipped_by in lineage.plan.shape.skips[index % lineage.plan.calls_a_row] else None


def built_line(record: Mapping[str, Any], lineage: Lineage, era: int, *, segment: int, offset: int) -> BuiltLine:
    """A line that has a `counting_index`."""
    index = lineage.place(era, record["index"]) or 0
    call = index % lineage.plan.calls_a_row
    is_skipped = "skipped" in record
    return BuiltLine(
        lineage.standing(era, record["index"]),
        segment,
        offset,
        record[CRC],
        tuple(record.get("from", ())) if call in lineage.grounds(era, skipped=is_skipped) else (),
        is_skipped,
    )
