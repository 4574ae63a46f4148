"""`judge`: a column that scores another one's answers, or compares those of two. It stands for a prompt and a form.

Of a pair the prompt has one order of its texts; who asks it asks it in the other order, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.forms.pairwise import COMPARISON, LABELS, TIE, WHY, WINNER
from herogen_async.specs.spec.problem import Problem
from herogen_async.specs.spec.syntax import JINJA
from herogen_async.specs.spec.template import Template

_EXAMPLE = "for example: `judge: {of: solution, scale: {5: right and clear, 1: wrong}}`"
_EXAMPLE_PAIR = "for example: `judge: {pair: [draft, rewrite]}`"
_KEYS = ("of", "scale")
_KEYS_OF_PAIR = ("pair", "ask")
_ASK = "Which of these two texts is better?"
_MOST = 100  # points of a scale
_LARGEST = 1_000_000


def with_judge(column: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """A column's data with the prompt and the form that its `judge` stands for, and what is wrong with that.

    A prompt of the column's own stays.
    """
    given = dict(column)
    judge, is_jinja = given.pop("judge"), given.get("template") == JINJA
    if judge is None:
        return given, []
    is_pair = isinstance(judge, Mapping) and "pair" in judge
    problems = [problem.below("judge") for problem in (_pair_problems if is_pair else _problems)(judge)]
    prompt = given.get("prompt")
    if not problems and isinstance(prompt, str):
        held = _names_in(prompt)
        for name in judge["pair"] if is_pair else (judge["of"],):
            is_held = re.search(rf"\b{name}\b", prompt) if is_jinja else held is None or name in held
            if not is_held:
                problems.append(Problem(("prompt",), f"the prompt does not hold {{{name}}}, which is judged", "add it"))
        if judge.get("ask") is not None:
            problems.append(Problem(("judge", "ask"), "the column has a prompt of its own", "write it in the prompt"))
    if given.get("answer") not in (None, *((COMPARISON,) if is_pair else ())):
        what = f"a {WINNER}" if is_pair else "a score"
        problems.append(Problem(("answer",), f"`judge` has a form of its own: {what} and why", "remove one of them"))
    if problems:
        given.setdefault("prompt", "?")  # else it would be told as missing, too
        return given, problems
    if is_pair:
        pair = tuple(judge["pair"])
        given.setdefault("prompt", _prompt_of_pair(pair, judge.get("ask") or _ASK, is_jinja=is_jinja))
        return {**given, "answer": COMPARISON, "judge": {"pair": pair}}, []
    points = {int(point): text for point, text in judge["scale"].items()}
    least, most = min(points), max(points)
    given.setdefault("prompt", _prompt(judge["of"], points, is_jinja=is_jinja))
    given["answer"] = {"why": "string", "score": {"type": "integer", "minimum": least, "maximum": most}}
    return given, []


def at_judge(problem: Problem, judge: Mapping[str, Any]) -> Problem:
    """`problem`, of the prompt that `judge` stands for in the column at its path, at what was written instead."""
    key, judged = ("pair", judge["pair"]) if "pair" in judge else ("of", (judge.get("of"),))
    at = problem.path[:2]
    for name in judged:
        if (placeholder := f"placeholder '{{{name}}}'") in problem.message:
            message = problem.message.replace(placeholder, f"column {name!r}")
            whole = "name two columns, whose answers are compared" if key == "pair" else "write `of: conversation`"
            fix = whole if "{" in problem.fix else problem.fix  # a name stands there, and no text
            return Problem((*at, "judge", key), message, fix, problem.line)
    return replace(problem, path=(*at, "judge", *(["ask"] if judge.get("ask") is not None else [])))


def _names_in(prompt: str) -> tuple[str, ...] | None:
    """The placeholders of a prompt; None where it is none, which is told elsewhere."""
    try:
        return Template(prompt, names_columns=True).names
    except SpecError:
        return None


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


def _pair_problems(judge: Mapping[Any, Any]) -> Iterator[Problem]:
    for key in judge:
        if key in _KEYS:
            yield Problem((str(key),), f"a judge of a pair has no `{key}`", "remove `pair`, or this key")
        elif key not in _KEYS_OF_PAIR:
            yield Problem((str(key),), f"unknown key {shown(key)}", nearest(str(key), _KEYS_OF_PAIR))
    pair, ask = judge["pair"], judge.get("ask")
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        yield Problem(("pair",), f"{shown(pair)} is not a list of two columns", _EXAMPLE_PAIR)
        return
    for name in pair:
        if not isinstance(name, str) or not name.isidentifier():
            yield Problem(("pair",), f"{shown(name)} is not the name of a column", _EXAMPLE_PAIR)
        elif name == TIE:
            yield Problem(("pair",), f"a column called {TIE!r} can't be told from a {TIE}", "rename the column")
    if pair[0] == pair[1]:
        yield Problem(("pair",), f"{shown(pair[0])} is compared with itself", "name two columns")
    if ask is not None and (not isinstance(ask, str) or not ask.strip()):
        yield Problem(("ask",), f"{shown(ask)} is not a text", f"for example: `ask: {_ASK}`")


def _is_point(point: object) -> bool:
    if isinstance(point, bool) or not isinstance(point, int | str):
        return False
    try:
        return abs(int(point)) <= _LARGEST and str(int(point)) == str(point).strip()
    except ValueError:
        return False


def _prompt(of: str, points: Mapping[int, str], *, is_jinja: bool) -> str:
    listed = "\n".join(
        f"{point}: {_literal(points[point], is_jinja=is_jinja)}" for point in sorted(points, reverse=True)
    )
    asked = f"a whole number from {min(points)} to {max(points)}"
    return (
        f"Judge this text:\n\n{_value(of, is_jinja=is_jinja)}\n\nThe scale:\n{listed}\n\n"
        f"Answer with JSON: `why`, a sentence with your reason, and then `score`, {asked}."
    )


def _prompt_of_pair(pair: tuple[str, ...], ask: str, *, is_jinja: bool) -> str:
    values = [_value(name, is_jinja=is_jinja) for name in pair]
    texts = "\n\n".join(f"Text {label}:\n{value}" for label, value in zip(LABELS, values, strict=True))
    first, second = LABELS
    return (
        f"{ask}\n\n{texts}\n\n"
        f"Answer with JSON: `{WHY}`, a sentence with your reason, and then `{WINNER}`: "
        f"{first}, {second}, or {TIE} if neither is better."
    )


def _value(name: str, *, is_jinja: bool) -> str:
    return f"{{{{ {name} }}}}" if is_jinja else f"{{{name}}}"


def _literal(text: str, *, is_jinja: bool) -> str:
    if is_jinja:
        return text.replace("{", "{{ '{' }}")
    return text.replace("{", "{{").replace("}", "}}")
