"""Values and names of a spec that differ in their bytes and look the same: two cells, one question, paid twice. Pure.

They come from copied tables, from files of macOS (letters with their accents apart), from blanks at an end. Whether one
is meant can't be told, so they are named, not refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from herogen_async.core.likeness import as_seen

_SHOWN = 5  # groups of an attribute, and values of a group
_CHARS = 60  # of a value


def twin_lines(attributes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A sentence for each attribute whose values look the same to a person, and one for names that do."""
    if named := _groups(attributes):
        alike = "; ".join(_listed((_spelt(name) for _, name in group)) for group in named)
        yield f"Attributes that look the same: {alike}. Rename one of them."
    for name, values in attributes.items():
        if len(set(map(as_seen, values))) == len(values):
            continue
        groups = _groups(values)
        alike = "; ".join(map(_alike, groups[:_SHOWN]))
        more = f"; and {len(groups) - _SHOWN:,} more such groups" if len(groups) > _SHOWN else ""
        yield (
            f"Attribute {name!r} holds values that look the same: {alike}{more}. "
            "Each is asked and paid for: the same question twice. Keep one of them, or tell them apart."
        )


def _alike(group: list[tuple[int, str]]) -> str:
    values = _listed(f"{_spelt(value)} (value {place})" for place, value in group)
    return f"{values} differ only in {_difference(group)}"


def _groups(texts: Iterable[str]) -> list[list[tuple[int, str]]]:
    """Those that look the same, each with its place from 1."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for place, text in enumerate(texts, start=1):
        seen.setdefault(as_seen(text), []).append((place, text))
    return [group for group in seen.values() if len(group) > 1]


def _difference(group: list[tuple[int, str]]) -> str:
    if len({unicodedata.normalize("NFC", text) for _, text in group}) == 1:
        return "Unicode form (NFC and NFD)"
    if len({"".join(text.split()) for _, text in group}) == 1:
        return "blanks"
    return "characters that nobody sees"


def _spelt(text: str) -> str:
    """`text` in quotes, with what can't be seen written out."""
    shown = "".join(map(_character, text[:_CHARS]))
    return f"'{shown}{'…' if len(text) > _CHARS else ''}'"


def _character(each: str) -> str:
    plain = each == " " or (each.isprintable() and not unicodedata.combining(each))
    return each if plain else each.encode("unicode_escape").decode()


def _listed(parts: Iterable[str]) -> str:
    every = list(parts)
    shown, more = every[:_SHOWN], len(every) - _SHOWN
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if more <= 0 else f"{', '.join(shown)} and {more:,} more"
