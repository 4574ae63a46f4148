"""Twenty kinds of JSON as models break it, of one object with a whole number `score` from 1 to 5 and a text `why`.

`fits`: what it says is certain, so that it is taken as it is, or mended; else the model is asked again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FORM: dict[str, Any] = {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "why": "string"}
SOUND = '{"score": 3, "why": "it is good"}'
VALUE = {"score": 3, "why": "it is good"}


class Broken(NamedTuple):
    """One kind: its name, the answer, whether it fits, and whether the server says that it was cut off."""

    name: str
    text: str
    fits: bool
    is_cut: bool = False


KINDS = (
    Broken("fenced", f"```json\n{SOUND}\n```", True),
    Broken("prose around it", f"Sure, here it is:\n{SOUND}\nLet me know!", True),
    Broken("a comma at the end", '{"score": 3, "why": "it is good",}', True),
    Broken("single quotes", "{'score': 3, 'why': 'it is good'}", True),
    Broken("keys without quotes", '{score: 3, why: "it is good"}', True),
    Broken("a comma left out", '{"score": 3 "why": "it is good"}', True),
    Broken("cut off in a text", '{"score": 3, "why": "it is', False),
    Broken("cut off behind a value", '{"score": 3, "why": "it is good"', False),
    Broken("cut off, as the server says", '{"score": 3, "why": "it is good"} and', False, True),
    Broken("a refusal", "I'm sorry, but I can't rate this.", False),
    Broken("nothing", " \n", False),
    Broken("two objects", SOUND + "\n" + SOUND.replace("3", "4"), False),
    Broken("a list of it", f"[{SOUND}]", False),
    Broken("a number as a text", '{"score": "3", "why": "it is good"}', False),
    Broken("a number that is too large", '{"score": 9, "why": "it is good"}', False),
    Broken("a field left out", '{"score": 3}', False),
    Broken("a field too many", '{"score": 3, "why": "it is good", "sure": true}', False),
    Broken("a key twice", '{"score": 3, "score": 4, "why": "it is good"}', False),
    Broken("no number", '{"score": NaN, "why": "it is good"}', False),
    Broken("quotes that end the text", '{"score": 3, "why": "it is "good"}" they said"}', False),
)
