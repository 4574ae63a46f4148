"""`Spec`: what to ask, how often, and with which sampling parameters.

S1  Every `Spec` is valid: each way to make one checks it, and raises `SpecError` with all mistakes at once.
S2  `Spec(**spec.as_dict()) == spec`, and `as_dict()` is plain JSON.
S3  `generation_fingerprint` changes if and only if what the server is asked can change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.core import codec
from herogen_async.core.likeness import shown
from herogen_async.specs.spec import check
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Place, Problem
from herogen_async.specs.spec.template import Template

if TYPE_CHECKING:
    from herogen_async.specs.spec.loader import Source

__all__ = ["Sampling", "Spec", "Template"]

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
            super().__init__(**_unsuspected(known, problems, Sampling))
        except ValidationError as invalid:
            problems += _type_problems(invalid, type(self), problems)
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


class Spec(BaseModel):
    """What to ask: a grid of attributes, a prompt template, sampling parameters and the answers wanted per cell."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(description="a file name of 1 to 80 letters, digits, dots, dashes", examples=["superhero"])
    attributes: dict[str, tuple[str, ...]] = Field(
        description="a mapping of names to lists of values",
        examples=[{"age": ["18", "20"], "gender": ["man", "woman"]}],
    )
    repeats: int = Field(1, ge=1, le=1_000_000, description="a whole number from 1 to 1,000,000", examples=[3])
    prompt: str = Field(
        description="text with {attribute} placeholders", examples=["Describe a {age}-year-old {gender}."]
    )
    sub_prompt: str = Field(
        "", description="text with {attribute} placeholders; default: all of them", examples=["{age}, {gender}"]
    )
    system: str | None = Field(None, description="text (for endpoint chat)", examples=["You write for children."])
    sampling: Sampling = Field(
        default_factory=Sampling, description="a mapping of sampling parameters", examples=[{"max_tokens": 500}]
    )
    endpoint: Literal["completions", "chat"] = Field(
        "completions", description="'completions' or 'chat'", examples=["chat"]
    )
    model: str | None = Field(None, description="a model name", examples=["babbage-002"])

    def __init__(self, /, **data: Any) -> None:
        self._fill(data, Nowhere())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The spec in a YAML or JSON file. Raises SpecError with file, line, value and fix of every mistake."""
        from herogen_async.specs.spec import loader  # noqa: PLC0415 - ruamel.yaml costs 40 ms, and the built-in needs none

        return cls._read(*loader.load(path))

    @classmethod
    def parse(cls, text: str | bytes, *, file: str | None = None) -> Self:
        """The spec in `text`, YAML or JSON. `file` is the name that errors use for it."""
        from herogen_async.specs.spec import loader  # noqa: PLC0415 - as in `load`

        return cls._read(*loader.parse(text, file=file))

    @classmethod
    def builtin(cls) -> Self:
        """The superhero spec, the default when none is given; `superhero.yaml` is its commented form."""
        from herogen_async.specs.spec.superhero import SUPERHERO  # noqa: PLC0415 - only this needs it

        return cls(**SUPERHERO)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema of a spec file, for editors."""
        from herogen_async.specs.spec.schema import file_schema  # noqa: PLC0415 - only `init --schema` needs it

        return file_schema(cls.model_json_schema())

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`, checked as a new spec. Raises SpecError when they do not fit the rest."""
        return type(self)(**{**self.as_dict(), **changes})

    def as_dict(self) -> dict[str, Any]:
        """The resolved spec as plain JSON, without sampling parameters that are not set."""
        plain = {name: getattr(self, name) for name in Spec.model_fields}
        plain["attributes"] = {name: list(values) for name, values in self.attributes.items()}
        plain["sampling"] = self.sampling.as_dict()
        return plain

    @property
    def fingerprint(self) -> str:
        """Hash of the whole spec, including the attributes' order: equal when grid and questions are equal."""
        return codec.fingerprint([self.as_dict(), list(self.attributes)])

    def generation_fingerprint(self, endpoint: str, model: str) -> str:
        """Hash of all that changes an answer besides its cell: endpoint kind, model, templates, sampling as sent."""
        return codec.fingerprint(
            {
                "endpoint": endpoint,
                "model": model,
                "prompt": self.prompt,
                "system": self.system,
                "sampling": self.sampling.as_sent(),
            }
        )

    @classmethod
    def _read(cls, data: Mapping[str, Any], place: Source) -> Self:
        spec = cls.__new__(cls)
        spec._fill(data, place, place.problems)
        return spec

    def _fill(self, data: Mapping[str, Any], place: Place, found: Iterable[Problem] = ()) -> None:
        problems = [*found, *check.spec_problems(data)]
        given = dict(data)
        if isinstance(attributes := data.get("attributes"), Mapping):
            given["attributes"] = _as_texts(attributes)
            if data.get("sub_prompt") is None:
                given["sub_prompt"] = ", ".join(f"{{{name}}}" for name in attributes)
        elif data.get("sub_prompt") is None:
            given.pop("sub_prompt", None)
        if isinstance(given.get("sampling"), Mapping):
            try:
                given["sampling"] = Sampling(**{str(key): value for key, value in given["sampling"].items()})
            except InvalidSpecError as invalid:
                problems += [problem.below("sampling") for problem in invalid.problems]
        problems += check.unknown_keys(data, Spec.model_fields)
        try:
            super().__init__(**_unsuspected(given, problems, Spec))
        except ValidationError as invalid:
            problems += _type_problems(invalid, type(self), problems)
        if problems:
            raise InvalidSpecError(problems, place)


def _as_texts(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        name: tuple(str(value) if type(value) is int else value for value in values)
        if isinstance(values, list | tuple | range)
        else values
        for name, values in attributes.items()
    }


def _overlap_problems(sampling: Mapping[str, Any]) -> list[Problem]:
    extra = sampling.get("extra")
    own = [key for key in extra if key in Sampling.model_fields] if isinstance(extra, Mapping) else []
    return [
        Problem(("extra", key), f"{key!r} is a sampling parameter", f"move it up: `sampling: {{{key}: ...}}`")
        for key in own
    ]


def _unsuspected(data: Mapping[str, Any], problems: Iterable[Problem], model: type[BaseModel]) -> dict[str, Any]:
    """The part of `data` for pydantic to check: fields of `model` with no known problem."""
    faulty = {problem.path[0] for problem in problems if problem.path}
    return {key: value for key, value in data.items() if key in model.model_fields and key not in faulty}


def _type_problems(invalid: ValidationError, model: type[BaseModel], known: list[Problem]) -> list[Problem]:
    """pydantic's findings in our words, one per key, without keys that already have a known problem."""
    seen = {problem.path[0] for problem in known if problem.path}
    problems: list[Problem] = []
    for error in invalid.errors(include_url=False, include_context=False):
        key = str(error["loc"][0])
        if key in seen:
            continue
        seen.add(key)
        problems.append(_type_problem(key, error["type"], error["input"], model))
    return problems


def _type_problem(key: str, kind: str, value: object, model: type[BaseModel]) -> Problem:
    field = model.model_fields[key]
    example = f"for example: `{key}: {codec.dumps((field.examples or [None])[0]).decode()}`"
    if kind == "missing":
        return Problem((), f"missing key {key!r}", example)
    if isinstance(value, int | float) and field.annotation in (str, str | None):
        example = f"quote it: `{key}: '{value}'`"
    return Problem((key,), f"{shown(value)} is not {field.description}", example)
