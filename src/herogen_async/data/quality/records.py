"""What goes into an inspection and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What a row can be flagged with. The word is the same in `quality.json`, in the card and on the command line.
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
    EMPTY: "nothing in the answer",
    CUT: "cut off: the answer did not stop by itself",
    REFUSED: "the model refused to answer",
    DUPLICATE: "says the same as an earlier answer, but for case and spaces",
    NEAR_DUPLICATE: "says nearly the same as an earlier answer",
    LANGUAGE: "in another language than most answers",
    LENGTH: "far shorter or longer than most answers",
    LOOPING: "goes round in circles: most of its runs of three words come again",
    SEPARATOR_INSIDE: "the separator stands inside the prompt",
    ENDING_INSIDE: "the ending stands inside the completion",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One row as it would be taught: `prompt` without the separator, `completion` without lead and ending.

    `number` names the row in all that is reported, and is the caller's own; no two rows share one. `cell` holds the
    row's attributes, `finish_reason` is the server's word. The tokens are those of these very texts: None where `usage`
    counted others, such as the prompt that an answer was asked with and is not taught with.
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
    """A row that a person may look at: its number and the start of its text, at most 120 characters in one line.

    The text is a model's: whoever shows it escapes it.
    """

    number: int
    excerpt: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one kind: how many rows, and the first few of them."""

    kind: str
    rows: int
    seen: tuple[Sighting, ...]

    @property
    def meaning(self) -> str:
        """The kind in words."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of one measure over the kept rows."""

    least: int
    p05: int
    p50: int
    p95: int
    most: int
    mean: float


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of the kept rows. Of `estimated` completions and `estimated_prompts` prompts no usage was known: a token
    is four bytes of their texts.
    """

    prompt: int
    completion: int
    estimated: int
    estimated_prompts: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How the kept rows lie in the grid. `by_cell` holds the cells with rows alone, by their index in the grid's order.

    `outside` rows have a cell that the grid does not hold: they count nowhere else here. `fewest` is over all cells,
    so it is 0 when there is an empty one.
    """

    attributes: Mapping[str, tuple[str, ...]]
    repeats: int
    cells: int
    empty: int
    fewest: int
    most: int
    outside: int
    by_value: Mapping[str, Mapping[str, int]]
    by_cell: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that say the same (`DUPLICATE`) or nearly the same (`NEAR_DUPLICATE`): the one that stays, then the others.

    `similarity` is the least one to the row that stays: 1.0 for the same.
    """

    stays: int
    others: tuple[int, ...]
    similarity: float
    excerpt: str


@dataclass(frozen=True, slots=True)
class ReportFigures:
    """What the pictures are drawn from.

    `words`: words -> rows, apart for the usual ones (`usual`), cut ones (`cut`), length outliers (`outlier`), and the
    empty and refused (`other`). `bounds` are the words below and above which an answer is an outlier, None for too few
    rows. `nearest`: for each row that stays, or for an even sample of them, the similarity to the likest other one.
    """

    words: Mapping[str, Mapping[int, int]]
    bounds: tuple[float, float] | None
    nearest: tuple[float, ...]
