"""The common beginnings and ends of texts, and whether they are marks or coincidences.

A mark was put there by a person or a tool: a separator after every prompt, an ending after every completion. A
coincidence is what the data happen to share: `man, flight` in a list of men and women who fly, the `d` of good and bad.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# In the order of preference; the last is used if all others occur in the data.
SEPARATORS = (" ->", "\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n", "\n\n### =>\n\n")
ENDINGS = ("\n", ".", " END", "***", "+++", "&&&", "$$$", "@@@", "%%%", " [END]")
_SURE_ENDINGS = ENDINGS[2:]  # a newline or a full stop may be part of the text itself
_NUMBER_AT_END = re.compile(r"[-+]?\d[\d.,]*\Z")
_CAPITALS = re.compile(r"[A-Z]{2,}(?![^\W_])")
_PUT_THERE = re.compile(r"(?:(?<![^\W_])(?:[A-Z]{2,}|end)|[][*+&$@%#~=<>|_^{}/\\-]{2,}|\[[A-Z]{2,}\])\s*\Z")


def shared_head(texts: Sequence[str]) -> str:
    """The longest common beginning of `texts`."""
    if not texts:
        return ""
    first, last = min(texts), max(texts)  # all others sort between these two, so they share at least as much
    length = _longest(min(len(first), len(last)), lambda size: last.startswith(first[:size]))
    return first[:length]


def before_number(head: str, texts: Sequence[str]) -> str:
    """`head` without the number that it ends in, if that goes on in one of `texts`: cut in two, it is another."""
    if not any(text[len(head) : len(head) + 1].isdigit() for text in texts):
        return head
    return _NUMBER_AT_END.sub("", head)


def shared_tail(texts: Sequence[str]) -> str:
    """The longest common end of `texts`."""
    tail = texts[0] if texts else ""
    for text in texts:
        if not tail:
            return ""
        if not text.endswith(tail):
            tail = _tail_of_two(tail, text)
    return tail


def first_absent(options: Sequence[str], texts: Sequence[str]) -> str:
    """The first of `options` that occurs in none of `texts`; the last one if all others occur."""
    return next((each for each in options[:-1] if not any(each in text for text in texts)), options[-1])


def separator_for(prompts: Sequence[str]) -> str:
    """The separator to add: one that occurs in no prompt, and not an arrow if prompts have several lines."""
    several_lines = any("\n" in prompt for prompt in prompts)
    return first_absent(SEPARATORS[1:] if several_lines else SEPARATORS, prompts)


def separator_in(prompts: Sequence[str], *, labels: bool = False) -> str:
    """The separator at the end of all prompts; "" if what they share is a coincidence.

    If completions are `labels`, any shared end counts, as in the legacy tool: such a model answers with one short label
    however its prompts end, and its questions come from the same list.
    """
    tail = shared_tail(prompts)
    known = _known(tail, SEPARATORS)
    if known or len(prompts) == 1:  # all of one prompt is "shared"
        return known if len(prompts) == 1 or _has_words(tail.removesuffix(known)) else tail
    if labels:
        return tail
    mark = _from_word_boundary(tail, prompts)
    ends_in_a_word = mark[-1:].isalnum() and "\n" not in mark
    return "" if ends_in_a_word or (mark in prompts and not _is_put_there(mark)) else mark


def ending_in(completions: Sequence[str], *, labels: bool = False) -> str:
    """The ending of all completions; "" if it is a coincidence, or also occurs before their end.

    Generation stops at the first one, so a text that occurs earlier is not an ending, and a whole completion is one
    only if completions are `labels`. What nobody writes by chance (` END`, `###`) counts nevertheless.
    """
    tail = shared_tail(completions)
    known = _known(tail, ENDINGS if len(completions) == 1 else _SURE_ENDINGS)
    if len(completions) == 1 or (known and _has_words(tail.removesuffix(known))):
        mark = known
    else:
        mark = _from_word_boundary(tail, completions)
    if _is_put_there(mark):
        return mark
    return "" if occurs_inside(mark, completions) or (not labels and mark in completions) else mark


def strictly(mark: str, known: Sequence[str], texts: Sequence[str]) -> str:
    """`mark` in a file about which nothing else is known: the known mark in it, or itself if it is not prose."""
    core = _known(mark, known)
    if core:
        return core
    whole = any(text.strip() == mark.strip() for text in texts)
    prose = all(each.isalnum() or each in " ,'" for each in mark) and not mark.isupper()
    return "" if whole or prose else mark


def occurs_inside(mark: str, texts: Sequence[str]) -> bool:
    """Whether `mark`, which ends all `texts`, also occurs before the end of one."""
    return bool(mark) and any(text.find(mark) < len(text) - len(mark) for text in texts)


def is_cut_word(tail: str, texts: Sequence[str]) -> bool:
    """Whether `tail` begins inside a word of some text; capitals after lower case (`heroEND`) do not."""
    before = -len(tail) - 1
    within = [text[before] for text in texts if len(text) > len(tail) and text[before].isalnum()]
    if _CAPITALS.match(tail):
        within = [each for each in within if not each.islower()]
    return tail[:1].isalnum() and bool(within)


def _from_word_boundary(tail: str, texts: Sequence[str]) -> str:
    """`tail` without the partial word at its beginning."""
    return tail.lstrip("".join({each for each in tail if each.isalnum()})) if is_cut_word(tail, texts) else tail


def _is_put_there(mark: str) -> bool:
    """Whether `mark` ends with what nobody writes by chance: symbols that end no sentence, capitals, or an `end`."""
    return _PUT_THERE.search(mark) is not None


def _known(tail: str, marks: Sequence[str]) -> str:
    """The longest of `marks` that `tail` ends with, or ""."""
    return max((each for each in marks if tail.endswith(each)), key=len, default="")


def _has_words(text: str) -> bool:
    return any(each.isalnum() for each in text)


def _tail_of_two(tail: str, text: str) -> str:
    length = _longest(min(len(tail), len(text)), lambda size: text.endswith(tail[len(tail) - size :]))
    return tail[len(tail) - length :]


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest size up to `most` that fits; what fits also fits in every smaller size."""
    least = 0
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least
