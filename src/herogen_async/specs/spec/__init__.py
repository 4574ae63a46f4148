"""`Spec`: what to ask, how often, and with which sampling parameters.

S1  Every `Spec` is valid: each way to make one checks it, and raises `SpecError` with all mistakes at once.
S2  `Spec(**spec.as_dict()) == spec`, and `as_dict()` is plain JSON.
S3  `generation_fingerprint` changes if and only if what the server is asked can change.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from herogen_async.core import codec
from herogen_async.specs.sources.cells import PLAIN
from herogen_async.specs.sources.rules import Branch, CellRules
from herogen_async.specs.spec import check
from herogen_async.specs.spec.axes import read_axes
from herogen_async.specs.spec.column import Column
from herogen_async.specs.spec.column_data import (
    at_judges,
    compares_answers,
    is_judge_alone,
    judged_column,
    plain_column,
    plain_columns,
    with_schema,
    with_syntax,
)
from herogen_async.specs.spec.conversation import TalkingColumns
from herogen_async.specs.spec.field_types import type_problems, unsuspected
from herogen_async.specs.spec.growth import GridRules, Want, cell_problems, growth_problems
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Place, Problem
from herogen_async.specs.spec.sampling import Sampling, question_fingerprint
from herogen_async.specs.spec.shown_examples import ShownExamples, shown_problems
from herogen_async.specs.spec.source import RecordSource
from herogen_async.specs.spec.syntax import template_of
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, Template

if TYPE_CHECKING:
    from herogen_async.specs.spec.attribute_rules import ReadAttributes
    from herogen_async.specs.spec.loader import Source

__all__ = ["Column", "GridRules", "RecordSource", "Sampling", "Spec", "Template", "Want"]


class Spec(BaseModel):
    """What to ask: a grid of attributes, a prompt template, sampling parameters and the answers wanted per cell."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(description="a file name of 1 to 80 letters, digits, dots, dashes", examples=["superhero"])
    attributes: dict[str, tuple[str, ...]] = Field(
        description="a mapping of names to lists of values",
        examples=[{"age": ["18", "20"], "gender": ["man", "woman"]}],
    )
    source: RecordSource | None = Field(
        None,
        description="a file of records, or a mapping with its path, fields, where and limit",
        examples=["seeds.jsonl"],
    )
    repeats: int = Field(1, ge=1, le=1_000_000, description="a whole number from 1 to 1,000,000", examples=[3])
    prompt: str = Field(
        "", description="text with {attribute} placeholders", examples=["Describe a {age}-year-old {gender}."]
    )
    sub_prompt: str = Field(
        "", description="text with {attribute} placeholders; default: all of them", examples=["{age}, {gender}"]
    )
    system: str | None = Field(None, description="text (for endpoint chat)", examples=["You write for children."])
    template: Literal["jinja"] | None = Field(
        None, description="'jinja': prompts and system texts are Jinja templates", examples=["jinja"]
    )
    sampling: Sampling = Field(
        default_factory=Sampling, description="a mapping of sampling parameters", examples=[{"max_tokens": 500}]
    )
    endpoint: Literal["completions", "chat"] = Field(
        "completions", description="'completions' or 'chat'", examples=["chat"]
    )
    model: str | None = Field(None, description="a model name", examples=["babbage-002"])
    columns: dict[str, Column] = Field(
        {}, description="a mapping of names to columns", examples=[{"title": {"prompt": "A title for: {response_txt}"}}]
    )

    train: tuple[tuple[str, str], ...] = Field(
        (),
        description="a mapping of roles to texts with placeholders, or a list of turns",
        examples=[{"user": "{question}", "assistant": "{solution}"}],
    )
    keep: str | None = Field(
        None,
        description="a condition on attributes and columns: which rows are accepted",
        examples=["verdict.score >= 4"],
    )
    best_of: dict[str, str] = Field(
        {},
        description="a column with samples, and the field by which its best one is chosen",
        examples=[{"solution": "verdict.score"}],
    )
    grid: GridRules | None = Field(
        None, description="a mapping: the order of the cells", examples=[{"shuffle": True, "seed": 7}]
    )
    want: Want | None = Field(
        None,
        description="how many accepted rows are wanted: a whole number, or a mapping",
        examples=[{"accepted": 2000, "at_most": 6000}],
    )
    # Of the attributes that depend on others; `attributes` has all their values.
    _branches: dict[str, tuple[Branch, ...]] = PrivateAttr(default_factory=dict)
    _weights: dict[str, tuple[int, ...]] = PrivateAttr(default_factory=dict)

    examples: ShownExamples | None = Field(
        None,
        description="records of a file that are shown in prompts, so many to each row",
        examples=[{"from": "few.jsonl", "count": 4}],
    )

    conversation: TalkingColumns | None = Field(
        None,
        description="two columns that talk to each other, and how often",
        examples=[{"user": "student", "assistant": "teacher", "turns": 3}],
    )

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
        if self._branches or self._weights:
            from herogen_async.specs.spec.attribute_rules import attribute_as_plain  # noqa: PLC0415 - few specs have it

            plain["attributes"] = {
                name: attribute_as_plain(values, self._branches.get(name, ()), self._weights.get(name))
                for name, values in self.attributes.items()
            }
        plain["sampling"] = self.sampling.as_dict()
        # A spec of one prompt is as it was before there were columns: its fingerprints and its manifest stay.
        own = ("source", "template", "columns", "train", "keep", "best_of", "grid", "want", "examples", "conversation")
        for name in own:
            del plain[name]
        if self.source is not None:
            plain = {"name": self.name, "source": self.source.as_dict(), **plain}
        plain |= {name: value for name in ("template", "keep", "best_of") if (value := getattr(self, name))}
        plain |= {name: value.as_dict() for name in ("grid", "want", "examples") if (value := getattr(self, name))}
        if self.conversation is not None:
            plain["conversation"] = self.conversation.model_dump()
        if self.train:
            plain["train"] = [{role: text} for role, text in self.train]
        if self.columns:
            plain["columns"] = {name: column.as_dict() for name, column in self.columns.items()}
            for column in plain["columns"].values() if self.template else ():
                del column["template"]  # which each has from the spec
            if not self.prompt:
                del plain["prompt"]
        return plain

    @property
    def fingerprint(self) -> str:
        """Hash of the whole spec, with the order of attributes and columns: equal when grid and questions are equal."""
        order = [list(self.columns)] if self.columns else []
        plain = self.as_dict()
        if self.examples is not None:
            plain["examples"] = self.examples.fingerprint  # wherever the file lies
        return codec.fingerprint([plain, list(self.attributes), *order])

    @property
    def cell_rules(self) -> CellRules:
        """Which combinations of the attributes' values are cells, and which of these are asked."""
        grid = self.grid
        if grid is None:
            return CellRules(self._branches, weights=self._weights)
        return CellRules(self._branches, grid.exclude, grid.sample, self._weights, grid.cover)

    @property
    def cell_fields(self) -> tuple[str, ...]:
        """The names of all values that a cell can have: the source's fields, then the attributes."""
        return (*(() if self.source is None else self.source.fields), *self.attributes)

    @property
    def sent_fields(self) -> tuple[str, ...]:
        """The source's fields that are sent, by prompts and system texts, in the order of the fields."""
        if self.source is None:
            return ()
        from herogen_async.specs.spec.source_checks import sent_names  # noqa: PLC0415 - few specs have a source

        named = sent_names(self.as_dict())
        return tuple(name for name in self.source.fields if name in named)

    @property
    def order_seed(self) -> int | None:
        """The seed of the order of the cells; None where that is the order of the attributes' values."""
        shuffles = None if self.grid is None else self.grid.shuffle
        if shuffles is None:
            # Else the first values would be all that is asked.
            shuffles = self.want is not None or (self.grid is not None and self.grid.sample is not None)
        return (0 if self.grid is None else self.grid.seed) if shuffles else None

    def generation_fingerprint(self, endpoint: str, model: str) -> str:
        """Hash of all that changes an answer to `prompt` besides its cell: endpoint, model, templates, sampling."""
        texts = {"prompt": self.prompt, "system": self.system}
        templates = {key: template_of(text, self.template) for key, text in texts.items() if text is not None}
        shows = any(SHOWN_EXAMPLES in each.names for each in templates.values()) and self.examples is not None
        return question_fingerprint(
            endpoint,
            model,
            self.prompt,
            system=self.system,
            sampling=self.sampling,
            jinja=[key for key, each in templates.items() if each.is_jinja],
            examples=self.examples.fingerprint if shows and self.examples is not None else None,
        )

    @classmethod
    def _read(cls, data: Mapping[str, Any], place: Source) -> Self:
        spec = cls.__new__(cls)
        spec._fill(data, place, place.problems)
        return spec

    def _fill(self, data: Mapping[str, Any], place: Place, found: Iterable[Problem] = ()) -> None:
        axes = read_axes(data, place, found)
        data, fields, sent = axes.data, axes.fields, axes.sent
        given = dict(data)
        problems = list(axes.problems)
        problems += self._columns(given, place, fields) if "columns" in data else check.spec_problems(data, (), fields)
        if "columns" not in data and "prompt" not in data and not _misplaced_columns(data):
            problems.append(_missing_prompt())
        if isinstance(attributes := data.get("attributes"), Mapping):
            given["attributes"] = _as_texts({name: each for name, each in attributes.items() if name not in fields})
            if data.get("sub_prompt") is None:
                told = [name for name in attributes if name not in fields or name in sent]
                given["sub_prompt"] = ", ".join(f"{{{name}}}" for name in told)
        elif data.get("sub_prompt") is None:
            given.pop("sub_prompt", None)
        if data.get("examples") is not None:
            folder = Path() if place.file is None else Path(place.file).parent
            problems += shown_problems(given, folder, knows_names=not problems)
        if data.get("conversation") is not None:
            problems += self._conversation(given, data)
        problems += self._of_rows(given, data, knows_names=not problems)
        problems += [] if problems else axes.unsent_problems()
        if isinstance(given.get("sampling"), Mapping):
            try:
                given["sampling"] = Sampling(**{str(key): value for key, value in given["sampling"].items()})
            except InvalidSpecError as invalid:
                problems += [problem.below("sampling") for problem in invalid.problems]
        if not data.keys() <= Spec.model_fields.keys():
            from herogen_async.specs.spec import misplaced  # noqa: PLC0415 - of mistakes alone

            problems += misplaced.unknown_spec_keys(data, Spec.model_fields)
        try:
            super().__init__(**unsuspected(given, problems, Spec))
        except ValidationError as invalid:
            problems += type_problems(invalid, type(self), problems)
        if problems := problems or self._cell_problems(given, axes.read):
            raise InvalidSpecError(problems, place)

    def _cell_problems(self, given: Mapping[str, Any], read: ReadAttributes | None) -> list[Problem]:
        """Take up the rules of the attributes, and count the cells that are left."""
        if read is not None:
            self._branches, self._weights = read.branches, read.weights
        if self.want is None and self.cell_rules == PLAIN:
            return []
        return list(cell_problems(given, self.cell_rules, self.order_seed, knows_size=self.source is None))

    @staticmethod
    def _conversation(given: dict[str, Any], data: Mapping[str, Any]) -> Iterable[Problem]:
        """The problems of `conversation`, whose columns are looked at as they are written; without any, it becomes a
        model in `given`.
        """
        from herogen_async.specs.spec import conversation_checks  # noqa: PLC0415 - few specs have one

        columns = plain_columns(data.get("columns"))
        if isinstance(columns, Mapping):
            columns = {name: with_syntax(each, given) for name, each in columns.items()}
        plain = {**given, "columns": columns}
        problems = list(conversation_checks.conversation_problems(plain))
        given["conversation"] = None if problems else TalkingColumns.of(plain)
        return problems

    @staticmethod
    def _train(given: dict[str, Any], data: Mapping[str, Any], *, knows_names: bool) -> Iterable[Problem]:
        """The problems of `train`; without any, its turns in `given` become pairs."""
        from herogen_async.specs.spec import train_checks  # noqa: PLC0415 - few specs have it

        plain = {**data, "columns": plain_columns(given.get("columns"))}
        problems = list(train_checks.train_problems(plain, knows_names=knows_names))
        given["train"] = () if problems else train_checks.turns_of(given["train"])
        return problems

    @classmethod
    def _of_rows(cls, given: dict[str, Any], data: Mapping[str, Any], *, knows_names: bool) -> Iterable[Problem]:
        """The problems of what rows become: training examples, and which are kept."""
        problems: list[Problem] = []
        if data.get("train") is None:
            given.pop("train", None)
        elif data["train"] != ():
            problems += cls._train(given, data, knows_names=knows_names)
        if data.get("best_of") is None:
            given.pop("best_of", None)
        if data.get("want") is not None or data.get("grid") is not None:
            problems += growth_problems(given)
        if knows_names and (data.get("keep") is not None or data.get("best_of")):
            from herogen_async.specs.spec import keep_checks  # noqa: PLC0415 - few specs have it

            problems += keep_checks.keep_problems({**data, "columns": plain_columns(given.get("columns"))})
        if knows_names and not problems and compares_answers(given.get("columns")):
            from herogen_async.specs.spec import unlike_checks  # noqa: PLC0415 - few specs have it

            problems += unlike_checks.unlike_problems({**data, "columns": plain_columns(given.get("columns"))})
        return problems

    @staticmethod
    def _columns(given: dict[str, Any], place: Place, fields: Collection[str]) -> Iterable[Problem]:
        """The problems of a spec with columns; its columns in `given` become models where they can."""
        judges: dict[str, Any] = {}
        if isinstance(named := given["columns"], Mapping):
            judges = {str(name): each["judge"] for name, each in named.items() if is_judge_alone(each)}
            given["columns"] = {
                name: judged_column(with_schema(with_syntax(plain_column(each), given), place))
                for name, each in named.items()
            }
        from herogen_async.specs.spec import column_checks  # noqa: PLC0415 - a spec of one prompt needs none of it

        problems = check.spec_problems(given, column_checks.named_of(given), fields)
        problems += column_checks.columns_problems(given, place.line)
        columns = given["columns"]
        if not isinstance(columns, Mapping):
            return problems
        made = {}
        for name, column in columns.items():
            try:
                made[name] = Column(**{str(key): value for key, value in column.items()})
            except InvalidSpecError as invalid:
                problems += [problem.below(str(name)).below("columns") for problem in invalid.problems]
            except AttributeError:  # no mapping, which is a problem already
                continue
        given["columns"] = made
        return at_judges(problems, judges) if judges else problems


def _misplaced_columns(data: Mapping[str, Any]) -> bool:
    from herogen_async.specs.spec.misplaced import meant_columns  # noqa: PLC0415 - of mistakes alone

    return meant_columns(data)


def _missing_prompt() -> Problem:
    return Problem((), "missing key 'prompt'", 'for example: `prompt: "Describe a {age}-year-old {gender}."`')


def _as_texts(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        name: tuple(str(value) if type(value) is int else value for value in values)
        if isinstance(values, list | tuple | range)
        else values
        for name, values in attributes.items()
    }
