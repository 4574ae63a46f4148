"""A tuned model's replies as `query` and `query --chat` show them, and a question of the kind that it was taught."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from herogen_async.tune.query import Answer, Reply, Target


def compared(reply: Reply) -> list[str]:
    """The tuned model's answer and the base's, for the terminal that there is."""
    import shutil

    from herogen_async.view.terminal.side_by_side import beside

    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout is not None and sys.stdout.isatty() else 80
    return beside(_part("tuned", reply.answer), _part("base", reply.base), width)


def _part(side: str, answer: Answer | None) -> tuple[str, str]:
    if answer is None:
        return side, "(no answer)"
    from herogen_async.tune.query import ending_note

    note = ending_note(answer) or "stopped by itself"
    return f"{side} · {answer.model} · {note}", answer.text


def example(target: Target) -> str:
    """A question of the kind that the model was taught, as one types it."""
    from herogen_async.specs.spec import Template
    from herogen_async.tune.query import question_from

    recipe = target.recipe
    names = () if recipe.sub_prompt is None else Template(recipe.sub_prompt).names
    if not names or not all(recipe.attributes.get(name) for name in names):
        return '"40, woman, Healing"'
    return f'"{question_from({name: recipe.attributes[name][0] for name in names}, recipe)}"'
