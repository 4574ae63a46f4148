"""How a spec writes a form: a JSON Schema, fields by name, `one_of`, `pattern` or `code`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.forms.fences import fenced
from herogen_async.specs.forms.form import AnswerForm, FormReading, wrong
from herogen_async.specs.forms.json_answer import CUT_ANSWER, json_in
from herogen_async.specs.forms.wire import choice_sent, pattern_sent, schema_sent

TYPES = ("string", "integer", "number", "boolean", "array", "object")
MAX_BYTES = 1 << 16  # of a definition: servers refuse longer ones
_SCHEMA_KEYS = {"$schema", "$ref", "properties", "anyOf", "oneOf", "allOf", "enum"}
# Keywords that say something of a value, or of the schema itself.
_KEYWORDS = {
    *_SCHEMA_KEYS,
    *("$id", "$defs", "definitions", "type", "const", "not", "if", "then", "else", "title", "description", "default"),
    *("examples", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "multipleOf", "items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"),
    *("required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties"),
    *("dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "$anchor", "$comment"),
}
_EXAMPLE = "for example: `answer: {score: integer, why: string}`"
_MOST_REFERENCES = 8
_AROUND = " \t\r\n\"'`*."  # of a chosen word


def form_of(answer: object) -> AnswerForm:
    """The form that `answer` writes. Raises SpecError with what is wrong and the fix."""
    if not isinstance(answer, Mapping) or not answer:
        raise SpecError(f"{shown(answer)} is not a form", fix=_EXAMPLE)
    plain = _as_json(answer)
    kinds = {"one_of": _one_of, "pattern": _pattern, "code": _code}
    if len(plain) == 1 and (name := next(iter(plain))) in kinds:
        return kinds[name](plain)
    if is_schema(plain):
        return _schema(plain, plain)
    fields = plain["fields"] if plain.keys() == {"fields"} else plain
    if not isinstance(fields, Mapping) or not fields:
        raise SpecError(f"{shown(fields)} is not a mapping of fields", fix=_EXAMPLE)
    properties = {name: _field(name, value) for name, value in fields.items()}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return _schema(plain, schema)


def is_schema(answer: Mapping[str, Any]) -> bool:
    """Whether a mapping is a JSON Schema, and not one of fields with their types."""
    if _SCHEMA_KEYS & answer.keys():
        return True
    others = [value for name, value in answer.items() if name not in ("type", "title", "description")]
    is_typed = answer.get("type") in TYPES and answer.keys() <= _KEYWORDS
    return is_typed and not any(isinstance(value, str) and value in TYPES for value in others)


def _as_json(answer: Mapping[Any, Any]) -> dict[str, Any]:
    try:
        data = codec.dumps(dict(answer))
        plain = codec.loads(data)
    except (TypeError, ValueError, RecursionError):
        raise SpecError(f"{shown(answer)} can't be written as JSON", fix=_EXAMPLE) from None
    if len(data) > MAX_BYTES:
        raise SpecError(f"a form of {len(data):,} bytes; the limit is {MAX_BYTES:,}", fix="shorten it")
    return dict(plain)


def _field(name: str, value: Any) -> Any:
    if isinstance(value, list):
        if not value:
            raise SpecError(f"field {name!r}: the list of its values is empty", fix="write at least one value")
        return {"enum": value}
    if isinstance(value, Mapping):
        if unknown := [key for key in value if key not in _KEYWORDS]:
            near = nearest(unknown[0], sorted(_KEYWORDS))
            fix = f"write {{type: object, properties: ...}} for a field with fields, or {near}"
            raise SpecError(f"field {name!r}: {shown(unknown[0])} is not a keyword of JSON Schema", fix=fix)
        return value
    if value not in TYPES:
        fix = nearest(str(value), TYPES) if isinstance(value, str) else f"write a type: {', '.join(TYPES)}"
        raise SpecError(f"field {name!r}: {shown(value)} is not a type", fix=fix)
    return {"type": value}


# -- a schema


def _schema(answer: dict[str, Any], schema: dict[str, Any]) -> AnswerForm:
    try:
        validator = _validator(schema)
    except ValueError as error:
        reason = str(getattr(error, "message", error)).splitlines()[0]
        fix = "use only references within the schema (#/...)" if "retriev" in reason else "see json-schema.org"
        raise SpecError(f"this is not a valid JSON Schema: {reason}", fix=fix) from None
    return AnswerForm(
        answer,
        partial(_read_json, validator),
        fields={name: _type_of(each) for name, each in _properties(schema).items()},
        is_json=True,
        sent=schema_sent(schema),
    )


def _validator(schema: dict[str, Any]) -> Any:
    """What checks values. Raises ValueError for what is no schema, or refers to what is not in it."""
    import jsonschema_rs  # noqa: PLC0415 - it costs 47 ms, and most runs have no form

    return jsonschema_rs.validator_for(schema, offline=True)


def referred(schema: Any, target: str) -> Any:
    """What a reference (`#/...`) within `schema` stands for; None where there is nothing."""
    found = schema
    for part in target.removeprefix("#").split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The properties of the object that a schema describes, itself or by a reference."""
    found: Any = schema
    for _ in range(_MOST_REFERENCES):
        if not isinstance(found, Mapping) or "$ref" not in found:
            break
        found = referred(schema, str(found["$ref"]))
    properties = found.get("properties") if isinstance(found, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}


def _type_of(schema: Any) -> str | None:
    found = schema.get("type") if isinstance(schema, Mapping) else None
    return found if isinstance(found, str) else None


def _read_json(validator: Any, text: str, is_cut: bool) -> FormReading:
    found = json_in(text, is_cut=is_cut)
    if found.problem is not None:
        return wrong(found.problem)
    if not validator.is_valid(found.value):
        return wrong(_fault(validator, found.value))
    return FormReading(codec.dumps(found.value).decode(), found.value, None, found.is_repaired)


def _fault(validator: Any, value: Any) -> str:
    """The first thing that is wrong with a value, and where."""
    error = next(iter(validator.iter_errors(value)), None)
    if error is None:
        return "the answer does not fit the schema"
    where = ".".join(map(str, error.instance_path))
    return f"{where}: {error.message}" if where else str(error.message)


# -- texts


def _one_of(answer: dict[str, Any]) -> AnswerForm:
    choices = answer["one_of"]
    if not isinstance(choices, list) or not choices:
        raise SpecError(f"{shown(choices)} is not a list of choices", fix="for example: `answer: {one_of: [yes, no]}`")
    words = [choice if isinstance(choice, str) else codec.dumps(choice).decode() for choice in choices]
    by_word: dict[str, str] = {}
    for word in words:
        if not (plain := _plain(word)):
            raise SpecError(f"the choice {shown(word)} has no letters or digits", fix="write a word")
        if by_word.setdefault(plain, word) != word or words.count(word) > 1:
            raise SpecError(f"the choices {by_word[plain]!r} and {word!r} are read as the same", fix="keep one of them")
    listed = ", ".join(words)

    def read(text: str, is_cut: bool) -> FormReading:
        plain = _plain(text)
        word = by_word.get(plain)
        if word is None or (is_cut and any(other.startswith(plain) for other in by_word if other != plain)):
            return wrong(f"the answer is none of: {listed}")
        return FormReading(word, word)

    return AnswerForm(answer, read, sent=choice_sent(words))


def _plain(text: str) -> str:
    return text.strip(_AROUND).casefold()


def _pattern(answer: dict[str, Any]) -> AnswerForm:
    pattern = answer["pattern"]
    example = "for example: `answer: {pattern: '[0-9]{4}'}`"
    if not isinstance(pattern, str) or not pattern:
        raise SpecError(f"{shown(pattern)} is not a pattern", fix=example)
    try:
        # Not Python's: a pattern there may take for ever. By itself first: `a)|(b` is none.
        _validator({"type": "string", "pattern": pattern})
        validator = _validator({"type": "string", "pattern": f"^(?:{pattern})$"})
    except ValueError:
        raise SpecError(f"{shown(pattern)} is not a valid regular expression", fix=example) from None

    def read(text: str, is_cut: bool) -> FormReading:
        if is_cut:
            return wrong(CUT_ANSWER)
        held = text.strip()
        fits = validator.is_valid(held)
        return FormReading(held, held) if fits else wrong(f"the answer does not match the pattern {pattern}")

    return AnswerForm(answer, read, sent=pattern_sent(pattern))


def _code(answer: dict[str, Any]) -> AnswerForm:
    language = answer["code"]
    if not isinstance(language, str) or not language.strip():
        raise SpecError(f"{shown(language)} is not a language", fix="for example: `answer: {code: python}`")

    def read(text: str, is_cut: bool) -> FormReading:
        if is_cut:
            return wrong(CUT_ANSWER)
        found = fenced(text)
        if found.is_open:
            return wrong("the block of code in the answer does not end")
        if any(mark in found.outside for mark in ("```", "~~~")):
            return wrong("the answer holds a block of code that is not fenced by lines of its own")
        if len(found.blocks) > 1:
            return wrong(f"the answer holds {len(found.blocks)} blocks of code; write one")
        code = (found.blocks[0] if found.blocks else text).strip("\n").rstrip()
        return FormReading(code, code) if code.strip() else wrong(f"the answer holds no {language} code")

    return AnswerForm(answer, read, sent={})
