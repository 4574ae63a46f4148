"""The JSON Schema of a spec file, derived from the model's."""

from __future__ import annotations

from typing import Any

from herogen_async.specs.spec import check


def file_schema(model_schema: dict[str, Any]) -> dict[str, Any]:
    """`model_schema` for editors: with what YAML allows, and with the limits that the model checks in code."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model_schema}
    properties = schema["properties"]
    properties["name"]["pattern"] = f"^{check.NAME.pattern}$"
    properties["attributes"].update(
        {
            "minProperties": 1,
            "maxProperties": check.MAX_ATTRIBUTES,
            # an unquoted 18 or yes is kept as written, so an editor must not flag it
            "additionalProperties": {
                "type": "array",
                "items": {"type": ["string", "number", "boolean"]},
                "minItems": 1,
                "maxItems": check.MAX_VALUES,
                "uniqueItems": True,
            },
        }
    )
    properties["sub_prompt"] = {**properties["sub_prompt"], "type": ["string", "null"], "default": None}
    # A spec has a prompt, or columns, or both.
    schema["anyOf"] = [{"required": ["prompt"]}, {"required": ["columns"]}]
    return schema
