"""What of a server's `usage` is believed: counts that a token count can be, and nothing else. Pure.

A count decides what is paid: one that is negative, fractional, a text, a truth value or beyond any model is no count.
Where one of the three that every server tells is nonsense, so is what stands beside it: then the usage is unknown, and
the budget reckons with the worst case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

MOST_TOKENS = 10**8  # of one call: the longest contexts hold a tenth of that
MOST_OTHER = 10**12  # nanoseconds of a quarter of an hour: a sum over millions of rows stays within 64 bits
_WORD_LIMIT = 64  # characters: names become keys of counters that live as long as the run
_NAMES = 16  # servers have up to ten
_MAIN = ("prompt_tokens", "completion_tokens", "total_tokens")


def is_token_count(value: object) -> TypeGuard[int]:
    """Whether `value` can be the tokens of one call."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


def usage_from(said: object) -> dict[str, Any]:
    """The counts in a server's `usage`, empty where it says none.

    The prompt tokens that were cached stand beside the others as `cached_tokens`, since they have a price of their own.
    """
    if not isinstance(said, dict):
        return {}
    if len(said) == len(_MAIN):  # nothing else, as most servers tell them: then there is nothing to pick
        prompt, answer, total = said.get("prompt_tokens"), said.get("completion_tokens"), said.get("total_tokens")
        if (
            type(prompt) is int
            and type(answer) is int
            and type(total) is int
            and 0 <= prompt <= MOST_TOKENS
            and 0 <= answer <= MOST_TOKENS
            and 0 <= total <= MOST_TOKENS
        ):
            return said
    counts = _counts(said)
    if len(counts) < len(said):
        _drop_nonsense(counts, said)
    cached = counts.get("prompt_cache_hit_tokens")  # DeepSeek's word
    if isinstance(details := counts.get("prompt_tokens_details"), dict):
        cached = details.get("cached_tokens", cached)
    if type(cached) is int and cached > 0 and "prompt_tokens" in counts:  # none that is not believed came so far
        counts["cached_tokens"] = min(cached, counts["prompt_tokens"])
    return counts


def whole_counts(usage: object) -> dict[str, int]:
    """What a journaled `usage` adds to a run's sums; a row from before this check may hold anything."""
    if not isinstance(usage, dict):
        return {}
    counts = {name: count for name, count in usage.items() if type(count) is int and 0 <= count <= _most(name)}
    if len(counts) < len(usage):
        _drop_nonsense(counts, usage)
    return counts


def _counts(said: dict[str, Any], *, with_details: bool = True) -> dict[str, Any]:
    """The numbers of a `usage`, and those of its details: nothing deeper belongs there, or could be written."""
    counts: dict[str, Any] = {}
    for name, count in said.items():
        if len(name) > _WORD_LIMIT or len(counts) >= _NAMES:
            continue
        kind = type(count)
        if kind is int:
            # The second look, a call, is for what is no count of tokens.
            if 0 <= count <= MOST_TOKENS or 0 <= count <= _most(name):
                counts[name] = count
        elif kind is float:
            if not name.endswith("tokens"):
                if -MOST_OTHER <= count <= MOST_OTHER:  # seconds, prices
                    counts[name] = count
            elif count.is_integer() and 0 <= count <= MOST_TOKENS:  # a language that has no other numbers
                counts[name] = int(count)
        elif kind is dict and with_details and not name.endswith("tokens"):
            counts[name] = _counts(count, with_details=False)
    return counts


def _most(name: str) -> int:
    return MOST_TOKENS if name.endswith("tokens") else MOST_OTHER


def _drop_nonsense(counts: dict[str, Any], said: Mapping[str, Any]) -> None:
    """Leave out all that is paid by where one of them is told and is no count."""
    if any(said.get(name) is not None and name not in counts for name in _MAIN):
        for name in (*_MAIN, "cached_tokens", "prompt_cache_hit_tokens", "prompt_tokens_details"):
            counts.pop(name, None)
