"""The scores of a DataDesigner judge as a form and as a text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.specs.foreign.jinja_text import Untranslatable
from herogen_async.specs.spec.check import usable_name


@dataclass(frozen=True, slots=True)
class RubricForm:
    """`asked` stands at the prompt's end as it is, `answer` is the form: for each score its reason, then the point.

    `_fields` has the name of each score's field.
    """

    asked: str
    answer: dict[str, Any]
    _fields: Mapping[str, str]

    def field(self, parts: list[str]) -> str:
        """The field that `judge.NAME`, `judge.NAME.score` or `judge.NAME.reasoning` means. Raises Untranslatable."""
        name, *rest = parts
        if name in self._fields and rest in ([], ["score"]):
            return self._fields[name]
        if name in self._fields and rest == ["reasoning"]:
            return f"{self._fields[name]}_why"
        raise Untranslatable(f"names {'.'.join(parts)!r}, which is no score of its judge")


def rubric_form(scores: object) -> RubricForm:
    """What `scores` come to. Raises Untranslatable where there are none."""
    listed = [each for each in scores if isinstance(each, Mapping)] if isinstance(scores, list) else []
    if not listed or not all(each.get("name") and isinstance(each.get("options"), Mapping) for each in listed):
        raise Untranslatable("has no scores with names and options")
    fields = {str(each["name"]): usable_name(str(each["name"]).lower()) for each in listed}
    answer: dict[str, Any] = {}
    texts = []
    for each in listed:
        field = fields[str(each["name"])]
        points = [_point(value) for value in each["options"]]
        answer[f"{field}_why"] = "string"
        answer[field] = {"enum": points}
        lines = [f"{point}: {text}" for point, text in zip(points, each["options"].values(), strict=True)]
        head = ": ".join(str(part) for part in (each["name"], each.get("description")) if part)
        texts.append("\n".join([head, *lines]))
    names = ", ".join(f"`{name}`" for name in answer)
    asked = "\n\n".join([*texts, f"Answer with JSON: {names}; `..._why` is a sentence with your reason."])
    return RubricForm(asked, {"fields": answer}, fields)


def _point(value: object) -> object:
    return int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value
