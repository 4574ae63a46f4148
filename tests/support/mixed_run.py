"""A run with something of all that the page shows: rejected and failed rows, findings, a conditional attribute."""

from __future__ import annotations

import random
from pathlib import Path

from herogen_async.generation.endpoint import Completion
from herogen_async.specs.plan import Call
from herogen_async.specs.spec import Spec
from support.column_runs import ColumnRun, completion

_WORDS = "the a hero city night river storm brave quiet old young light shadow bridge letter answer garden music winter"
POWERS = ["telekinesis", "flight", "invisibility", "super strength", "telepathy", "healing", "speed", "time travel"]


def mixed_spec(repeats: int) -> Spec:
    """72 cells, a story and its grade in each row."""
    return Spec(
        name="heroes",
        attributes={
            "power": POWERS,
            "age": ["20", "30", "40", "50", "60", "70"],
            "gear": [{"when": "age < 50", "values": ["cape", "mask"]}],
        },
        repeats=repeats,
        columns={
            "story": {"prompt": "A story about a {age} year old hero with {power} and {gear}."},
            "grade": {
                "prompt": "Grade it: {story}",
                "answer": {"score": {"type": "integer", "minimum": 1, "maximum": 5}},
            },
        },
        sub_prompt="{power}, {age}, {gear}",
        keep="grade.score >= 3",
    )


def mixed_run(path: Path, repeats: int = 3) -> ColumnRun:
    """The run in `path`, the same each time; its last ten rows are still to be asked."""
    chance = random.Random(4)
    made = ColumnRun(path, mixed_spec(repeats))
    told: list[str] = []

    def story(call: Call) -> Completion | None:
        luck = chance.random()
        if luck < (0.3 if call.cell["power"] == "speed" else 0.04):
            return None
        text = " ".join(chance.choices(_WORDS.split(), k=max(int(chance.gauss(110, 24)), 20)))
        if luck > 0.97 and told:
            text = chance.choice(told)
        elif luck > 0.95:
            text = "I'm sorry, but I can't help with that request."
        elif luck > 0.92:
            return completion(f"{text} and then", finish_reason="length")
        elif luck > 0.91:
            text = "one two three four " * 60
        told.append(text)
        return completion(text)

    def answer(call: Call) -> Completion | None:
        if call.column == "story":
            return story(call)
        lean = 2 if call.cell["age"] in ("60", "70") else 0
        return completion(f'{{"score": {max(1, min(5, int(chance.gauss(4, 1.3)) - lean))}}}')

    for number in range(made.plan.rows - 10):
        made.ask(number, answer)
    return made
