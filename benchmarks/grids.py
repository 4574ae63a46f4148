"""The questions of all benchmarks: a grid of any round size, as our spec and as a list of prompts for the peers.

`TEXT` is what `fast_server.py` answers.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROMPT = (
    "Imagine a complete and detailed description of a {age}-year-old fictional character from {town} who has the"
    " superpower of {power}. Write out the entire description in a maximum of 100 words in great detail:"
)
TEXT = (
    "Mara Quill is a wiry thirty-year-old archivist whose silver-streaked braid never quite stays pinned. By day she"
    " mends maps in a basement that smells of glue and rain; by night she steps sideways into the unseen, her outline"
    " thinning until even streetlights forget her. Invisibility came to her after a flood, and it asks a price: each"
    " hour unseen erases one small memory, so she keeps a ledger of birthdays, songs and the names of friends. She is"
    " patient, dry-humoured and fiercely loyal, distrusts applause, and returns lost things to their owners before"
    " dawn, leaving only a pressed fern behind."
)
SAMPLING = {"temperature": 1, "max_tokens": 500, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}

_MANNERS = ["silent", "sudden", "gentle", "borrowed", "stubborn", "golden", "hidden", "patient", "broken", "ancient"]
_POWERS = ["flight", "telepathy", "healing", "alchemy", "foresight", "mimicry", "haste", "frost", "echo", "growth"]
_SIDES = ["upper", "lower", "new", "old", "north", "south", "east", "west", "great", "little"]
_TOWNS = ["Harrow", "Linden", "Quarry", "Marsh", "Copper", "Willow", "Ember", "Falcon", "Juniper", "Tallow"]

_VALUES = {
    "age": [str(age) for age in range(1, 101)],
    "power": [f"{manner} {power}" for manner in _MANNERS for power in _POWERS],
    "town": [f"{side.title()} {town}" for side in _SIDES for town in _TOWNS],
}


def attributes(rows: int) -> dict[str, list[str]]:
    """Three attributes of at most 100 values each whose product has exactly `rows` cells.

    Raises ValueError when `rows` has no such factors; 2,000, 20,000 and 1,000,000 have.
    """
    sizes = []
    rest = rows
    for _ in _VALUES:
        sizes.append(next(size for size in range(100, 0, -1) if rest % size == 0))
        rest //= sizes[-1]
    if rest != 1:
        raise ValueError(f"{rows!r} rows are no product of three numbers up to 100; fix: ask for 20000, say")
    return {name: values[:size] for (name, values), size in zip(_VALUES.items(), sizes, strict=True)}


def spec(rows: int) -> dict[str, Any]:
    """Our spec of `rows` cells."""
    return {"name": "bench", "attributes": attributes(rows), "repeats": 1, "prompt": PROMPT, "sampling": SAMPLING}


def write_spec(rows: int, path: Path) -> None:
    """Our spec of `rows` cells, as JSON."""
    path.write_text(json.dumps(spec(rows), indent=2))


COLUMNS = 3
_CELL = "{age}, {town}, {power}"  # in each prompt, so that no two requests are alike though all answers are
_BESIDE_ANSWER = 100  # characters of a prompt, besides the answer that it holds


def columns_spec(rows: int, *, columns: int, answer: str) -> dict[str, Any]:
    """A spec of `rows` rows of 1 or COLUMNS calls, each building on the one before; all prompts are of one length.

    `answer` is the server's, which is always the same: where a prompt holds none, as many other characters stand.
    """
    texts = {}
    for number in range(columns):
        head = f"Step {number}: {_CELL}. "
        if number:
            texts[f"step_{number}"] = head.ljust(_BESIDE_ANSWER, ".") + f"{{step_{number - 1}}}"
        else:
            texts["step_0"] = head.ljust(_BESIDE_ANSWER + len(answer), ".")
    grid: dict[str, Any] = {"name": "bench", "attributes": attributes(rows), "sampling": SAMPLING}
    if columns == 1:
        return {**grid, "prompt": texts["step_0"]}
    return {**grid, "columns": {name: {"prompt": text} for name, text in texts.items()}}


FORM = {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "why": "string"}


def form_spec(rows: int, *, form: bool) -> dict[str, Any]:
    """A spec of one column, with the form that `fast_server.py --form` answers in, or unchecked."""
    column = {"prompt": PROMPT, **({"answer": FORM} if form else {})}
    return {"name": "bench", "attributes": attributes(rows), "sampling": SAMPLING, "columns": {"verdict": column}}


def prompts(rows: int, template: str = PROMPT) -> Iterator[str]:
    """The same cells in the same order, rendered."""
    grid = attributes(rows)
    for cell in itertools.product(*grid.values()):
        yield template.format(**dict(zip(grid, cell, strict=True)))
