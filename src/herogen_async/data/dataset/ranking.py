"""Ranks a cell's answers: scores from a file, and the best against the worst of each cell."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from herogen_async.core import codec
from herogen_async.core.codec import finite_number
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.examples import Item, to_one_question
from herogen_async.data.dataset.marked_rows import CuratedRows
from herogen_async.data.dataset.recipe import RANKED
from herogen_async.data.dataset.rows import RunRows

if TYPE_CHECKING:  # few specs keep only some rows
    from herogen_async.specs.plan.keeping import Keeping

HOW = (
    "create one from `herogen-async export RUN`: keep the column `key` (or `index`), and add a column `score` "
    "(higher is better)"
)
_SHAPE = "each row needs a `key` or an `index`, and a number as `score`; one score per answer"


@dataclass(slots=True)
class Compared:
    """Cells by result: `pairs` gave one, `single` have fewer than two scored answers, `ties` have no worse one.

    of `rejected` none is accepted. `unscored` answers have no score; `unknown` scores match no usable answer.
    """

    pairs: int = 0
    single: int = 0
    ties: int = 0
    unscored: int = 0
    unknown: int = 0
    rejected: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain JSON-able data."""
        names = ("pairs", "single", "ties", "unscored", "unknown", *(["rejected"] if self.rejected else []))
        return {name: getattr(self, name) for name in names}

    def line(self) -> str:
        """The counts as a sentence."""
        rejected = f", {self.rejected:,} without an accepted one" if self.rejected else ""
        return (
            f"Cells: {self.pairs:,} gave a pair; left out: {self.single:,} with fewer than two scored answers, "
            f"{self.ties:,} without a worse one{rejected}; {self.unscored:,} answers without a score, "
            f"{self.unknown:,} scores without an answer."
        )


@dataclass(slots=True)
class Comparisons(Compared):
    """As `Compared`, of each row's own comparisons: `single` lack one of both answers."""

    def line(self) -> str:
        """The counts as a sentence."""
        rejected = f", {self.rejected:,} whose better answer the spec's `keep` rejects" if self.rejected else ""
        return (
            f"Comparisons: {self.pairs:,} gave a pair; left out: {self.ties:,} ties, "
            f"{self.single:,} with only one usable answer{rejected}."
        )


class Ranking:
    """The scores in a file: CSV with a header, or JSON Lines. Takes a hundred bytes of memory per score.

    Raises InputError for an invalid line, naming it, and when there are no scores.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._scores: dict[str | int, float] = {}
        path = Path(file)
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                self._read(path, lines)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"ranking file {str(path)!r} can't be read: {reason}", fix=HOW) from error
        if not self._scores:
            raise InputError(f"no scores in {str(path)!r}", fix=HOW)

    @staticmethod
    def counts() -> Compared:
        """Where what became of the cells is counted."""
        return Compared()

    def unused(self, used: int) -> int:
        """How many scores match no usable answer, where `used` do. Raises InputError where none does."""
        if not used:
            raise InputError(f"none of the {len(self._scores):,} scores matches a usable answer", fix=HOW)
        return len(self._scores) - used

    def score(self, row: Mapping[str, Any]) -> float | None:
        """The score of this row of the run, None if the file has none."""
        found = self._scores.get(row["key"])
        return self._scores.get(row["index"]) if found is None else found

    def _read(self, path: Path, lines: TextIO) -> None:
        for number, record in _records(path, lines):
            name, score = _name(record), finite_number(record.get("score"))
            if record.get("score") in (None, ""):
                continue  # an export in which only some answers were scored
            if name is None or score is None:
                raise InputError(f"{str(path)!r}, line {number}: {str(record)[:120]!r} is not a score", fix=_SHAPE)
            if self._scores.setdefault(name, score) != score:
                raise InputError(f"{str(path)!r}, line {number}: conflicting scores for {name!r}", fix=_SHAPE)


class MarkedRanking:
    """What people marked on the page; `rank` has a number for each marked answer, by the key of its call.

    Raises InputError where there is none.
    """

    def __init__(self, rank: Mapping[str, float], run: str) -> None:
        self._rank = rank
        self._fix = f"mark answers good or bad, or give them scores: herogen-async view {run}"
        if not rank:
            raise InputError("--marks: no answer has a mark to rank by", fix=self._fix)

    @staticmethod
    def counts() -> Compared:
        """Where what became of the cells is counted."""
        return Compared()

    def unused(self, used: int) -> int:
        """How many marked answers are not usable, where `used` are. Raises InputError where none is."""
        if not used:
            raise InputError(f"none of the {len(self._rank):,} marked answers is usable", fix=self._fix)
        return len(self._rank) - used

    def score(self, row: Mapping[str, Any]) -> float | None:
        """The number of this answer, None if nobody has marked it."""
        return self._rank.get(row["key"])


class JudgedRanking:
    """The scores that a spec's own `best_of` gives its examples, or without one what its `keep` says of each."""

    def __init__(self, *, is_by_score: bool) -> None:
        self._is_by_score = is_by_score

    @staticmethod
    def counts() -> Compared:
        """Where what became of the cells is counted."""
        return Compared()

    def unused(self, used: int) -> int:
        """None: each is of an answer."""
        del used
        return 0

    def score(self, row: Mapping[str, Any]) -> float | None:
        """The score of an example; None where the judge gave it none."""
        judgement = row["judgement"]
        if self._is_by_score:
            score: float | None = judgement.score
            return score
        return None if judgement.is_kept is None else float(judgement.is_kept)


class ComparedRanking:
    """A judge of two columns has compared each example with the one beside it."""

    @staticmethod
    def counts() -> Compared:
        """Where what became of the comparisons is counted."""
        return Comparisons()


AnyRanking = Ranking | MarkedRanking | JudgedRanking | ComparedRanking


def ranking_for(
    name: str,
    file: str | os.PathLike[str] | None,
    keeping: Keeping | None,
    *,
    is_compared: bool,
    judges: Sequence[str] = (),
) -> AnyRanking | None:
    """What ranks the answers of a format that needs it: a file, or the spec itself. Raises InputError without both.

    `is_compared`: the examples are those of a judge of two columns; `judges` are the columns that are one.
    """
    if name not in RANKED:
        return None
    if is_compared:
        return ComparedRanking()
    if file is not None:
        return Ranking(file)
    if keeping is None or not keeping.ranks:
        judged = "let a model judge: `judge` and `best_of`, or `judge: {pair: [draft, rewrite]}`"
        if judges:
            judged = f"take the pairs that {judges[0]} compares: --column {judges[0]}"
        raise InputError(
            f"--format {name} needs --ranking FILE with a score for each answer", fix=f"{HOW}; or {judged}"
        )
    return JudgedRanking(is_by_score=keeping.best_of is not None)


def marked_ranking(rows: RunRows, name: str, file: str | os.PathLike[str] | None) -> MarkedRanking | None:
    """What ranks the answers of a format that needs it, where marks are asked for and no file. Raises InputError."""
    if name not in RANKED or file is not None or not isinstance(rows, CuratedRows):
        return None
    return MarkedRanking(rows.rank, rows.folder.argument)


def best_and_worst(
    items: Iterable[Item], ranking: AnyRanking, *, repeats: int, compared: Compared, apart: bool = False
) -> Iterator[Item]:
    """The best answer of each cell, with the worst one as its `rejected`; of equal scores the first answer counts.

    Answers to different questions, as those of different repeats of a cell may be, are not compared.
    `apart`: either is an item of its own, with `is_better`. One that the spec's `keep` rejects is never the best one.

    `items` come in grid order, `repeats` calls per cell. Raises InputError at their end when no answer is scored: the
    ranking then belongs to another run.
    """
    if isinstance(ranking, ComparedRanking):
        yield from _better_and_worse(items, compared, apart=apart)
        return
    used = 0
    for answers in to_one_question(items, repeats):
        best: tuple[float, Item] | None = None
        worst: tuple[float, Item] | None = None
        scored = 0
        for item in answers:
            score = ranking.score(item.row)
            if score is None:
                compared.unscored += 1
                continue
            scored += 1
            judgement = item.row.get("judgement")
            is_kept = judgement is None or judgement.is_kept
            best = (score, item) if is_kept and (best is None or score > best[0]) else best
            worst = (score, item) if worst is None or score < worst[0] else worst
        used += scored
        if scored > 1 and best is None:
            compared.rejected += 1
        elif best is None or worst is None or scored < 2:
            compared.single += 1
        elif best[0] == worst[0] or best[1].pair == worst[1].pair:
            compared.ties += 1
        else:
            compared.pairs += 1
            if apart:
                yield from (replace(best[1], is_better=True), replace(worst[1], is_better=False))
            else:
                yield replace(best[1], rejected=worst[1].pair)
    compared.unknown = ranking.unused(used)


def _better_and_worse(items: Iterable[Item], compared: Compared, *, apart: bool) -> Iterator[Item]:
    """The better answer of each comparison, with the worse one as its `rejected`; `items` come in grid order.

    `apart`: either is an item of its own, with `is_better`. One that the spec's `keep` rejects is never the better one.
    """
    for _, both in groupby(items, key=lambda item: item.number // 2):
        sides = sorted(both, key=lambda item: not item.row["is_better"])
        judgement = sides[0].row.get("judgement")
        if len(sides) == 1:
            compared.single += 1
        elif sides[0].row["is_better"] is None or sides[0].pair == sides[1].pair:
            compared.ties += 1
        elif judgement is not None and not judgement.is_kept:
            compared.rejected += 1
        else:
            compared.pairs += 1
            if apart:
                yield from (replace(sides[0], is_better=True), replace(sides[1], is_better=False))
            else:
                yield replace(sides[0], rejected=sides[1].pair)


def _records(path: Path, lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    first = lines.read(1)
    lines.seek(0)
    if first != "{":
        table = csv.DictReader(lines)
        yield from ((table.line_num, row) for row in table)
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = codec.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(f"{str(path)!r}, line {number} is not a JSON object", fix=_SHAPE)
        yield number, record


def _name(record: Mapping[str, Any]) -> str | int | None:
    key = record.get("key")
    if isinstance(key, str) and key:
        return key
    index = finite_number(record.get("index"))
    return None if index is None or index != int(index) else int(index)
