"""The input and the results of an inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from herogen_async.core.units import count
from herogen_async.specs.sources.cells import Cells

# The kinds of findings. The word is the same in `quality.json`, in the card and on the command line.
EMPTY = "empty"
CUT = "cut"
REFUSED = "refused"
DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near-duplicate"
LANGUAGE = "language"
LENGTH = "length"
LOOPING = "looping"
SEPARATOR_INSIDE = "separator-inside"
ENDING_INSIDE = "ending-inside"
KINDS: Mapping[str, str] = {
    EMPTY: "empty answer",
    CUT: "cut off before the model stopped by itself",
    REFUSED: "the model refused to answer",
    DUPLICATE: "same as an earlier answer, ignoring case and spaces",
    NEAR_DUPLICATE: "nearly the same as an earlier answer",
    LANGUAGE: "in a different language than most answers",
    LENGTH: "far shorter or longer than most answers",
    LOOPING: "stuck in a loop: most three-word sequences are repeated",
    SEPARATOR_INSIDE: "the separator occurs inside the prompt",
    ENDING_INSIDE: "the ending occurs inside the completion",
}


def row_name(number: int, samples: int) -> str:
    """The row with this number, in words; where rows give several examples, they are numbered row x `samples` on."""
    row, sample = divmod(number, samples)
    return f"row {count(row)}" if samples == 1 else f"row {count(row)}, sample {sample + 1}"


@dataclass(frozen=True, slots=True)
class Example:
    """One row as it would be taught: `prompt` without the separator, `completion` without lead and ending.

    `number` identifies the row in all results; the caller chooses it, and no two rows share one. `cell` is what its
    cell is found by, `finish_reason` is the server's word. The token counts are those of these very texts: None if
    `usage` counted others, such as the long prompt that was sent but is not taught.
    """

    number: int
    cell: Mapping[str, str]
    repeat: int
    prompt: str
    completion: str
    finish_reason: str | None
    completion_tokens: int | None
    prompt_tokens: int | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sample row: its number and the start of its text, at most 120 characters in one line.

    The text comes from a model: escape it before showing it.
    """

    number: int
    excerpt: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The findings of one kind: the number of rows, and the first few of them."""

    kind: str
    rows: int
    seen: tuple[Sighting, ...]

    @property
    def meaning(self) -> str:
        """The kind as a phrase."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of one measure over the kept rows."""

    least: int
    p05: int
    p50: int
    p95: int
    most: int
    mean: float


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of the kept rows. For `estimated` completions and `estimated_prompts` prompts the usage is unknown: one
    token per four bytes is assumed.
    """

    prompt: int
    completion: int
    estimated: int
    estimated_prompts: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of the cells of `source` by the kept rows. `by_cell` has only cells with rows, by their index.

    `outside` rows have a cell that does not exist, and count nowhere else here. `fewest` is over all cells, so it is 0
    if any cell is empty. `by_value` is per facet. `pairs` of `pairs_of` pairs of values of two facets have rows; None
    where there are too many cells to count them.
    """

    source: Cells = field(compare=False)
    repeats: int
    cells: int
    empty: int
    fewest: int
    most: int
    outside: int
    by_value: Mapping[str, Mapping[str, int]]
    by_cell: Mapping[int, int]
    pairs: int | None = None
    pairs_of: int | None = None

    @property
    def rows_per_cell(self) -> str:
        """`3`, or `1 to 3`."""
        return f"{self.most:,}" if self.fewest == self.most else f"{self.fewest:,} to {self.most:,}"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with the same (`DUPLICATE`) or nearly the same (`NEAR_DUPLICATE`) answer: the one that stays and the others.

    `similarity` is the lowest similarity to the row that stays; 1.0 means the same.
    """

    stays: int
    others: tuple[int, ...]
    similarity: float
    excerpt: str


@dataclass(frozen=True, slots=True)
class ReportFigures:
    """The figures behind the charts.

    `words`: words -> rows, separately for usual answers (`usual`), truncated ones (`cut`), length outliers (`outlier`),
    and empty or refused ones (`other`). `bounds`: an answer with fewer or more words is an outlier; None for too few
    rows. `nearest`: for each row that stays, or an even sample of them, the similarity to the most similar other one.
    """

    words: Mapping[str, Mapping[int, int]]
    bounds: tuple[float, float] | None
    nearest: tuple[float, ...]
