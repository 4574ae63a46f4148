"""`judge`: a column that scores the answers of another one, in short. It stands for a prompt and a form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.spec.problem import Problem

_EXAMPLE = "for example: `judge: {of: solution, scale: {5: right and clear, 1: wrong}}`"
_KEYS = ("of", "scale")
_MOST = 100  # points of a scale
_LARGEST = 1_000_000


def with_judge(column: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """A column's data with the prompt and the form that its `judge` stands for, and what is wrong with that.

    A prompt of the column's own stays.
    """
    given = dict(column)
    judge = given.pop("judge")
    if judge is None:
        return given, []
    problems = [problem.below("judge") for problem in _problems(judge)]
    prompt = given.get("prompt")
    if not problems and isinstance(prompt, str) and f"{{{judge['of']}}}" not in prompt.replace(" ", ""):
        problems.append(Problem(("prompt",), f"the prompt does not hold {{{judge['of']}}}, which is judged", "add it"))
    if given.get("answer") is not None:
        problems.append(Problem(("answer",), "`judge` has a form of its own: a score and why", "remove one of them"))
    if problems:
        given.setdefault("prompt", "?")  # else it would be told as missing, too
        return given, problems
    points = {int(point): text for point, text in judge["scale"].items()}
    least, most = min(points), max(points)
    given.setdefault("prompt", _prompt(judge["of"], points))
    given["answer"] = {"why": "string", "score": {"type": "integer", "minimum": least, "maximum": most}}
    return given, []


def _problems(judge: object) -> Iterator[Problem]:
    if not isinstance(judge, Mapping):
        yield Problem((), f"{shown(judge)} is not a mapping", _EXAMPLE)
        return
    for key in judge:
        if key not in _KEYS:
            yield Problem((str(key),), f"unknown key {shown(key)}", nearest(str(key), _KEYS))
    of, scale = judge.get("of"), judge.get("scale")
    if not isinstance(of, str) or not of.isidentifier():
        yield Problem(("of",), f"{shown(of)} is not the name of a column", _EXAMPLE)
    if not isinstance(scale, Mapping) or not 2 <= len(scale) <= _MOST:
        message = f"{shown(scale)} is not a mapping of 2 to {_MOST} points to what they mean"
        yield Problem(("scale",), message, _EXAMPLE)
        return
    if len({str(point).strip() for point in scale}) < len(scale):
        yield Problem(("scale",), "a point is there twice", "remove one of them")
    for point, text in scale.items():
        if not _is_point(point):
            yield Problem(("scale",), f"{shown(point)} is not a whole number", _EXAMPLE)
        elif not isinstance(text, str) or not text.strip():
            yield Problem(("scale",), f"the text of {point} is {shown(text)}", "say what the point means")


def _is_point(point: object) -> bool:
    if isinstance(point, bool) or not isinstance(point, int | str):
        return False
    try:
        return abs(int(point)) <= _LARGEST and str(int(point)) == str(point).strip()
    except ValueError:
        return False


def _prompt(of: str, points: Mapping[int, str]) -> str:
    listed = "\n".join(f"{point}: {_literal(points[point])}" for point in sorted(points, reverse=True))
    asked = f"a whole number from {min(points)} to {max(points)}"
    return (
        f"Judge this text:\n\n{{{of}}}\n\nThe scale:\n{listed}\n\n"
        f"Answer with JSON: `why`, a sentence with your reason, and then `score`, {asked}."
    )


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
