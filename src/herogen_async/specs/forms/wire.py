"""What asks a server to keep to a form, in the dialects of servers. What one doesn't know, most pass over.

`response_format` is OpenAI's, and what vLLM, llama.cpp and others take for chat; `json_schema` is llama.cpp's for
completions; `structured_outputs` is vLLM's own and `grammar` llama.cpp's, for what is no JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core import codec

_NAME = "answer"
# What OpenAI's strict mode does not take, or takes and reads otherwise.
_NOT_STRICT = {
    *("oneOf", "allOf", "not", "if", "then", "else", "patternProperties", "propertyNames", "dependentRequired"),
    *("dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems", "contains", "prefixItems"),
    *("minProperties", "maxProperties", "uniqueItems", "$dynamicRef", "$recursiveRef"),
}
_OF_SCHEMAS = ("properties", "$defs", "definitions")
Sent = Mapping[str, Mapping[str, Any]]


def schema_sent(schema: Mapping[str, Any]) -> Sent:
    """A schema's; for servers that want it strict, with all fields required and no others, where it can be so."""
    # What refers to itself might have no end if all of it were required.
    refers = b'"$ref"' in codec.dumps(schema)
    strict = None if refers or schema.get("type") != "object" else strict_schema(schema)
    described = {"name": _NAME, "schema": schema if strict is None else strict}
    wanted = {"type": "json_schema", "json_schema": described if strict is None else {**described, "strict": True}}
    return {
        "chat": {"response_format": wanted},
        "completions": {"response_format": wanted, "json_schema": described["schema"]},
    }


def strict_schema(schema: Any) -> Any:
    """The same with every field required and no other allowed; None where strictness would change what it says."""
    if not isinstance(schema, Mapping):
        return None
    if _NOT_STRICT & schema.keys() or isinstance(schema.get("items"), list):
        return None
    found = dict(schema)
    for name in _OF_SCHEMAS:
        if name in found:
            parts = {key: strict_schema(each) for key, each in found[name].items()}
            if None in parts.values():
                return None
            found[name] = parts
    if "items" in found and (items := strict_schema(found["items"])) is not None:
        found["items"] = items
    elif "items" in found:
        return None
    if "anyOf" in found:
        found["anyOf"] = [strict_schema(each) for each in found["anyOf"]]
        if None in found["anyOf"]:
            return None
    if found.get("type") == "object" or "properties" in found:
        if "properties" not in found or found.get("additionalProperties", False) is not False:
            return None
        found |= {"required": list(found["properties"]), "additionalProperties": False}
    return found


def choice_sent(words: list[str]) -> Sent:
    """One of some texts."""
    grammar = "root ::= " + " | ".join(codec.dumps(word).decode() for word in words)
    wanted = {"structured_outputs": {"choice": words}, "grammar": grammar}
    return {"chat": wanted, "completions": wanted}


def pattern_sent(pattern: str) -> Sent:
    """A text that matches a regular expression."""
    wanted = {"structured_outputs": {"regex": pattern}}
    return {"chat": wanted, "completions": wanted}
