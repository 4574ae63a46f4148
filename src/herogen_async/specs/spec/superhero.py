"""The built-in spec as data: `superhero.yaml` without its comments. A test keeps the two equal.

It saves `run` without a spec the 50 ms of imports and parsing that the YAML would cost.
"""

from __future__ import annotations

from typing import Any, Final

SUPERHERO: Final[dict[str, Any]] = {
    "name": "superhero",
    "attributes": {
        "age": ("18", "20", "30", "40", "50", "60", "90"),
        "gender": ("man", "woman"),
        "power": (
            "invisibility",
            "read in the thoughts",
            "turning lead into gold",
            "immortality",
            "telepathy",
            "teleport",
            "flight",
        ),
    },
    "repeats": 3,
    "prompt": (
        "Imagine a complete and detailed description of a {age}-year-old {gender} fictional character who has the "
        "superpower of {power}. Write out the entire description in a maximum of 100 words in great detail:"
    ),
    "sub_prompt": "{age}, {gender}, {power}",
    "sampling": {"temperature": 1, "max_tokens": 500, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0},
    "endpoint": "completions",
    "model": None,
}
