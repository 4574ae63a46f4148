"""Where each value stands in its list. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class ValueTables:
    """One table a list, made when it is asked for, and shared by all grids that have the list."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Sequence[str], dict[str, int]]] = {}  # by identity: the list is held on to

    def of(self, values: Sequence[str]) -> dict[str, int]:
        """The table of a list that doesn't change."""
        known = self._known.get(id(values))
        if known is None:
            known = self._known[id(values)] = values, {text: place for place, text in enumerate(values)}
        return known[1]
