"""Whether a text keeps to a cell: is each attribute's value named in it, and for an age or a gender not another?

Rules for words, not understanding: what they miss they miss for the tuned model and for its base alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


# Of a value's words these say nothing: they stand in most texts anyway.
_SMALL_WORDS = _listed(
    "a an and are as at be by for from in into is it its of on or that the their this through to with"
)
_SIGN = re.compile(r"[+#*/@&]")  # C++ is not C
_NAMED_SHARE = 2 / 3  # of a value's words: a text may say "turns lead to gold" or "makes gold of lead"
_ROOT_CHARS = 4  # what is left of a word; with less, `flying` and `flint` would be one
# The longest first. What they leave is no word, but the same for all forms of one.
_SUFFIXES = (
    *(
        "abilities",
        "ibilities",
        "ability",
        "ibility",
        "isation",
        "ization",
        "ations",
        "ation",
        "ators",
        "ator",
        "ating",
        "ated",
        "ates",
        "ate",
    ),
    *("ingly", "ility", "ities", "ances", "ance", "ence", "ness", "ment", "ably", "ibly", "able", "ible", "ings"),
    *("edly", "ical", "ally", "ists", "ist", "ing", "ers", "ors", "ion", "ies", "ity", "ize", "ise", "ive", "ous"),
    *("ic", "al", "ed", "er", "or", "es", "ly", "e", "s", "y"),
)
_IRREGULAR = dict.fromkeys(("flight", "flights", "flies", "flew", "flown", "flying", "flyer"), "fly")

_UNITS = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_NUMBER_WORD = rf"(?:(?:{'|'.join(_TENS)})(?:[-\s](?:{'|'.join(_UNITS[1:10])}))?|{'|'.join(reversed(_UNITS))})"
_NUMBER = rf"(?:\d+|{_NUMBER_WORD})"
_AGE = re.compile(
    rf"\b({_NUMBER})[-\s]+years?[-\s]+old\b|\b({_NUMBER})[-\s]+years?\s+of\s+age\b|\bage[ds]?(?:\s+of)?\s+({_NUMBER})\b",
    re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d\w]|[.,]\d)")
_SPELT = re.compile(rf"(?<![\w-]){_NUMBER_WORD}(?!\w)", re.IGNORECASE)

_MALE, _FEMALE = "male", "female"
_GENDERS = {
    _MALE: _listed("he him his himself man men male males boy boys gentleman king prince father son brother"),
    _FEMALE: _listed(
        "she her hers herself woman women female females girl girls lady queen princess mother daughter sister"
    ),
}


def kept(text: str, cell: Mapping[str, str], facets: Mapping[str, Sequence[str]]) -> dict[str, bool]:
    """For each field of `cell` whether `text` keeps to it. `facets` have all values that cells have."""
    return {name: _keeps(text, name, value, facets.get(name, ())) for name, value in cell.items()}


def _keeps(text: str, name: str, value: str, values: Sequence[str]) -> bool:
    if value.isdecimal():
        return names_age(text, int(value)) if "age" in re.split(r"[_\W]+", name.lower()) else names_number(text, value)
    gender = _gender_of(value)
    if gender is not None and all(_gender_of(each) for each in values):
        return speaks_of(text, gender)
    return names(text, value)


def names_number(text: str, value: str) -> bool:
    """Whether the number stands in `text`, in digits or in words, and is no part of another."""
    wanted = int(value)
    found = [int(each) for each in _WHOLE_NUMBER.findall(text)]
    return wanted in found or wanted in [_number(each) for each in _SPELT.findall(text)]


def names_age(text: str, age: int) -> bool:
    """Whether `text` names the age; where it says how old somebody is, the first who is spoken of must be."""
    told = _AGE.search(text)
    if told is not None:
        return age == _number(next(filter(None, told.groups())))
    return names_number(text, str(age))


def speaks_of(text: str, gender: str) -> bool:
    """Whether more words of `text` speak of this gender than of the other."""
    words = _WORD.findall(text.lower())
    other = _FEMALE if gender == _MALE else _MALE
    return sum(word in _GENDERS[gender] for word in words) > sum(word in _GENDERS[other] for word in words)


def names(text: str, value: str) -> bool:
    """Whether `text` names `value`: literally, or most of its words in whatever form."""
    if not value.strip():
        return False
    if re.search(rf"(?<!\w){re.escape(value.strip())}(?!\w)", text, re.IGNORECASE):
        return True
    words = [word for word in _WORD.findall(value.lower()) if word not in _SMALL_WORDS]
    if not words or _SIGN.search(value):
        return False
    if not any(word.isascii() for word in words) and value in text:  # scripts without spaces
        return True
    roots = {root(word) for word in _WORD.findall(text.lower())}
    return sum(root(word) in roots for word in words) >= math.ceil(len(words) * _NAMED_SHARE)


@lru_cache(maxsize=4096)
def root(word: str) -> str:
    """What all forms of a word have in common, roughly: `telepathy`, `telepathic` and `telepath` are one."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    while True:
        shorter = next(
            (word[: -len(end)] for end in _SUFFIXES if word.endswith(end) and len(word) - len(end) >= _ROOT_CHARS), None
        )
        if shorter is None:
            break
        word = shorter
    # `running` and `run`, `controlled` and `control`.
    return word[:-1] if len(word) >= _ROOT_CHARS and word[-1] == word[-2] else word


def _gender_of(value: str) -> str | None:
    return next((gender for gender, words in _GENDERS.items() if value.strip().lower() in words), None)


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    tens, _, unit = text.lower().replace("-", " ").partition(" ")
    whole = 20 + 10 * _TENS.index(tens) if tens in _TENS else _UNITS.index(tens)
    return whole + (_UNITS.index(unit.strip()) if unit.strip() else 0)
