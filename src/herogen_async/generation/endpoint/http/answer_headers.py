"""The headers of one answer, as they came over the wire: read only when somebody asks."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=256)  # the same few are looked for in every answer
def _key(name: str) -> bytes:
    return name.lower().encode("latin-1")


class AnswerHeaders:
    """Headers as they came; the first of several with one name counts."""

    __slots__ = ("_by_name", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._by_name: dict[bytes, bytes] | None = None

    def get(self, name: str) -> str | None:
        if self._by_name is None:
            self._by_name = {name.lower(): value for name, value in reversed(self._raw)}
        value = self._by_name.get(_key(name))
        return None if value is None else value.decode("latin-1").strip()

    def names(self) -> tuple[bytes, ...]:
        return tuple([name for name, _ in self._raw])
