"""Answers in the form that a request asks for, and such as models break it. Pure; all follows from the seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from herogen_async.core import codec
from herogen_async.specs.forms import referred

_DEEPEST = 8  # of a schema that refers to itself
_SPREAD = 100  # of a number with one bound or none
_MASK = 2**64 - 1


def form_in(body: Mapping[str, Any]) -> Any:
    """The schema that a request's answer must fit; None where it asks for none."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and isinstance(described := wanted.get("json_schema"), dict):
        return described.get("schema")
    if (schema := body.get("json_schema")) is not None:
        return schema
    structured = body.get("structured_outputs")
    choice = structured.get("choice") if isinstance(structured, dict) else None
    return {"enum": choice} if isinstance(choice, list) and choice else None


def formed_text(schema: Any, identity: int, words: str) -> str:
    """An answer that fits `schema`, drawn by `identity`; its texts are of `words`. A choice of words is no JSON."""
    if isinstance(schema, dict) and schema.keys() == {"enum"} and all(isinstance(each, str) for each in schema["enum"]):
        return str(schema["enum"][identity % len(schema["enum"])])
    return codec.dumps(_Drawn(schema, identity, words).value(schema, 0)).decode()


class _Drawn:
    """Values of one schema, in the order in which they are asked for."""

    def __init__(self, root: Any, identity: int, words: str) -> None:
        self._root = root
        self._state = identity
        self._words = words.split()

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        if (target := schema.get("$ref")) is not None:
            return self.value(referred(self._root, str(target)), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self._draw() % len(schema["enum"])]
        for several in ("anyOf", "oneOf", "allOf"):
            if schema.get(several):
                return self.value(schema[several][0], depth + 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        made: Callable[[dict[str, Any], int], Any] = {
            "object": self._object,
            "array": self._array,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda _, __: bool(self._draw() & 1),
            "null": lambda _, __: None,
        }.get(kind[0] if isinstance(kind, list) else kind, self._text)
        return made(schema, depth)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        return {name: self.value(each, depth + 1) for name, each in schema.get("properties", {}).items()}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(max(1, int(schema.get("minItems", 1))))]

    def _number(self, schema: dict[str, Any], _: int) -> int:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in schema else 0)
        most = schema.get("maximum", schema.get("exclusiveMaximum", least + _SPREAD))
        return int(least) + self._draw() % max(1, int(most) - int(least) + 1)

    def _text(self, schema: dict[str, Any], _: int) -> str:
        start = self._draw() % max(1, len(self._words) - 5)
        text = " ".join(self._words[start : start + 5])
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        return text.ljust(least, ".")[: None if most is None else int(most)]

    def _draw(self) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return self._state >> 33


def broken_text(text: str, identity: int) -> str:
    """`text`, JSON, as models break it, in one of the twenty ways of `BREAKS`; a text that is none is nothing."""
    if not text.startswith("{"):
        return ""
    return BREAKS[identity % len(BREAKS)](text)


def _without_last(text: str) -> str:
    return codec.dumps(dict(list(codec.loads(text).items())[:-1])).decode()


def _all_texts(text: str) -> str:
    return codec.dumps({name: str(value) for name, value in codec.loads(text).items()}).decode()


BREAKS: tuple[Callable[[str], str], ...] = (
    lambda text: f"```json\n{text}\n```",
    lambda text: f"Sure! Here is the JSON:\n\n{text}\n\nLet me know if you need more.",
    lambda text: f"{text[:-1]},}}",
    lambda text: text.replace('"', "'"),
    lambda text: text.replace('":', ":").replace('{"', "{").replace(',"', ","),
    lambda text: text.replace(',"', ' "'),
    lambda text: text[: len(text) // 2],
    lambda text: text[:-1],
    lambda text: text[:-2],
    lambda text: "I'm sorry, but I can't help with that.",  # noqa: ARG005
    lambda text: "",  # noqa: ARG005
    lambda text: text + "\n" + text,
    lambda text: f"[{text}]",
    _all_texts,
    _without_last,
    lambda text: f'{text[:-1]},"and_more":true}}',
    lambda text: "{" + text[1:-1] + "," + text[1:],
    lambda text: codec.dumps(dict.fromkeys(codec.loads(text))).decode(),
    lambda text: codec.dumps({"answer": codec.loads(text)}).decode(),
    lambda text: text.replace(":", ": NaN, ", 1),
)
