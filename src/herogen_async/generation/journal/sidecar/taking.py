"""The segments of a large run that its sidecars stand in for, while it is read.

A run whose sealed segments are together no larger than SIDECARS_FROM is read line by line, as it always was: so every
byte of it is looked at by every resume. Past that its sidecars' checks stand in for reading; `verify` always reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from herogen_async.generation.journal.read.endings import Endings
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.scan import Known
from herogen_async.generation.journal.sidecar.sidecar import Sidecar, sidecar_at
from herogen_async.generation.run_folder.layout import segment_number
from herogen_async.specs.plan import IndexSet, Lineage, SegmentReading, Standing

SIDECARS_FROM = 4_000_000_000  # bytes: ten seconds of reading on one core


class Taker(Protocol):
    """A `Fold`, as far as it takes a segment in whole. Of both methods: False, and nothing is taken, or all is."""

    lineage: Lineage
    places: LinePlaces | None
    endings: Endings
    column_names: list[str | None]

    def take_calls(self, calls: IndexSet, standing: Standing) -> bool:
        """Calls of rows of one, by their current indices."""
        ...

    def take_usual(self, indices: Sequence[int], skipped: Mapping[int, str], reading: SegmentReading) -> bool:
        """Any calls."""
        ...


class Sidecars:
    """Those that may be taken in place of lines."""

    def __init__(self, known: Known) -> None:
        self._known = known
        paths = known.segments()
        # A mark of a later segment than the last means that files are gone: the last one is appended to again.
        last = max(map(segment_number, paths), default=0)
        current = 0 if known.mark is None else min(known.mark.segment, last)
        sealed = sealed_segments({path: known.ends[path] for path in paths}, current)
        self._paths = {segment_number(path): path for path in sealed}

    def take(self, fold: Taker, reading: SegmentReading) -> bool:
        """Take a segment in whole; False, and nothing is taken, where its lines are to be read."""
        path = self._paths.get(reading.segment)
        # A line that a person has agreed to lose is asked again, although a sidecar from before may have it.
        if path is None or not _may_take_whole(fold, reading) or self._known.has_accepted(path):
            return False
        sidecar = sidecar_at(path, fold.lineage.eras[reading.era].plan)
        return sidecar is not None and sidecar.is_usual and _take(fold, sidecar, reading)


def _may_take_whole(fold: Taker, reading: SegmentReading) -> bool:
    """Whether it does not matter where the lines of that reading are, nor whether they fit another form."""
    is_checked = fold.lineage.checks(reading.era) and not fold.lineage.knows_forms(reading.era)
    return fold.places is None and not is_checked


def _take(fold: Taker, sidecar: Sidecar, reading: SegmentReading) -> bool:
    """False, and nothing is taken, where a line is not what it is by itself: a task has two answers, say."""
    lineage, era = fold.lineage, reading.era
    is_plain = lineage.eras[era].plan.calls_a_row == lineage.plan.calls_a_row == 1 and not lineage.moves(era)
    if is_plain and not sidecar.skipped:
        if not fold.take_calls(sidecar.calls, reading.standing):
            return False
    elif not fold.take_usual(*sidecar.in_order(), reading):
        return False
    for place, ended in sidecar.ended.items():
        call = lineage.call(era, place)
        if call is not None and (reading.places is None or place in reading.places):
            fold.endings.add_sums(ended, counts=reading.standing.counts, column=fold.column_names[call])
    return True


def sealed_segments(sizes: dict[Path, int], current: int) -> list[Path]:
    """The segments of a large run before `current`, which is written to now; none of a smaller run."""
    sealed = [path for path in sizes if segment_number(path) < current]
    return sealed if sum(sizes[path] for path in sealed) > SIDECARS_FROM else []
