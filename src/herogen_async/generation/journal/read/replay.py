"""What a journal says, as a fold over its lines: nothing is changed, and reading it twice says the same.

- damage is an error with file, line and byte, never skipped (`scan.Known`);
- equal keys count once, the first wins; of several generations' answers to one task the newest wins;
- a row is taken for its task by its index, in the plan that its segment was written under; its key is compared with
  that plan's key there: a row with another key belongs to nobody, and is counted, not used.

A journal of a million rows should be folded in not much more than its lines take, and that shapes the code. Lines are
taken a block at a time; of each, only the head (key and index), the tail (how it ended, usage) and the checksum are
looked at; equal tails are parsed once. Computing a key takes twice as long as all of that, so past the first
EXACT_BYTES of a segment one row in KEYS_EVERY has its key compared (`verify` compares all): what can be there by
accident is another run's file, and of that every row is wrong. A block with anything unusual is folded line by line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from herogen_async.core.errors import RunFolderError
from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.journal.read.endings import Endings
from herogen_async.generation.journal.read.line_blocks import are_sealed, blocks_of, offsets_of, skipped_by
from herogen_async.generation.journal.read.line_reader import row_at
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.recovered import Misfit, Recovered
from herogen_async.generation.journal.read.scan import Damage, Known, damage_error, record_of
from herogen_async.generation.journal.record import (
    ENDING_WITHIN,
    INDEX_AT,
    KEY_AT,
    KEY_END,
    NEAR_COPY,
    NEAR_COPY_LEAD,
    SKIPPED_LEAD,
    WRONG_FORM_LEAD,
)
from herogen_async.generation.journal.sidecar.taking import Sidecars
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder, segment_number
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import IndexSet, Lineage, SegmentReading, Standing

EXACT_BYTES = 1 << 23  # eight thousand rows: most runs, every key compared in a tenth of a second
KEYS_EVERY = 64

# What a row is to its run: its task's answer, a second one, nobody's, one of a cell that the plan has no more, one that
# was made under another generation, or such a one where a newer generation has an answer.
# One may also not fit the form of its column, or be a near copy that is asked again.
RowStanding = Literal["counts", "double", "foreign", "unused", "stale", "replaced", "outdated", "misfit"]


def replay(folder: RunFolder, lineage: Lineage, places: LinePlaces | None = None) -> Recovered:
    """Fold the whole journal of `folder`. Raises DamageError. Memory: a bit a task, whatever the size of the rows.

    `places` is filled with those of the answers that count.
    """
    known = Known(folder)
    fold, sidecars = Fold(lineage, places), Sidecars(known)
    paths = {segment_number(path): path for path in known.segments()}
    for reading in lineage.readings(list(paths)):
        if not sidecars.take(fold, reading):
            fold.segment(paths[reading.segment], known, reading)
    fold.settle(paths.values())
    # After all rows: a failure counts only where no answer is, whichever of the two came first.
    for line in known.sound(folder.failures):
        fold.failure(line.record)
    fold.count_endings()
    return fold.found


class Fold:
    """Rows and then failures, into one `Recovered`; segments come as `Lineage.readings` sorts them."""

    def __init__(self, lineage: Lineage, places: LinePlaces | None = None) -> None:
        self.found = Recovered(calls_a_row=lineage.plan.calls_a_row)
        self.lineage = lineage
        self.places = places
        self.endings = Endings(self.found)
        self._newer = IndexSet()  # what generations before the one that is being read have answered
        self._age = 1
        self._calls = lineage.plan.calls_a_row
        self.column_names = [
            call.column.name if lineage.plan.has_columns else None for call in lineage.plan.shape.calls
        ]
        self._later: list[tuple[SegmentReading, int]] = []  # lines that count only where no other one does
        self.late: list[tuple[SegmentReading, dict[str, Any]]] = []  # those of them that do
        # Rows of which the order of the lines doesn't say which of them count: `settle` looks at them.
        self._unsettled = IndexSet()

    def segment(self, path: Path, known: Known, reading: SegmentReading) -> None:
        """Fold one segment, as far as it is to be read now. Raises DamageError."""
        try:
            file = own_file(path)
        except OSError as error:
            raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
        self._begin(reading.standing.age)
        offset, number = 0, 1
        with file:
            for block in blocks_of(file):
                size = sum(map(len, block)) + len(block)
                # A block that is not usual has left no trace, and is folded from its first line on.
                if offset < EXACT_BYTES or not self._fold_block(block, reading, offset):
                    for line in block:
                        if not self._fold_line(line, reading, offset):
                            damage = Damage(path, number, offset, len(line))
                            # Not skipped, whatever is behind it: what was durable and is damaged is a person's to
                            # decide on.
                            if not known.excuses(damage):
                                if known.is_the_end(damage):
                                    return
                                raise damage_error(damage)
                        offset += len(line) + 1
                        number += 1
                else:
                    offset += size
                    number += len(block)

    def count_endings(self) -> None:
        """`found` holds what blocks of rows have said of how they ended, only then."""
        self.endings.count()

    def failure(self, record: dict[str, Any]) -> None:
        """A task that failed, under whichever plan that asks the same."""
        # Rows were folded first: an answer, from before or after, outdoes every failure; so does one that may count.
        index = self.lineage.index_of(record)
        if index is not None and index not in self.found.done and index not in self.found.reusable:
            self.found.failed.add(index)

    def settle(self, paths: Iterable[Path]) -> None:
        """Decide by `from` which lines count, of the rows where their order doesn't say it. After all rows."""
        paths = list(paths)
        for reading, offset in self._later:
            row = row_at(paths, reading.segment, offset)
            self.found.rows -= 1
            self.found.misfits -= 1
            if self.take(row, reading, offset, is_late=True) == "counts":
                self.late.append((reading, row))
        self.found.asked = {index: each for index, each in self.found.asked.items() if index not in self.found.done}
        self.found.unfit = self.found.unfit.minus(self.found.done)
        if not len(self._unsettled):
            return
        from herogen_async.generation.journal.read.built_on import settle_rows  # noqa: PLC0415 - few runs need it

        settle_rows(self.found, self._unsettled, self.lineage, paths, self.places)

    def _begin(self, age: int) -> None:
        """Rows of that age come now: where it is another one, its generation gives way to what is there."""
        # Segments come newest generation first: whatever was found until now is newer than what comes.
        if age != self._age:
            self._age = age
            self._newer.update(self.found.done)
            self._newer.update(self.found.stale)

    def _fold_block(self, lines: list[bytes], reading: SegmentReading, offset: int) -> bool:
        """The usual: all sound, all of this era's plan, each task for the first time. False when anything is not."""
        # From here on all or nothing: every look comes before the first change, and `add_all` takes all or none.
        if not are_sealed(lines) or (self.lineage.checks(reading.era) and self._may_misfit(lines, reading)):
            return False
        try:
            indices = [int(line[INDEX_AT : line.index(b",", INDEX_AT)]) for line in lines]
        except ValueError:
            return False
        plan = self.lineage.eras[reading.era].plan
        for place in range(0, len(lines), KEYS_EVERY):
            if not 0 <= indices[place] < plan.size or lines[place][KEY_AT:KEY_END] != plan.key(indices[place]).encode():
                return False
        if min(indices) < 0 or max(indices) >= plan.size:
            return False
        if plan.calls_a_row > 1 or self._calls > 1 or self.places is not None:
            return self._place_calls(lines, indices, reading, offset)
        if not self._place_all(indices, reading):
            return False
        self.found.rows += len(lines)
        self.endings.note(lines, counts=reading.standing.counts, column=self.column_names[0])
        return True

    def _may_misfit(self, lines: list[bytes], reading: SegmentReading) -> bool:
        """Whether one of these lines may be of an answer that does not fit its form, or is a near copy."""
        return not self.lineage.knows_forms(reading.era) or any(
            WRONG_FORM_LEAD in line or NEAR_COPY_LEAD in line for line in lines
        )

    def _place_all(self, indices: list[int], reading: SegmentReading) -> bool:
        """As `place`, where each of them is the only answer to its task; else False, and nothing is placed."""
        lineage, places = self.lineage, indices
        if lineage.moves(reading.era):
            moved = [lineage.place(reading.era, index) for index in indices]
            places = [place for place in moved if place is not None]
            if len(places) < len(indices):
                return False
        return self._add_all(places, reading.standing)

    def _add_all(self, places: list[int], standing: Standing) -> bool:
        if len(self._newer) and any(place in self._newer for place in places):
            return False
        is_new = (self.found.done if standing.counts else self.found.stale).add_all(places)
        if is_new and standing.counts and standing.is_stale:
            self.found.stale.add_all(places)
        return is_new

    def _place_calls(self, lines: list[bytes], indices: list[int], reading: SegmentReading, offset: int) -> bool:
        """As `_place_all` with its tails, for rows of several calls."""
        era = self.lineage.eras[reading.era].plan
        chosen = list(zip(lines, indices, offsets_of(lines, offset), strict=True))
        if reading.places is not None:
            chosen = [each for each in chosen if each[1] % era.calls_a_row in reading.places]
        if not chosen:
            return True
        if reading.standing.is_left:
            self.found.rows += len(chosen)
            self.found.unused += len(chosen)
            self.endings.note([line for line, _, _ in chosen], counts=False)
            return True
        place = self.lineage.place if self.lineage.moves(reading.era) else None
        skips = self.lineage.plan.shape.skips
        may_skip = any(call.column.when is not None for call in era.shape.calls)
        placed: list[tuple[int, bytes, int]] = []
        skipped: list[int] = []
        outdated = 0
        for line, then, at in chosen:
            index = then if place is None else place(reading.era, then)
            if index is None:
                return False
            if may_skip and SKIPPED_LEAD in line[-ENDING_WITHIN:] and (by := skipped_by(line)) is not None:
                if by not in skips[index % self._calls]:
                    outdated += 1
                    continue
                skipped.append(index)
            placed.append((index, line, at))
        if not self._add_all([index for index, _, _ in placed], reading.standing):
            return False
        self.found.rows += len(chosen)
        self.found.outdated += outdated
        if reading.standing.counts:
            for index in skipped:
                self.found.skipped.add(index)
            self._note_calls([(index, at) for index, _, at in placed], reading, set(skipped))
        by_column: dict[str | None, list[bytes]] = {}
        for index, line, _ in placed:
            by_column.setdefault(self.column_names[index % self._calls], []).append(line)
        for column, of_column in by_column.items():
            self.endings.note(of_column, counts=reading.standing.counts, column=column)
        return True

    def _note_calls(self, placed: list[tuple[int, int]], reading: SegmentReading, skipped: Collection[int]) -> None:
        """Where the lines are that others build on, and whether each came behind what it was made from."""
        calls, done, newer, places = self._calls, self.found.done, self._newer, self.places
        made_from, decided_by = (self.lineage.grounds(reading.era, skipped=each) for each in (False, True))
        block, before = {index for index, _ in placed}, set[int]()
        for index, offset in placed:
            call = index % calls
            if places is not None and (places.of is None or call in places.of):
                places.put(index, reading.segment, offset)
            for ground in (decided_by if index in skipped else made_from).get(call, ()):
                parent = index - call + ground
                # All bits of a block are set by now, also of what stands behind this line in it. And what was answered
                # under a newer generation is another answer than the one that this line was made from.
                if parent not in before and (parent in block or parent not in done or parent in newer):
                    self._unsettled.add(index // calls)
            before.add(index)

    def _fold_line(self, line: bytes, reading: SegmentReading, offset: int) -> bool:
        """One line, whatever it is; False when it is damaged."""
        if (row := record_of(line)) is not None and self.is_for(row, reading):
            self.take_counted(row, reading, offset)
        return row is not None

    def take_counted(self, row: dict[str, Any], reading: SegmentReading, offset: int) -> RowStanding:
        """As `take`, and count how it ended."""
        standing, column = self.take(row, reading, offset), None
        if self.lineage.plan.has_columns and standing not in ("foreign", "unused"):
            index = self.lineage.place(reading.era, row["index"])
            column = None if index is None else self.column_names[index % self._calls]
        self.endings.add(row, counts=standing in ("counts", "misfit"), column=column)
        return standing

    def take(self, row: dict[str, Any], reading: SegmentReading, offset: int, *, is_late: bool = False) -> RowStanding:
        """Put one row, whose line is at that byte, where it belongs; what it is to the run. `is_late`: after all."""
        self.found.rows += 1
        standing = self.place(row, reading, is_late=is_late)
        if standing == "misfit":
            self._note_misfit(row, reading, offset, is_late=is_late)
        if standing == "counts" and (self._calls > 1 or self.places is not None):
            index = self.lineage.place(reading.era, row["index"])
            if index is not None and self._calls > 1:
                self._note_calls([(index, offset)], reading, (index,) if "skipped" in row else ())
            elif index is not None and self.places is not None:
                self.places.put(index, reading.segment, offset)
        return standing

    def _note_misfit(self, row: dict[str, Any], reading: SegmentReading, offset: int, *, is_late: bool) -> None:
        """It may be asked again with the last of them; not with what was answered to another question or form."""
        index = self.lineage.place(reading.era, row["index"])
        if not is_late and self.lineage.was_misfit(reading.era, row):
            self._later.append((reading, offset))
            return
        if index is None or reading.standing.is_stale:
            return
        if NEAR_COPY in row or self.lineage.knows_form(reading.era, row["index"]):
            self.found.asked[index] = Misfit(reading.segment, offset, row.get("ask", 1))
        else:
            self.found.unfit.add(index)

    def take_usual(self, indices: Sequence[int], skipped: Mapping[int, str], reading: SegmentReading) -> bool:
        """As `take` of each, where all of them count and have nothing unusual; else False, and nothing is taken.

        `skipped` has by their place among `indices` the fingerprint by which a line skips its call.
        """
        era = self.lineage.eras[reading.era].plan
        if not reading.standing.counts or reading.standing.is_left or self.places is not None:
            return False
        self._begin(reading.standing.age)
        places = reading.places
        chosen = [at for at, index in enumerate(indices) if places is None or index % era.calls_a_row in places]
        place = self.lineage.place if self.lineage.moves(reading.era) else None
        placed = [indices[at] if place is None else place(reading.era, indices[at]) for at in chosen]
        whole = [index for index in placed if index is not None]
        if len(whole) < len(placed):
            return False
        skips = self.lineage.plan.shape.skips
        unasked = [(index, skipped[at]) for at, index in zip(chosen, whole, strict=True) if at in skipped]
        if any(by not in skips[index % self._calls] for index, by in unasked):
            return False
        if not self._add_all(whole, reading.standing):
            return False
        self.found.rows += len(whole)
        for index, _ in unasked:
            self.found.skipped.add(index)
        if self._calls > 1:
            self._note_calls([(index, 0) for index in whole], reading, {index for index, _ in unasked})
        return True

    def take_calls(self, calls: IndexSet, standing: Standing) -> bool:
        """As `take_usual`, of rows of one call each, whose indices are the current ones; they may be stale."""
        self._begin(standing.age)
        if self._newer.meets(calls) or (standing.counts and self.found.done.meets(calls)):
            return False
        for members in [self.found.done] * standing.counts + [self.found.stale] * standing.is_stale:
            members.update(calls)
        self.found.rows += len(calls)
        return True

    def is_for(self, row: dict[str, Any], reading: SegmentReading) -> bool:
        """Whether a line is to be looked at now, and not in another reading of the same segment."""
        if reading.places is None:
            return True
        index = row.get("index")
        place = index % self.lineage.eras[reading.era].plan.calls_a_row if isinstance(index, int) else 0
        return place in reading.places

    def place(self, row: dict[str, Any], reading: SegmentReading, *, is_late: bool = False) -> RowStanding:
        """Put one row of that reading where it belongs; what it is to the run."""
        if not is_late:
            self._begin(reading.standing.age)
        # In this order, so that each row is counted once: whose it is, whether its cell still exists, whether its
        # generation counts, whether a newer one has answered, and only then whether it is the first.
        found, lineage, standing = self.found, self.lineage, reading.standing
        if not lineage.eras[reading.era].plan.owns(row):
            found.foreign += 1
            return "foreign"
        index = lineage.place(reading.era, row["index"])
        if index is None:
            found.unused += 1
            return "unused"
        if lineage.checks(reading.era) and self._is_misfit(row, reading, is_late=is_late):
            found.misfits += 1
            return "misfit"
        condition = row.get("skipped")
        if condition is not None and condition not in lineage.plan.shape.skips[index % self._calls]:
            found.outdated += 1
            return "outdated"
        if not standing.counts:
            if index not in self._newer:
                found.stale.add(index)
            return "stale"
        if index in self._newer and not is_late:  # what is late comes behind all that counts
            self._unsettle(index)
            found.replaced += 1
            return "replaced"
        if not found.done.add(index):
            self._unsettle(index)
            found.duplicates += 1
            return "double"
        if condition is not None:
            found.skipped.add(index)
        if standing.is_stale:
            found.stale.add(index)
        elif is_late:
            found.stale.discard(index)
        return "counts"

    def _is_misfit(self, row: dict[str, Any], reading: SegmentReading, *, is_late: bool) -> bool:
        is_later = not is_late and self.lineage.was_misfit(reading.era, row)
        return is_later or self.lineage.is_misfit(reading.era, row, is_cut)

    def _unsettle(self, index: int) -> None:
        """There are several lines of a call: which of them others were made from is to be looked at."""
        if self._calls > 1:
            self._unsettled.add(index // self._calls)
