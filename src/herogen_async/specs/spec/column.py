"""A column of a spec: one more answer of each row, which may build on those of earlier columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.specs.spec import check
from herogen_async.specs.spec.field_types import type_problems, unsuspected
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Problem
from herogen_async.specs.spec.sampling import Sampling

MAX_SAMPLES = 1000


class Column(BaseModel):
    """One prompt and its answer. Fields that are not set take the spec's value; `sampling` is added to the spec's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    prompt: str = Field(
        description="text with {attribute} and {column} placeholders", examples=["Grade this: {solution}"]
    )
    system: str | None = Field(None, description="text (for endpoint chat)", examples=["You are a strict teacher."])
    template: Literal["jinja"] | None = Field(
        None, description="'jinja': its prompt and system text are Jinja templates", examples=["jinja"]
    )
    sampling: Sampling | None = Field(
        None, description="a mapping of sampling parameters", examples=[{"temperature": 0}]
    )
    endpoint: Literal["completions", "chat"] | None = Field(
        None, description="'completions' or 'chat'", examples=["chat"]
    )
    model: str | None = Field(None, description="a model name", examples=["small-judge"])
    base_url: str | tuple[str, ...] | None = Field(
        None, description="a server's URL, or a list of servers of one model", examples=["http://127.0.0.1:8000/v1"]
    )
    key_env: str | None = Field(
        None, description="the name of an environment variable that holds the key", examples=["JUDGE_API_KEY"]
    )
    samples: int = Field(1, ge=1, le=MAX_SAMPLES, description=f"a whole number from 1 to {MAX_SAMPLES:,}", examples=[4])
    when: str | None = Field(None, description="a condition on attributes and columns", examples=["level == 'hard'"])
    answer: dict[str, Any] | None = Field(
        None,
        description="the form of its answers: fields with types, a JSON Schema or a file with one",
        examples=[{"score": "integer", "why": "string"}],
    )
    # Only of a pair: of one column it stands for a prompt and a form, and is no more.
    judge: dict[str, tuple[str, str]] | None = Field(
        None,
        description="a column to score and a scale, or a pair of columns to compare",
        examples=[{"of": "solution", "scale": {"5": "right and clear", "1": "wrong"}}, {"pair": ["draft", "rewrite"]}],
    )
    unlike: float | None = Field(None, gt=0, lt=1, description="a number above 0 and below 1", examples=[0.7])

    def __init__(self, /, **data: Any) -> None:
        problems: list[Problem] = []
        if "judge" in data:
            from herogen_async.specs.spec.judge import with_judge  # noqa: PLC0415 - few columns are one

            data, problems = with_judge(data)
        given = dict(data)
        problems += check.text_problems(data)
        if data.get("answer") is not None:
            from herogen_async.specs.spec.answer_form import with_form  # noqa: PLC0415 - few columns have one

            given, wrong = with_form(data)
            problems += wrong
        problems += check.column_problems(data)
        if isinstance(given.get("base_url"), list):
            given["base_url"] = tuple(given["base_url"])
        if isinstance(given.get("sampling"), Mapping):
            try:
                given["sampling"] = Sampling(**{str(key): value for key, value in given["sampling"].items()})
            except InvalidSpecError as invalid:
                problems += [problem.below("sampling") for problem in invalid.problems]
        if not data.keys() <= Column.model_fields.keys():
            from herogen_async.specs.spec.misplaced import unknown_column_keys  # noqa: PLC0415 - of mistakes alone

            problems += unknown_column_keys(data, Column.model_fields)
        try:
            super().__init__(**unsuspected(given, problems, Column))
        except ValidationError as invalid:
            problems += type_problems(invalid, type(self), problems)
        if problems:
            raise InvalidSpecError(problems, Nowhere())

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Its own servers: none, one, or several of one model."""
        if self.base_url is None or isinstance(self.base_url, str):
            return () if self.base_url is None else (self.base_url,)
        return self.base_url

    @property
    def pair(self) -> tuple[str, str] | None:
        """The columns that it compares, in the order of its prompt; None where it is no judge of two."""
        return None if self.judge is None else self.judge["pair"]

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        fields = type(self).model_fields
        plain = {name: value for name in fields if (value := getattr(self, name)) != fields[name].default}
        if isinstance(self.base_url, tuple):
            plain["base_url"] = list(self.base_urls)
        if self.judge is not None:
            plain["judge"] = {"pair": list(self.judge["pair"])}
            del plain["answer"]  # which it has by itself
        return {**plain, "sampling": self.sampling.as_dict()} if self.sampling is not None else plain
