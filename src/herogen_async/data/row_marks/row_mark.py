"""One thing that a person says of one answer, as a record, and what all of them together come to. Pure.

A record names the call by `key` and `index`, and the very answer by the checksum of its line (`answer`): what is asked
again under the same key has not been judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest, shown

MARK_KINDS = ("good", "bad", "clear", "score", "note", "edit")
SCORES = range(1, 6)
CALL_NAMES = ("key", "index", "column", "sample", "answer")  # what of a record says which answer it is of
MOST_NOTE = 10_000  # characters
MOST_EDIT = 1_000_000  # as long as the longest answer, and then some


@dataclass(frozen=True, slots=True)
class RowMark:
    """What holds of one answer: `verdict` is `good`, `bad` or None, `edit` the text that is to stand in its place."""

    verdict: str | None = None
    score: int | None = None
    note: str | None = None
    edit: str | None = None
    at: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said of the answer any more."""
        return (self.verdict, self.score, self.note, self.edit) == (None, None, None, None)

    def after(self, record: Mapping[str, Any]) -> RowMark:
        """What holds once this was said, too: the last word on each thing."""
        kind, at = record.get("mark"), record.get("at")
        if kind in ("good", "bad", "clear"):
            return replace(self, verdict=None if kind == "clear" else kind, at=at)
        if kind == "score":
            return replace(self, score=record.get("score"), at=at)
        if kind == "note":
            return replace(self, note=record.get("text") or None, at=at)
        return replace(self, edit=record.get("text"), at=at) if kind == "edit" else self

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, without what nobody said."""
        told = {"verdict": self.verdict, "score": self.score, "note": self.note, "edit": self.edit, "at": self.at}
        return {name: value for name, value in told.items() if value is not None}


def mark_record(call: Mapping[str, Any], kind: str, value: Any, at: datetime) -> dict[str, Any]:
    """The record of one mark; `call` has `key`, `index`, `answer`, and `column` and `sample` where a row has several.

    `value` is the score of a `score` (None takes it back), the text of a `note` (empty: none) or of an `edit` (None:
    none). Raises InputError.
    """
    named = {name: call[name] for name in CALL_NAMES if call.get(name) is not None}
    return {**named, "mark": kind, **_said(kind, value), "at": at}


def _said(kind: str, value: Any) -> dict[str, Any]:
    if kind not in MARK_KINDS:
        raise InputError(f"unknown mark {kind!r}", fix=nearest(kind, MARK_KINDS))
    if kind == "score":
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value not in SCORES):
            raise InputError(f"a score can't be {shown(value)}", fix="give a whole number from 1 to 5")
        return {"score": value}
    if kind in ("note", "edit"):
        most = MOST_NOTE if kind == "note" else MOST_EDIT
        if not (isinstance(value, str) or (kind == "edit" and value is None)):
            raise InputError(
                f"{shown(value)} is not the text of {'a note' if kind == 'note' else 'an edit'}", fix="give a text"
            )
        if value is not None and len(value) > most:
            raise InputError(f"the {kind} has {len(value):,} characters", fix=f"shorten it to {most:,}")
        return {"text": value}
    if value is not None:
        raise InputError(f"the mark {kind!r} has no value", fix="leave the value out")
    return {}
