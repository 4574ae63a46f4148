"""The inspection: takes one row at a time, returns the result at the end."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Sequence

from herogen_async.core.blank import is_blank
from herogen_async.core.shingles import normal, words_of
from herogen_async.data.quality.coverage import Places
from herogen_async.data.quality.diversity import DistinctWords, Diversity
from herogen_async.data.quality.findings import Findings
from herogen_async.data.quality.languages import Languages
from herogen_async.data.quality.lengths import Extremes, bounds
from herogen_async.data.quality.normalize import loops
from herogen_async.data.quality.records import (
    CUT,
    EMPTY,
    ENDING_INSIDE,
    LANGUAGE,
    LENGTH,
    LOOPING,
    NEAR_DUPLICATE,
    REFUSED,
    SEPARATOR_INSIDE,
    Example,
    ReportFigures,
    Sighting,
)
from herogen_async.data.quality.refusals import refuses
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.row_sizes import Sizes
from herogen_async.data.quality.similar import Similar
from herogen_async.generation.endpoint.finish_reasons import is_filtered, is_stop
from herogen_async.specs.sources.cells import Cells

_NO_LENGTH = frozenset({EMPTY, CUT, REFUSED})  # their lengths say nothing about the others


class Inspector:
    """Takes the rows of a data set one by one, in the order in which they will be written.

    `cells` and `repeats` are the plan's, for the coverage. `samples`: a row gives up to so many examples, numbered as
    `row_name` reads it. `separator`, `lead` and `ending` are what will be
    added to prompt and completion ("" if the format has none). A row with a kind in `left_out` will be dropped by the
    caller: it never represents its duplicates, so no sound row is lost to a dropped one, and it counts in no figure
    about kept rows. Outliers are known only at the end, so they may represent their duplicates, which are as odd.
    """

    def __init__(
        self,
        cells: Cells,
        repeats: int,
        *,
        samples: int = 1,
        separator: str = "",
        lead: str = "",
        ending: str = "",
        left_out: Collection[str] = (),
    ) -> None:
        self._repeats = repeats * samples
        self._samples = samples
        self._marks = separator, lead, ending
        self._left_out = frozenset(left_out)
        self._places = Places(cells)
        self._similar = Similar()
        self._languages = Languages()
        self._findings = Findings(samples)
        self._distinct = DistinctWords()
        self._sizes = Sizes()
        self._extremes = Extremes()
        self._place_of = array("q")

    def add(self, example: Example) -> None:
        """Inspect one row."""
        kinds = self._told(example)
        text = normal(example.completion)
        words = words_of(text)
        if loops(words):
            kinds.add(LOOPING)
        answers = not kinds & {EMPTY, REFUSED}
        earlier = None
        if answers:
            stays = not kinds & self._left_out
            if stays:
                self._distinct.add(words)
            earlier = self._similar.earlier(example.number, example.prompt, text, words, stays=stays)
        self._findings.add(example, frozenset(kinds), earlier)
        self._languages.add(example, looked_at=answers)
        self._sizes.add(example, len(words))
        if not kinds & _NO_LENGTH:
            self._extremes.add(example, len(words))
        self._place_of.append(self._places.of(example.cell))

    def finish(self) -> Quality:
        """The result. Call it once, after the last row."""
        usual = self._flag_lengths()
        strange, seen = self._languages.outliers()
        self._flag(LANGUAGE, strange, seen)
        fates = self._findings.kinds_of
        shape = ReportFigures(self._words_by_fate(), usual, self._similar.nearest())
        kept = [at for at, kinds in enumerate(fates) if not kinds & self._left_out]
        return Quality(
            rows=len(fates),
            kept=len(kept),
            flagged=self._findings.flagged(),
            findings=self._findings.found(),
            lengths=self._sizes.lengths(kept),
            tokens=self._sizes.tokens_of(kept),
            coverage=self._places.coverage((self._place_of[at] for at in kept), self._repeats),
            groups=self._findings.groups(),
            languages=self._languages.count(),
            undone=self._undone(),
            shape=shape,
            samples=self._samples,
            diversity=Diversity(*self._distinct.shares(), shape.nearest),
        )

    def _told(self, example: Example) -> set[str]:
        """The kinds that the row alone shows."""
        separator, lead, ending = self._marks
        completion, reason = example.completion, example.finish_reason
        filtered = is_filtered(reason)
        refused = filtered or refuses(completion)
        found = {
            EMPTY: is_blank(completion),
            CUT: bool(reason) and not is_stop(reason) and not filtered,
            REFUSED: refused,
            SEPARATOR_INSIDE: bool(separator) and separator in example.prompt,
            ENDING_INSIDE: bool(ending) and ending in lead + completion,
        }
        return {kind for kind, holds in found.items() if holds}

    def _flag_lengths(self) -> tuple[float, float] | None:
        """Flag the length outliers; returns the bounds of usual lengths in words, None for too few rows."""
        words = self._sizes.words
        sound = [at for at, kinds in enumerate(self._findings.kinds_of) if not kinds & _NO_LENGTH]
        usual = bounds([words[at] for at in sound])
        if usual is not None:
            low, high = usual
            outside = [at for at in sound if not low <= words[at] <= high]
            self._flag(LENGTH, outside, self._extremes.outside(usual))
        return usual

    def _flag(self, kind: str, places: Sequence[int], seen: Sequence[Sighting]) -> None:
        for at in places:
            self._findings.flag(at, kind)
        self._findings.show(kind, seen)

    def _words_by_fate(self) -> dict[str, dict[int, int]]:
        """For each fate (usual, cut, outlier, other): words -> rows."""
        fates: dict[str, Counter[int]] = {fate: Counter() for fate in ("usual", "cut", "outlier", "other")}
        for kinds, words in zip(self._findings.kinds_of, self._sizes.words, strict=True):
            fate = (
                "other"
                if kinds & {EMPTY, REFUSED}
                else "cut"
                if CUT in kinds
                else "outlier"
                if LENGTH in kinds
                else "usual"
            )
            fates[fate][words] += 1
        return {fate: dict(sorted(count.items())) for fate, count in fates.items() if count}

    def _undone(self) -> tuple[str, ...]:
        """The kinds that were not checked because the package for them is not installed."""
        looked = {NEAR_DUPLICATE: self._similar.near, LANGUAGE: self._languages.known}
        return tuple(kind for kind, done in looked.items() if not done)
