"""The parameters that a model samples by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.core import codec
from herogen_async.specs.spec import check
from herogen_async.specs.spec.field_types import type_problems, unsuspected
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Problem

_TOKENS = 10_000_000  # far beyond any model's context

Penalty = Annotated[float | None, Field(ge=-2, le=2, description="a number from -2 to 2", examples=[0])]
Tokens = Annotated[
    int | None, Field(ge=1, le=_TOKENS, description=f"a whole number from 1 to {_TOKENS:,}", examples=[500])
]


class Sampling(BaseModel):
    """Sampling parameters under the API's own names. None means not sent: the server's default applies."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    temperature: float | None = Field(None, ge=0, le=100, description="a number from 0 to 100", examples=[1])
    max_tokens: Tokens = None
    max_completion_tokens: Tokens = None
    top_p: float | None = Field(None, ge=0, le=1, description="a number from 0 to 1", examples=[1])
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    stop: str | tuple[str, ...] | None = Field(None, description="text or a list of texts", examples=[["END"]])
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="a 64-bit whole number", examples=[7])
    extra: dict[str, Any] = Field({}, description="a mapping of additional parameters", examples=[{"top_k": 40}])

    def __init__(self, /, **data: Any) -> None:
        known = {
            key: tuple(value) if key == "stop" and isinstance(value, list) else value for key, value in data.items()
        }
        problems = [*check.sampling_problems(known), *_overlap_problems(known)]
        if not problems and isinstance(known.get("extra"), Mapping):
            known["extra"] = codec.loads(codec.dumps(dict(known["extra"])))  # a copy of plain JSON types
        problems += check.unknown_keys(known, Sampling.model_fields)
        try:
            super().__init__(**unsuspected(known, problems, Sampling))
        except ValidationError as invalid:
            problems += type_problems(invalid, type(self), problems)
        if problems:
            raise InvalidSpecError(problems, Nowhere())

    def as_sent(self) -> dict[str, Any]:
        """The parameters as sent: those that are set, with `extra` merged in. Plain JSON."""
        sent = {name: value for name in Sampling.model_fields if (value := getattr(self, name)) is not None}
        extra = sent.pop("extra")
        if isinstance(sent.get("stop"), tuple):
            sent["stop"] = list(sent["stop"])
        return {**sent, **extra}

    def as_dict(self) -> dict[str, Any]:
        """The parameters that are set, in the spec's shape. Plain JSON."""
        own = {name: value for name, value in self.as_sent().items() if name in Sampling.model_fields}
        return {**own, "extra": dict(self.extra)} if self.extra else own


def _overlap_problems(sampling: Mapping[str, Any]) -> list[Problem]:
    extra = sampling.get("extra")
    own = [key for key in extra if key in Sampling.model_fields] if isinstance(extra, Mapping) else []
    return [
        Problem(("extra", key), f"{key!r} is a sampling parameter", f"move it up: `sampling: {{{key}: ...}}`")
        for key in own
    ]


def question_fingerprint(
    endpoint: str,
    model: str,
    prompt: str,
    *,
    system: str | None,
    sampling: Sampling,
    columns: Sequence[str] = (),
    as_messages: bool = False,
    jinja: Sequence[str] = (),
    examples: str | None = None,
) -> str:
    """Hash of all that changes an answer besides its cell; `columns` are the fingerprints of what it builds on.

    `as_messages`: a conversation is sent as the messages of a chat, and not as a text. `jinja` names which of the texts
    are written in Jinja syntax. `examples` is the fingerprint of the examples that they show.
    """
    asked: dict[str, Any] = {
        "endpoint": endpoint,
        "model": model,
        "prompt": prompt,
        "system": system,
        "sampling": sampling.as_sent(),
    }
    if as_messages:
        asked["messages"] = True
    if jinja:
        asked["jinja"] = list(jinja)
    if examples is not None:
        asked["examples"] = examples
    return codec.fingerprint({**asked, "columns": list(columns)} if columns else asked)
