"""`conversation`: two columns in alternation, turn by turn, and the transcript of what they said so far.

It stands for columns of their own: `student.1`, `teacher.1`, `student.2` and so on. In templates `{conversation}` is a
text with placeholders of those, so whatever holds for placeholders holds for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.specs.spec.template import Template

USER, ASSISTANT = _ROLES = ("user", "assistant")
MAX_EXCHANGES = 32  # a `train` has as many turns as those of both sides together
TRANSCRIPT = "conversation"  # the placeholder
_BETWEEN = "\n\n"

SpokenTurns = Sequence[tuple[str, str]]
"""(role, the name of the column that says it), in order."""


class TalkingColumns(BaseModel):
    """Which columns ask and answer, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user: str = Field(description="the column that asks", examples=["student"])
    assistant: str = Field(description="the column that answers", examples=["teacher"])
    turns: int = Field(ge=1, le=MAX_EXCHANGES, description=f"a whole number from 1 to {MAX_EXCHANGES}", examples=[3])

    @property
    def columns(self) -> tuple[str, str]:
        """Both."""
        return self.user, self.assistant

    @property
    def spoken(self) -> SpokenTurns:
        """All that is said."""
        return [
            (role, turn_name(column, number))
            for number in range(1, self.turns + 1)
            for role, column in zip(_ROLES, self.columns, strict=True)
        ]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TalkingColumns | None:
        """That of a spec's data; None where it has none, or one with mistakes."""
        given, columns = data.get(TRANSCRIPT), data.get("columns")
        if not isinstance(given, Mapping) or not isinstance(columns, Mapping):
            return None
        sides = [given.get(role) for role in _ROLES]
        if sides[0] == sides[1] or not all(isinstance(each, str) and each in columns for each in sides):
            return None
        try:
            return cls(**given)
        except ValidationError:
            return None


def turn_name(column: str, number: int) -> str:
    """What the column of one turn is called; turns count from 1."""
    return f"{column}.{number}"


def stem_of(name: str) -> str:
    """The column that a turn is one of; of any other name itself."""
    return name.partition(".")[0]


def transcript(turns: SpokenTurns) -> str:
    """The template of what was said: `User: ...` and `Assistant: ...`, with a blank line between them."""
    return _BETWEEN.join(f"{role.capitalize()}: {{{name}}}" for role, name in turns)


def with_transcript(template: Template, turns: SpokenTurns) -> Template:
    """The same with what was said in the place of `{conversation}`."""
    if TRANSCRIPT not in template.names:
        return template
    return template.with_transcript(TRANSCRIPT, turns, transcript(turns))


def is_transcript(template: Template) -> bool:
    """Whether it is `{conversation}` and nothing else."""
    return template.plain_text.strip() == f"{{{TRANSCRIPT}}}"
