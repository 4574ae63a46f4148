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

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack
from typing import Any, BinaryIO, Literal
from zlib import crc32

from herogen_async.core import codec
from herogen_async.core.errors import RunFolderError
from herogen_async.generation.endpoint.usage import whole_counts
from herogen_async.generation.journal.read.scan import Damage, Known, damage_error, record_of, unreadable
from herogen_async.generation.journal.record import (
    BEHIND_ENDING,
    ENDING,
    ENDING_NAMES,
    ENDING_WITHIN,
    INDEX_AT,
    KEY_AT,
    KEY_END,
    KEY_TO_INDEX,
    SEAL,
    SEAL_BYTES,
    SEALED,
    START,
    reason_word,
)
from herogen_async.generation.journal.words import Words
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder, segment_number
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import IndexSet, Lineage

BLOCK_BYTES = 1 << 18  # what is split, summed and searched stays in the processor's cache
EXACT_BYTES = 1 << 23  # eight thousand rows: most runs, every key compared in a tenth of a second
KEYS_EVERY = 64
_TAILS = 4096  # different ones, before they are parsed and let go of

# What a row is to its run: its task's answer, a second one, nobody's, one of a cell that the plan has no more, one that
# was made under another generation, or such a one where a newer generation has an answer.
Standing = Literal["counts", "double", "foreign", "unused", "stale", "replaced"]


@dataclass(slots=True)
class Recovered:
    """What a run folder holds.

    `done` are the tasks with an answer, `failed` those that failed and are not done, `stale` those that only other
    generations have answered: they are in `done` too where the run keeps them. `foreign` rows belong to nobody,
    `unused` ones to cells that the plan has no more, `replaced` ones to tasks that a newer generation has answered.
    `usage` sums the servers' own counts over every row there is: all of them were paid for. `finish_reasons` are of
    the rows that count.
    """

    done: IndexSet = field(default_factory=IndexSet)
    failed: IndexSet = field(default_factory=IndexSet)
    stale: IndexSet = field(default_factory=IndexSet)
    rows: int = 0
    duplicates: int = 0
    foreign: int = 0
    unused: int = 0
    replaced: int = 0
    usage: Words = field(default_factory=Words)
    finish_reasons: Words = field(default_factory=Words)


def replay(folder: RunFolder, lineage: Lineage) -> Recovered:
    """Fold the whole journal of `folder`. Raises DamageError. Memory: a bit a task, whatever the size of the rows."""
    known = Known(folder)
    fold = Fold(lineage)
    for path in sorted(known.segments(), key=lambda path: lineage.precedence(segment_number(path))):
        fold.segment(path, known)
    # After all rows: a failure counts only where no answer is, whichever of the two came first.
    for line in known.sound(folder.failures):
        fold.failure(line.record)
    fold.count_tails()
    return fold.found


@dataclass(slots=True)
class _Said:
    """What so many rows say of how they ended."""

    row: dict[str, Any]
    times: int = 1


class Fold:
    """Rows and then failures, into one `Recovered`; segments come as `Lineage.precedence` sorts them."""

    def __init__(self, lineage: Lineage) -> None:
        self.found = Recovered()
        self.lineage = lineage
        self._tails: dict[bool, dict[bytes, _Said]] = {True: {}, False: {}}  # of rows that count, and of others
        self._newer = IndexSet()  # what generations before the one that is being read have answered
        self._generation = lineage.plan.generation_fingerprint

    def segment(self, path: Path, known: Known) -> None:
        """Fold one segment. Raises DamageError."""
        era = self.lineage.era(segment_number(path))
        try:
            file = own_file(path)
        except OSError as error:
            raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
        offset, number = 0, 1
        with file:
            for block in _blocks(file):
                size = sum(map(len, block)) + len(block)
                # A block that is not usual has left no trace, and is folded from its first line on.
                if offset < EXACT_BYTES or not self._fold_block(block, era):
                    for line in block:
                        if not self._fold_line(line, era):
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

    def failure(self, record: dict[str, Any]) -> None:
        """A task that failed, under whichever plan that asks the same."""
        # Rows were folded first: an answer, from before or after, outdoes every failure.
        index = self.lineage.index_of(record)
        if index is not None and index not in self.found.done:
            self.found.failed.add(index)

    def _begin(self, era: int) -> None:
        """Rows of that era come now: where its generation is another one, it gives way to what is there."""
        generation = self.lineage.eras[era].plan.generation_fingerprint
        # Segments come newest generation first: whatever was found until now is newer than what comes.
        if generation != self._generation:
            self._generation = generation
            self._newer.update(self.found.done)
            self._newer.update(self.found.stale)

    def _fold_block(self, lines: list[bytes], era: int) -> bool:
        """The usual: all sound, all of this era's plan, each task for the first time. False when anything is not."""
        self._begin(era)
        # From here on all or nothing: every look comes before the first change, and `add_all` takes all or none.
        if not _are_sealed(lines):
            return False
        try:
            indices = [int(line[INDEX_AT : line.index(b",", INDEX_AT)]) for line in lines]
        except ValueError:
            return False
        plan = self.lineage.eras[era].plan
        for place in range(0, len(lines), KEYS_EVERY):
            if not 0 <= indices[place] < plan.size or lines[place][KEY_AT:KEY_END] != plan.key(indices[place]).encode():
                return False
        if min(indices) < 0 or max(indices) >= plan.size or not self._place_all(indices, era):
            return False
        self.found.rows += len(lines)
        self._note_tails(lines, counts=self.lineage.counts(era))
        return True

    def _place_all(self, indices: list[int], era: int) -> bool:
        """As `place`, where each of them is the only answer to its task; else False, and nothing is placed."""
        lineage, places = self.lineage, indices
        if lineage.moves(era):
            places = [place for index in indices if (place := lineage.place(era, index)) is not None]
            if len(places) < len(indices):
                return False
        if len(self._newer) and any(place in self._newer for place in places):
            return False
        counts, is_stale = lineage.counts(era), lineage.is_stale(era)
        if not (self.found.done if counts else self.found.stale).add_all(places):
            return False
        if counts and is_stale:
            self.found.stale.add_all(places)
        return True

    def _note_tails(self, lines: list[bytes], *, counts: bool) -> None:
        tails = self._tails[counts]
        # In a text every quote is escaped, so what is found is a key; the last `request_id` is the row's own, as no
        # object follows it. Where the first `finish_reason` is one of an object inside, or none is found, what is cut
        # out is no JSON, since it holds that object's end and not its beginning, and the line is parsed.
        found = [(end := line[-ENDING_WITHIN:])[end.find(ENDING) : end.rfind(BEHIND_ENDING)] for line in lines]
        odd = set()
        for tail, times in Counter(found).items():
            known = tails.get(tail)
            if known is not None:
                known.times += times
            elif (said := _said(tail)) is not None:
                tails[tail] = _Said(said, times)
            else:
                odd.add(tail)
        if odd:
            for line, tail in zip(lines, found, strict=True):
                if tail in odd:
                    self._tally_row(record_of(line) or {}, counts=counts)
        if len(tails) > _TAILS:
            self.count_tails()

    def count_tails(self) -> None:
        """Tally what blocks of rows have said of how they ended: `found` holds it only then."""
        for counts, tails in self._tails.items():
            for each in tails.values():
                self._tally_row(each.row, counts=counts, times=each.times)
            tails.clear()

    def _fold_line(self, line: bytes, era: int) -> bool:
        """One line, whatever it is; False when it is damaged."""
        row = record_of(line)
        if row is None:
            return False
        self.found.rows += 1
        self._tally_row(row, counts=self.place(row, era) == "counts")
        return True

    def place(self, row: dict[str, Any], era: int) -> Standing:
        """Put one row of that era where it belongs; what it is to the run."""
        self._begin(era)
        # In this order, so that each row is counted once: whose it is, whether its cell still exists, whether its
        # generation counts, whether a newer one has answered, and only then whether it is the first.
        found, lineage = self.found, self.lineage
        if not lineage.eras[era].plan.owns(row):
            found.foreign += 1
            return "foreign"
        index = lineage.place(era, row["index"])
        if index is None:
            found.unused += 1
            return "unused"
        if not lineage.counts(era):
            if index not in self._newer:
                found.stale.add(index)
            return "stale"
        if index in self._newer:
            found.replaced += 1
            return "replaced"
        if not found.done.add(index):
            found.duplicates += 1
            return "double"
        if lineage.is_stale(era):
            found.stale.add(index)
        return "counts"

    def _tally_row(self, row: dict[str, Any], *, counts: bool, times: int = 1) -> None:
        for name, count in whole_counts(row.get("usage")).items():
            self.found.usage.count(name, count * times)
        if counts:
            self.found.finish_reasons.count(reason_word(row.get("finish_reason")), times)


def _said(tail: bytes) -> dict[str, Any] | None:
    """What the end of a row says, from `finish_reason` to `usage`; None when it is anything else: a row that another
    program wrote, a server's odd usage.
    """
    try:
        said = codec.loads_rounded(b"{" + tail[1:] + b"}")
    except ValueError:
        return None
    return said if isinstance(said, dict) and tuple(said) == ENDING_NAMES else None


def _blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of `file` without their newlines, some thousands at a time; a last one without an end, too."""
    rest: list[bytes] = []
    while data := _read(file):
        lines = data.split(b"\n")
        if len(lines) == 1:
            rest.append(data)
            continue
        if rest:
            lines[0] = b"".join((*rest, lines[0]))
        last = lines.pop()
        rest = [last] if last else []
        yield lines
    if rest:
        yield [b"".join(rest)]


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except OSError as error:
        raise unreadable(Path(file.name), error) from error


def _are_sealed(lines: list[bytes]) -> bool:
    """Whether all begin as rows do, and all checksums fit: what the lines say of themselves is compared in one go."""
    if {line[:KEY_AT] for line in lines} != {START} or {line[KEY_END:INDEX_AT] for line in lines} != {KEY_TO_INDEX}:
        return False
    said = b"".join([line[-SEAL_BYTES:] for line in lines])
    sums = pack(f">{len(lines)}I", *[crc32(line[:-SEAL_BYTES]) for line in lines]).hex("|", 4)
    return said == SEAL + sums.encode().replace(b"|", SEALED + SEAL) + SEALED
