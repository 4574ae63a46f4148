"""The JSON Schema of a spec file, from the model's own."""

from __future__ import annotations

from typing import Any

from herogen_async.specs.spec import check


def file_schema(model_schema: dict[str, Any]) -> dict[str, Any]:
    """`model_schema` as an editor should see it: what YAML adds, and limits that the model checks in code."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model_schema}
    properties = schema["properties"]
    properties["name"]["pattern"] = f"^{check.NAME.pattern}$"
    properties["attributes"].update(
        {
            "minProperties": 1,
            "maxProperties": check.MAX_ATTRIBUTES,
            # an unquoted 18 or yes is kept as written, so an editor must not call it a mistake
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
    return schema
