"""The JSON Schema of a spec file, derived from the model's."""

from __future__ import annotations

from typing import Any

from herogen_async.specs.spec import check
from herogen_async.specs.spec.attribute_rules import STRUCTURED
from herogen_async.specs.spec.column_checks import MAX_COLUMNS, NOT_FOR_COLUMNS
from herogen_async.specs.spec.source import MAX_FIELDS
from herogen_async.specs.spec.train_checks import MAX_TURNS
from herogen_async.specs.spec.value_range import RANGE

# An unquoted 18 or yes is kept as written, so an editor must not flag it.
_VALUE = {"type": ["string", "number", "boolean"]}


def _one_or_more(value: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _attribute() -> dict[str, Any]:
    """The values of an attribute, the same under a condition, or several of these."""
    values = {
        "type": "array",
        "items": _VALUE,
        "minItems": 1,
        "maxItems": check.MAX_VALUES,
        "uniqueItems": True,
    }
    when = {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "object", "minProperties": 1, "additionalProperties": _one_or_more(_VALUE)},
        ]
    }
    end = {"type": ["string", "number"]}
    branch = {
        "type": "object",
        "properties": {"when": when, "values": values, **dict.fromkeys(RANGE, end)},
        "oneOf": [{"required": ["values"]}, {"required": ["from", "to"]}],
        "additionalProperties": False,
    }
    weight = {"type": "integer", "minimum": 1}
    listed = {"type": "array", "items": weight, "minItems": 1}
    weighted = {**branch, "properties": {"values": values, "weights": listed, **dict.fromkeys(RANGE, end)}}
    by_value = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"not": {"enum": list(STRUCTURED)}},
        "additionalProperties": weight,
    }
    return {"anyOf": [values, branch, weighted, by_value, {"type": "array", "items": branch, "minItems": 1}]}


def file_schema(model_schema: dict[str, Any]) -> dict[str, Any]:
    """`model_schema` for editors: with what YAML allows, and with the limits that the model checks in code."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model_schema}
    properties = schema["properties"]
    properties["name"]["pattern"] = f"^{check.NAME.pattern}$"
    properties["attributes"].update({"maxProperties": check.MAX_ATTRIBUTES, "additionalProperties": _attribute()})
    grid = schema["$defs"]["GridRules"]["properties"]
    grid["exclude"]["items"] = {"type": "object", "minProperties": 1, "additionalProperties": _one_or_more(_VALUE)}
    properties["sub_prompt"] = {**properties["sub_prompt"], "type": ["string", "null"], "default": None}
    properties["columns"].update(
        {
            "minProperties": 1,
            "maxProperties": MAX_COLUMNS,
            # editors differ in what a letter is, so this tells only what no name holds
            "propertyNames": {
                "pattern": r"^[^\s\d.,:;|{}()\[\]-][^\s.,:;|{}()\[\]-]*$",
                "maxLength": check.MAX_NAME,
                "not": {"enum": sorted(NOT_FOR_COLUMNS)},
            },
        }
    )
    text = {"type": "string", "minLength": 1}
    _source(schema, text)
    turn = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    roles = {"system": text, "user": text, "assistant": text}
    properties["train"] = {
        **{name: value for name, value in properties["train"].items() if name in ("title", "description", "examples")},
        "anyOf": [
            {"type": "null"},
            {
                "type": "object",
                "properties": roles,
                "required": ["user", "assistant"],
                "additionalProperties": False,
            },
            {"type": "array", "minItems": 2, "maxItems": MAX_TURNS, "items": {**turn, "properties": roles}},
        ],
    }
    most = schema["$defs"]["Want"]["properties"]["accepted"]["maximum"]
    properties["want"]["anyOf"].append({"type": "integer", "minimum": 1, "maximum": most})
    column = schema["$defs"]["Column"]["properties"]
    column["prompt"]["minLength"] = 1
    column["answer"] = {
        **{name: value for name, value in column["answer"].items() if name in ("title", "description", "examples")},
        "anyOf": [{"type": "object", "minProperties": 1}, {"type": "string", "pattern": r"\.json$"}, {"type": "null"}],
    }
    column["judge"] = {
        **{name: value for name, value in column["judge"].items() if name in ("title", "description", "examples")},
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "pair": {"type": "array", "items": text, "minItems": 2, "maxItems": 2, "uniqueItems": True},
                    "ask": {**text, "type": ["string", "null"]},
                },
                "required": ["pair"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"of": text, "scale": {"type": "object", "minProperties": 2}},
                "required": ["of", "scale"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ],
    }
    schema["$defs"]["Column"].pop("required", None)
    schema["$defs"]["Column"]["anyOf"] = [{"required": ["prompt"]}, {"required": ["judge"]}]
    url = {"type": "string", "pattern": "^https?://"}
    column["base_url"]["anyOf"] = [
        url,
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": url},
        {"type": "null"},
    ]
    column["key_env"]["pattern"] = "^[A-Za-z_][A-Za-z0-9_]*$"
    # A spec has a prompt, or columns, or both.
    schema["anyOf"] = [{"required": ["prompt"]}, {"required": ["columns"]}]
    return schema


def _source(schema: dict[str, Any], text: dict[str, Any]) -> None:
    """A source is a path or a mapping, and stands beside attributes or alone."""
    own = schema["$defs"]["RecordSource"]
    del own["properties"]["home"]
    name = own["properties"]["fields"]
    for key in ("type", "additionalProperties"):
        del name[key]
    name["anyOf"] = [
        {"type": "object", "minProperties": 1, "maxProperties": MAX_FIELDS, "additionalProperties": text},
        {"type": "array", "minItems": 1, "maxItems": MAX_FIELDS, "items": text},
    ]
    schema["properties"]["source"]["anyOf"].append(text)
    schema["required"].remove("attributes")
    schema["allOf"] = [
        {
            "anyOf": [
                {"required": ["attributes"], "properties": {"attributes": {"minProperties": 1}}},
                {"required": ["source"], "properties": {"source": {"not": {"type": "null"}}}},
            ]
        }
    ]
