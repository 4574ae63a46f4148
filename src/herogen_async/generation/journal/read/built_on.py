"""Which lines count in rows of several calls, where their order alone doesn't say it: by what each was made from.

A line names the checksums of the lines that its prompt was made from (`from`). Mostly these are the ones that count, by
the way a run works: an answer is asked for once those before it are in the journal. Where a call has several lines (a
regenerated answer, a second one after damage) or a line stands in front of what it was made from, it is looked up here:
a line counts only if all that it was made from counts, and of several that do the first one does. Not compared are
stale answers that were made from what their column builds on no more: by name alone they are kept.

A call that was skipped gives nothing to what is made without it. So all lines that skip it are one ground: where it is
skipped now, an answer counts that was made when it was skipped by another condition or for other answers. While that is
not decided, such an answer is `reusable`.

Memory: some hundred bytes for each line of those rows; of all others nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.recovered import Recovered, Reusable
from herogen_async.generation.journal.read.scan import Line, scan
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.run_folder.layout import segment_number
from herogen_async.specs.plan import IndexSet, Lineage, Standing


@dataclass(slots=True)
class BuiltLine:
    """A line of an unsettled row: when it was written, where it is, and what it was made from.

    `is_outdated`: it skips its call by a condition that the call has no more, and does not count. `is_late`: it did not
    fit a form that its column has no more.
    """

    standing: Standing
    segment: int
    offset: int
    seal: str
    built_on: tuple[str, ...]
    is_skipped: bool
    is_outdated: bool = False
    is_late: bool = False


def lines_of(rows: IndexSet, lineage: Lineage, paths: Iterable[Path]) -> dict[int, list[BuiltLine]]:
    """By call, the lines of the calls of `rows` that would count but for what they were made from, best ones first.

    And those that skip a call by an outdated condition.
    """
    calls = lineage.plan.calls_a_row
    found: dict[int, list[BuiltLine]] = {}
    for path in paths:
        segment = segment_number(path)
        era = lineage.era(segment)
        for line in scan(path):
            if not isinstance(line, Line):
                continue
            index = current_index(line.record, lineage, era)
            if index is not None and index // calls in rows:
                made = built_line(line.record, lineage, era, segment=segment, offset=line.offset)
                found.setdefault(index, []).append(made)
    for lines in found.values():
        lines.sort(key=precedence)
    return found


def precedence(line: BuiltLine) -> tuple[bool, int, int, int]:
    """What lines of one call are sorted by, best ones first."""
    return line.is_late, line.standing.age, line.segment, line.offset


def sound_lines(row: int, lines: Mapping[int, list[BuiltLine]], calls: int) -> dict[int, list[BuiltLine]]:
    """Of the calls of `row`, by index, the lines that were made from lines that count: the first one counts."""
    found: dict[int, list[BuiltLine]] = {}
    seals: set[str] = set()
    alike: set[str] = set()  # of lines that skip a call which is skipped by another one
    # In the order of the calls: each comes behind all that it may be made from.
    for index in range(row * calls, (row + 1) * calls):
        there = [each for each in lines.get(index, ()) if not each.is_outdated]
        # What was made from the very lines that count comes first: it counted before anything was decided anew.
        sound = [each for each in there if seals.issuperset(each.built_on)]
        if alike:
            sound += [each for each in there if each not in sound and seals.issuperset(set(each.built_on) - alike)]
        if sound:
            found[index] = sound
            seals.add(sound[0].seal)
            if sound[0].is_skipped:
                alike.update(each.seal for each in lines[index] if each.is_skipped)
    return found


def reusable_lines(
    row: int, lines: Mapping[int, list[BuiltLine]], sound: Mapping[int, list[BuiltLine]], calls: int
) -> dict[int, list[Reusable]]:
    """Of the calls of `row` without a sound line, by index, the answers that count if certain calls are skipped."""
    seals = {counting[0].seal for counting in sound.values()}
    skips: dict[str, int] = {}  # the place of the call that a line skips
    found: dict[int, list[Reusable]] = {}
    for place, index in enumerate(range(row * calls, (row + 1) * calls)):
        counting = sound.get(index)
        for line in lines.get(index, ()):
            if line.is_skipped and (counting is None or counting[0].is_skipped):
                skips[line.seal] = place
            elif counting is None and seals.issuperset(set(line.built_on) - skips.keys()):
                answers = frozenset(line.built_on) - skips.keys()
                skipped = frozenset(skips[each] for each in line.built_on if each in skips)
                found.setdefault(index, []).append(Reusable(line.segment, line.offset, answers, skipped))
                seals.add(line.seal)
    return found


def settle_rows(
    found: Recovered, rows: IndexSet, lineage: Lineage, paths: Iterable[Path], places: LinePlaces | None
) -> None:
    """Correct `found` and `places` for `rows`, where a line was taken for one that counts and is none."""
    calls = lineage.plan.calls_a_row
    lines = lines_of(rows, lineage, paths)
    for row in {index // calls for index in lines}:
        sound = sound_lines(row, lines, calls)
        reusable = reusable_lines(row, lines, sound, calls)
        found.reusable.update(reusable)
        for index in range(row * calls, (row + 1) * calls):
            found.done.discard(index)
            found.skipped.discard(index)
            if places is not None:
                places.discard(index)
            counted = [each for each in lines.get(index, ()) if not each.is_outdated]
            _tally(found, counted, -1)
            found.outdated += len(counted) - len(sound.get(index, ())) - len(reusable.get(index, ()))
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


def current_index(record: Mapping[str, Any], lineage: Lineage, era: int) -> int | None:
    """The current index of a line that would count but for what it was made from; None for any other.

    Of a line that skips its call by an outdated condition, too.
    """
    if not lineage.eras[era].plan.owns(record) or not lineage.standing(era, record["index"]).counts:
        return None
    if lineage.checks(era) and lineage.is_misfit(era, record, is_cut):
        return None
    return lineage.place(era, record["index"])


def built_line(record: Mapping[str, Any], lineage: Lineage, era: int, *, segment: int, offset: int) -> BuiltLine:
    """A line that has a `current_index`."""
    index = lineage.place(era, record["index"]) or 0
    call = index % lineage.plan.calls_a_row
    condition = record.get("skipped")
    is_skipped = condition is not None
    return BuiltLine(
        lineage.standing(era, record["index"]),
        segment,
        offset,
        record[CRC],
        tuple(record.get("from", ())) if call in lineage.grounds(era, skipped=is_skipped) else (),
        is_skipped,
        is_outdated=is_skipped and condition not in lineage.plan.shape.skips[call],
        is_late=bool(lineage.checks(era)) and lineage.was_misfit(era, record),
    )
