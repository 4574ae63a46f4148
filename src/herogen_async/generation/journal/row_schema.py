"""What a journal's records look like: which keys, of which types."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

_TEXT, _MAYBE_TEXT, _NUMBER = (str,), (str, type(None)), (int, float)
_OF_A_TASK = {"key": _TEXT, "index": (int,), "cell": (dict,), "repeat": (int,), "created_at": _TEXT}


class RecordSchema:
    """Keys and the types that their values may have."""

    def __init__(self, types: Mapping[str, tuple[type, ...]]) -> None:
        self._types = types
        self._values = itemgetter(*types)
        self._sound: set[tuple[type, ...]] = set()  # the few combinations that there are

    def fault_of(self, record: Mapping[str, Any]) -> str | None:
        """What is wrong with a record, in words; None when nothing is. What else it holds is a later version's."""
        try:
            found = tuple(map(type, self._values(record)))
        except KeyError as error:
            return f"{error.args[0]!r} is missing"
        if found not in self._sound:
            for name, kind in zip(self._types, found, strict=True):
                if kind not in self._types[name]:
                    wanted = " or ".join("null" if each is type(None) else each.__name__ for each in self._types[name])
                    return f"{name!r} is {repr(record[name])[:60]}, not of type {wanted}"
            self._sound.add(found)
        return None if record["repeat"] >= 1 else f"'repeat' is {record['repeat']}, and counts from 1"


ROW = RecordSchema(
    {
        **_OF_A_TASK,
        "prompt": _TEXT,
        "sub_prompt": _TEXT,
        "response_txt": _TEXT,
        "finish_reason": _MAYBE_TEXT,
        "model": _MAYBE_TEXT,
        "usage": (dict, type(None)),
        "request_id": _MAYBE_TEXT,
        "attempts": (int,),
        "latency_ms": _NUMBER,
    }
)
FAILURE = RecordSchema(
    {
        **_OF_A_TASK,
        "kind": _TEXT,
        "message": _TEXT,
        "status": (int, type(None)),
        "request_id": _MAYBE_TEXT,
        "attempts": (list,),
    }
)
