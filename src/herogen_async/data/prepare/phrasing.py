"""Row numbers of a file, formatted for sentences, and a sentence that several checks say."""

from __future__ import annotations

from collections.abc import Sequence

from herogen_async.core.errors import InputError
from herogen_async.specs.records import quoted

_MOST_PLACES = 5


def places(numbers: Sequence[int]) -> str:
    """`Row 3`, `Rows 3, 4 and 9`, `Rows 1, 2, 3, 4, 5 and 1,200 more`."""
    if len(numbers) == 1:
        return f"Row {numbers[0]:,}"
    listed = [f"{number:,}" for number in numbers[:_MOST_PLACES]]
    if len(numbers) > _MOST_PLACES:
        listed.append(f"{len(numbers) - _MOST_PLACES:,} more")
    return f"Rows {', '.join(listed[:-1])} and {listed[-1]}"


def refuse_identical(texts: Sequence[str], what: str, fix: str) -> None:
    """Raise InputError if there are several texts and all are equal: they teach nothing."""
    if len(texts) > 1 and all(each == texts[0] for each in texts):
        raise InputError(f"all {what} are the same: {quoted(texts[0])}", fix=fix)
