"""A config of NVIDIA NeMo DataDesigner as a spec, and all that a spec can't say of it. Pure.

Nothing is dropped silently: what has no place in a spec, or another meaning there, is a `NotMapped` with its reason and
the nearest way. A column that needs something which has no place is left out, and so is what is made from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from herogen_async.core.errors import InputError, SpecError
from herogen_async.specs.expressions import Expression
from herogen_async.specs.foreign.design_attributes import DesignAttributes
from herogen_async.specs.foreign.design_models import ModelSettings, models_of
from herogen_async.specs.foreign.design_seed import DesignSeed
from herogen_async.specs.foreign.jinja_text import (
    Computes,
    Untranslatable,
    as_jinja,
    as_template,
    has_tags_alone,
    inserted_expression,
    literal,
    with_our_names,
)
from herogen_async.specs.foreign.not_mapped import ELSEWHERE, OF_COLUMN, PARTS, NotesOfConfig, NotMapped
from herogen_async.specs.foreign.rubric import RubricForm, rubric_form
from herogen_async.specs.forms import form_of, is_schema
from herogen_async.specs.spec.check import usable_name
from herogen_async.specs.spec.column_checks import NOT_FOR_COLUMNS
from herogen_async.specs.spec.syntax import template_of

_ASKED = ("llm-text", "llm-code", "llm-structured", "llm-judge")


@dataclass(frozen=True, slots=True)
class TranslatedSpec:
    """`spec` as plain data; the attributes in `to_fill_in` have no values yet. `notes` in the order they came up."""

    spec: dict[str, Any]
    notes: tuple[NotMapped, ...]
    to_fill_in: tuple[str, ...]


def is_datadesigner(data: object) -> bool:
    """Whether plain data looks like such a config: with or without `data_designer` around it."""
    if not isinstance(data, Mapping):
        return False
    columns = data.get("columns")
    return isinstance(data.get("data_designer"), Mapping) or (isinstance(columns, list) and "name" not in data)


def translated(data: Mapping[str, Any], *, name: str) -> TranslatedSpec:
    """The spec called `name` that a config comes to. Raises InputError where not one column can be asked."""
    is_wrapped = isinstance(data.get("data_designer"), Mapping)
    design = data["data_designer"] if is_wrapped else data
    if fault := next(_faults(design), None):
        raise InputError(fault, fix="export the config with DataDesigner's `write_config`")
    return _Translation(design, ("data_designer",) if is_wrapped else ()).spec(name)


def _faults(design: Mapping[str, Any]) -> Iterator[str]:
    """Where a config does not have the shape that DataDesigner writes."""
    columns = design.get("columns")
    if not isinstance(columns, list):
        yield "`columns` is not a list"
        return
    names = Counter(str(column.get("name")) for column in columns if isinstance(column, Mapping))
    for name in (each for each, count in names.items() if count > 1):
        yield f"several columns are called {name!r}"
    for number, column in enumerate(columns, 1):
        if not isinstance(column, Mapping) or not isinstance(column.get("name"), str) or not column["name"]:
            yield f"column {number} has no name"
        elif not isinstance(column.get("column_type"), str):
            yield f"the column {column['name']!r} has no `column_type`"
        elif not isinstance(column.get("params") or {}, Mapping):
            yield f"`params` of the column {column['name']!r} is no mapping"
    for name in ("model_configs", "constraints"):
        found = design.get(name) or []
        if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
            yield f"`{name}` is not a list of mappings"
    seed = design.get("seed_config") or {}
    if not isinstance(seed, Mapping) or not isinstance(seed.get("source") or {}, Mapping):
        yield "`seed_config` is not a mapping with a `source`"


class _Translation:
    """One config on its way; columns are made when they are first named."""

    def __init__(self, design: Mapping[str, Any], path: tuple[str, ...]) -> None:
        self._design = design
        self._columns = {str(each["name"]): each for each in design["columns"]}
        self._notes = NotesOfConfig(path, {name: number for number, name in enumerate(self._columns)})
        self._names = _usable_names(self._columns)
        self._models = models_of(design.get("model_configs"))
        self._attributes = DesignAttributes(design, self._columns, self._names, self._notes)
        self._seed = DesignSeed(design.get("seed_config") or {}, self._notes)
        self._inserted_expressions: set[str] = set()
        self._made: dict[str, dict[str, Any] | Untranslatable] = {}
        self._rubrics: dict[str, RubricForm] = {}
        self._making: list[str] = []

    def spec(self, name: str) -> TranslatedSpec:
        asked = [each for each, column in self._columns.items() if column.get("column_type") in _ASKED]
        for each in asked:
            made = self._column(each)
            if isinstance(made, Untranslatable):
                self._notes.of_column(each, f"left out, since it {made}", "write this column by hand")
        columns = {self._names[each]: made for each in asked if isinstance(made := self._made[each], dict)}
        self._attributes.keep_only(named := _names_in(columns))
        source = self._seed.source(named, is_crossed=bool(self._attributes.values))
        self._tell_the_rest(asked)
        if not columns:
            raise InputError("no column of this config can be asked", fix=self._told())
        if not self._attributes.values and source is None:
            raise InputError(
                "nothing varies from row to row: no prompt names a sampler or a seed",
                fix="name one in a prompt, as in {{ topic }}",
            )
        if len(columns) == 1:
            self._ungate(*next(iter(columns.items())))
        is_shuffled = bool(self._attributes.values) or not self._seed.is_ordered
        # Shuffled, a --limit is a sample, as drawn rows were.
        attributes, grid = self._attributes.grid(is_shuffled=is_shuffled, has_source=source is not None)
        spec: dict[str, Any] = {
            "name": name,
            **({} if source is None else {"source": source}),
            **({"attributes": attributes} if attributes else {}),
            **({} if grid is None else {"grid": grid}),
            "endpoint": "chat",
            **self._shared(columns),
            "columns": columns,
        }
        empty = tuple(each for each, values in self._attributes.values.items() if not values.values)
        return TranslatedSpec(spec, tuple(self._notes.told), empty)

    # -- columns

    def _column(self, name: str) -> dict[str, Any] | Untranslatable:
        if name not in self._made:
            self._making.append(name)
            try:
                self._made[name] = self._asked(name, self._columns[name])
            except Untranslatable as error:
                self._made[name] = error
            finally:
                self._making.pop()
        return self._made[name]

    def _asked(self, name: str, column: Mapping[str, Any]) -> dict[str, Any]:
        made = self._texts(name, column)
        kind = column["column_type"]
        if kind == "llm-code":
            made["answer"] = {"code": str(column.get("code_lang", "code")).partition(":")[0]}
        elif kind == "llm-structured":
            made["answer"] = _schema(column.get("output_format"))
        elif kind == "llm-judge":
            rubric = self._rubrics[name] = rubric_form(column.get("scores"))
            asked = f"{{% raw %}}{rubric.asked}{{% endraw %}}" if "template" in made else literal(rubric.asked)
            made |= {"prompt": f"{made['prompt']}\n\n{asked}", "answer": rubric.answer}
        made |= self._model(name, column)
        if isinstance(skip := column.get("skip"), Mapping):
            self._skip(name, skip, made)
        elif skip:
            self._notes.of_column(name, "`skip` is no mapping with `when`", "write a `when`")
        for key, (reason, nearest) in OF_COLUMN.items():
            if column.get(key):
                self._notes.of_column(name, f"`{key}`: {reason}", nearest)
        if column.get("with_trace", "none") not in (None, "none"):
            self._notes.of_column(name, "`with_trace`: no column of its own", "every message is in the run's journal")
        if column.get("propagate_skip") is False:
            self._notes.of_column(
                name, "`propagate_skip`: what names a skipped column is skipped", "name two: {rewrite|draft}"
            )
        return made

    def _texts(self, name: str, column: Mapping[str, Any]) -> dict[str, Any]:
        """`prompt`, and `system` where there is one; with `template: jinja` where one of them computes."""
        given = {"prompt": column.get("prompt"), "system": column.get("system_prompt")}
        texts = {key: text for key, text in given.items() if isinstance(text, str) and text.strip()}
        if "prompt" not in texts:
            raise Untranslatable("has no prompt")
        try:
            made = {key: as_template(text, lambda parts: self._inserted(name, parts)) for key, text in texts.items()}
        except Computes:
            made = {key: self._jinja(name, text) for key, text in texts.items()}
            if any(map(has_tags_alone, texts.values())):
                reason = "a tag alone on its line leaves no empty line in the prompt"
                self._notes.of_column(name, reason, "see the prompt with: plan --show 1")
            return {**made, "template": "jinja"}
        if not made["prompt"].strip():
            raise Untranslatable("has a blank prompt")
        return made

    def _jinja(self, of: str, text: str) -> str:
        """A text of the column `of` in Jinja with our names; expressions that it names are set before it."""
        expressions: dict[str, str] = {}

        def named(name: str, fields: list[str], computes: bool) -> str:
            column = self._columns.get(name)
            if column is not None and column.get("column_type") == "expression":
                if name not in expressions:
                    with self._making_expression(name):
                        found = as_jinja(str(column.get("expr", "")), named)
                    expressions[name] = self._set(self._names[name], found, str(column.get("dtype", "str")))
                    self._inserted_expressions.add(name)
                return ".".join([self._names[name], *fields])
            found = self._named(name, fields, is_deep=True)
            if computes and column is None and self._seed.is_field(found):
                reason = f"{found} is a text, as all fields of records are, and its prompt computes with it"
                self._notes.of_column(of, reason, f"where it is a number write {found}|int or {found}|float")
            if computes and column is not None and column.get("column_type") == "sampler":
                number = self._attributes.number(name, fields)
                return f"{found}|{number}" if number else found
            return found

        found = as_jinja(text, named)
        return "".join([*expressions.values(), found])

    @staticmethod
    def _set(own: str, text: str, dtype: str) -> str:
        """A tag that sets what an expression comes to."""
        if dtype != "str":
            try:
                return f"{{% set {own} = {inserted_expression(text)} %}}"
            except Untranslatable:
                pass  # it is a text with a number in it
        return f"{{% set {own} %}}{text}{{% endset %}}"

    def _inserted(self, of: str, parts: list[str]) -> str:
        """What stands for `{{ name.field }}` in a text of the column `of`: a placeholder, or an expression's text."""
        name, *fields = parts
        column = self._columns.get(name)
        if column is not None and column.get("column_type") == "expression":
            return self._inlined(of, name, column, fields)
        return f"{{{self._named(name, fields)}}}"

    def _named(self, name: str, fields: list[str], *, is_deep: bool = False) -> str:
        """Our name of a name with its fields. `is_deep`: fields of fields are something, too."""
        column = self._columns.get(name)
        if column is None and name.endswith(("__reasoning_content", "__trace")):
            raise Untranslatable(f"names {name!r}: thoughts are kept, but no prompt can hold them")
        kind = "seed-dataset" if column is None else column.get("column_type")
        if kind == "sampler":
            return self._attributes.of_sampler(name, fields)
        if kind == "seed-dataset":
            return self._seed.field(name, fields, self._attributes.values)
        if kind not in _ASKED:
            raise Untranslatable(f"names {name!r}, which has no place in a spec")
        if name in self._making:
            raise Untranslatable(f"names {name!r}, which is made from it")
        if isinstance(self._column(name), Untranslatable):
            raise Untranslatable(f"names {name!r}, which is left out")
        own = self._names[name]
        if name in self._rubrics and fields:
            fields = [self._rubrics[name].field(fields)]
        if len(fields) > 1 and not is_deep:
            raise Computes(f"names {'.'.join([name, *fields])!r}, a field of a field")
        return ".".join([own, *fields])

    def _inlined(self, of: str, name: str, column: Mapping[str, Any], fields: list[str]) -> str:
        """An expression that only inserts names stands itself in the texts that name it."""
        if fields:
            raise Computes(f"names a field of the expression {name!r}")
        with self._making_expression(name):
            try:
                text = as_template(str(column.get("expr", "")), lambda parts: self._inserted(of, parts))
            except Untranslatable as why:
                raise type(why)(f"names {name!r}, which {why}") from None
        self._inserted_expressions.add(name)
        return text

    @contextmanager
    def _making_expression(self, name: str) -> Iterator[None]:
        """What is named meanwhile is a part of this expression."""
        if name in self._making:
            raise Untranslatable(f"names {name!r}, which is made from itself")
        self._making.append(name)
        try:
            yield
        finally:
            self._making.pop()

    # -- which rows

    def _ungate(self, own: str, column: dict[str, Any]) -> None:
        """The only column of a spec has no condition."""
        if column.pop("when", None) is not None:
            name = next(name for name, each in self._names.items() if each == own)
            reason = "`skip`: the only column of a spec has no condition"
            self._notes.of_column(name, reason, "leave these rows out with `exclude` in `grid`")

    def _skip(self, name: str, skip: Mapping[str, Any], made: dict[str, Any]) -> None:
        try:
            inner = inserted_expression(str(skip.get("when")))
            text = with_our_names(inner, self._columns, self._named)
            condition = Expression.parse(f"not ({text})")
        except (Untranslatable, SpecError) as why:
            self._notes.of_column(name, f"`skip`: {why}", "write a `when` with the opposite condition")
            return
        made["when"] = condition.text
        if skip.get("value") is not None:
            self._notes.of_column(name, "a skipped column has no value", "fill the exported table")

    # -- models

    def _model(self, name: str, column: Mapping[str, Any]) -> dict[str, Any]:
        alias = str(column.get("model_alias"))
        settings = self._models.get(alias)
        if settings is None:
            self._models[alias] = settings = ModelSettings({})
            self._notes.of_column(
                name, f"the model {alias!r} is not in the config", "give `model:` in the spec, or --model"
            )
        for reason, nearest in settings.take_notes():
            self._notes.add(f"model {alias}", reason, nearest, "model_configs")
        return dict(settings.keys)

    @staticmethod
    def _shared(columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """What all columns have in common of model, sampling and kind of template, taken out of them."""
        shared = {}
        for key in ("model", "sampling", "template"):
            first = next(iter(columns.values())).get(key)
            if first is not None and all(each.get(key) == first for each in columns.values()):
                shared[key] = first
                for each in columns.values():
                    del each[key]
        return shared

    # -- what is told

    def _tell_the_rest(self, asked: list[str]) -> None:
        for name, column in self._columns.items():
            kind = str(column.get("column_type"))
            if name not in asked and kind not in ("sampler", "seed-dataset", "expression"):
                reason, nearest = ELSEWHERE.get(kind, (f"the column type {kind!r} is a plugin's", "leave it out"))
                self._notes.of_column(name, reason, nearest)
            elif kind == "expression":
                if name in self._inserted_expressions:
                    reason = "no column of the table: its text stands in the prompts that name it"
                else:
                    reason = "left out: no prompt of the spec names it"
                self._notes.of_column(name, reason, "compute it in the exported table")
            elif kind == "sampler" and name not in self._attributes.used:
                self._notes.of_column(name, "left out, since no prompt names it", "name it in a prompt")
            if column.get("drop"):
                self._notes.of_column(
                    name, "`drop`: every column stays in the table", "say with `train` what is taught"
                )
        for key, (reason, nearest) in PARTS.items():
            if self._design.get(key):
                self._notes.add(key, reason, nearest, key)

    def _told(self) -> str:
        return "; ".join(f"{each.place}: {each.reason}" for each in self._notes.told) or "add a column with a prompt"


def _names_in(columns: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """What the texts and conditions of these columns name."""
    names = set[str]()
    for column in columns.values():
        for text in (column["prompt"], column.get("system", "")):
            names.update(
                each.partition(".")[0] for each in template_of(text, column.get("template"), names_columns=True).names
            )
        if "when" in column:
            names.update(each.partition(".")[0] for each in Expression.parse(column["when"]).names)
    return names


def _schema(found: object) -> dict[str, Any]:
    if not isinstance(found, Mapping) or not found:
        raise Untranslatable("has no JSON Schema in `output_format`")
    plain = dict(found)
    try:
        form_of(plain)
    except SpecError as error:
        raise Untranslatable(f"has no JSON Schema in `output_format`: {error.message}") from None
    if not is_schema(plain):
        raise Untranslatable("has no JSON Schema in `output_format`")
    return plain


def _usable_names(columns: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in columns:
        own = usable_name(name)
        own = f"the_{own}" if own.lower() in NOT_FOR_COLUMNS else own
        while own in names.values():
            own += "_"
        names[name] = own
    return names
