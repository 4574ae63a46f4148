"""Checks of `train`: what a training example says, turn by turn. Pure functions from plain data.

`train` is a mapping of roles to templates, for one question and its answer, or a list with one role and its template
each, for several turns. Both become a list of (role, template).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import MAX_SHOWN, nearest, shown
from herogen_async.specs.spec.check import text_faults
from herogen_async.specs.spec.column_checks import (
    FIRST,
    alternative_problems,
    template_field_problems,
    uses_of,
)
from herogen_async.specs.spec.column_graph import Uses, sampled_by, samples_of, sent_names
from herogen_async.specs.spec.conversation import TalkingColumns, stem_of, with_transcript
from herogen_async.specs.spec.conversation_checks import turn_problems
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.syntax import doubled_problems
from herogen_async.specs.spec.template import Template

SYSTEM, USER, ASSISTANT = _ROLES = ("system", "user", "assistant")
MAX_TURNS = 64
_EXAMPLE = "for example: `train: {user: '{question}', assistant: '{solution}'}`"
_ORDER = "an optional system first, then user and assistant in turn, an assistant at the end"


def turns_of(train: object) -> tuple[tuple[str, str], ...]:
    """The turns of a `train` without mistakes; a mapping's in the order of a conversation."""
    if isinstance(train, Mapping):
        return tuple((role, train[role]) for role in _ROLES if role in train)
    each = train if isinstance(train, list | tuple) else ()
    return tuple(pair for turn in each for pair in (turn.items() if isinstance(turn, Mapping) else (turn,)))


def train_problems(data: Mapping[str, Any], *, knows_names: bool = True) -> Iterator[Problem]:
    """The mistakes of `train`, in a spec of columns or of one prompt; of its shape alone unless names are known."""
    shape = list(_shape_problems(data["train"]))
    yield from shape
    if shape or not knows_names:
        return
    turns = turns_of(data["train"])
    attributes = data.get("attributes")
    known = [name for name in attributes if isinstance(name, str)] if isinstance(attributes, Mapping) else []
    columns = uses_of(data)
    templates: list[Template] = []
    wrong: list[Problem] = []
    for number, (role, text) in enumerate(turns):
        path: KeyPath = ("train", role if isinstance(data["train"], Mapping) else number)
        wrong += [Problem(path, *fault) for fault in text_faults(text)]
        try:
            template = Template(text, names_columns=True)
        except SpecError as error:
            wrong.append(Problem(path, error.message, error.fix or ""))
            continue
        conversation = TalkingColumns.of(data)
        wrong += turn_problems(path, template, data)
        if conversation is not None:
            template = with_transcript(template, conversation.spoken)
        templates.append(template)
        if not template.names:
            wrong += doubled_problems(path, text, [*known, *columns], "teaches", "the text")
        wrong += [*_unknown_names(path, template, [*known, *columns]), *alternative_problems(path, template, known)]
        named = data.get("columns")
        wrong += template_field_problems(path, template, named if isinstance(named, Mapping) else {})
    yield from wrong
    if wrong:
        return
    named = {stem_of(each.name) for each in sent_names(templates[-1])}
    if not named & columns.keys():
        message = "the last assistant's text names no column, so each example teaches the same words"
        yield Problem(
            ("train",), message, f"name the answer that it should give, e.g. {{{next(iter(columns), FIRST)}}}"
        )
    yield from _sample_problems(templates, columns)


def _shape_problems(train: object) -> Iterator[Problem]:
    path: KeyPath = ("train",)
    if not isinstance(train, Mapping | list | tuple) or not train:
        yield Problem(path, f"{shown(train)} is neither a mapping of roles to texts nor a list of turns", _EXAMPLE)
        return
    if not isinstance(train, Mapping) and not all(_is_turn(each) for each in train):
        yield Problem(path, "each turn is one role and its text", "for example: `- user: '{question}'`")
        return
    turns = turns_of(train) if not isinstance(train, Mapping) else tuple(train.items())
    for role, text in turns:
        if role not in _ROLES:
            yield Problem(path, f"unknown role {shown(role)}", nearest(str(role), _ROLES))
        elif not isinstance(text, str) or not text.strip():
            yield Problem(path, f"the text of {role} is {shown(text)}", "write a text with placeholders")
    if all(role in _ROLES for role, _ in turns):
        roles = [role for role, _ in turns_of(train)]
        spoken = roles[1:] if roles[0] == SYSTEM else roles
        if not spoken or spoken != [USER, ASSISTANT] * (len(spoken) // 2):
            yield Problem(path, f"{', '.join(roles)} is not a conversation", f"write {_ORDER}")
    if len(turns) > MAX_TURNS:
        yield Problem(path, f"{len(turns)} turns; the limit is {MAX_TURNS}", "shorten the conversation")


def _is_turn(turn: object) -> bool:
    return (isinstance(turn, Mapping) and len(turn) == 1) or (isinstance(turn, tuple) and len(turn) == 2)


def _unknown_names(path: KeyPath, template: Template, known: list[str]) -> Iterator[Problem]:
    names = dict.fromkeys(stem_of(each.name) for each in sent_names(template))
    for name in islice((name for name in names if name not in known), MAX_SHOWN + 1):
        yield Problem(path, f"unknown placeholder '{{{name}}}'", nearest(name, known))


def _sample_problems(templates: list[Template], columns: Mapping[str, Uses]) -> Iterator[Problem]:
    """Each example takes sample i of all that it names: they have as many."""
    uses = {**columns, "": Uses(sent_names(*templates), ())}
    fanned = dict(sampled_by("", uses, samples_of(columns)))
    if len(set(fanned.values())) > 1:
        listed = " and ".join(f"{name} ({count})" for name, count in fanned.items())
        yield Problem(("train",), f"it names columns with different numbers of samples: {listed}", "make them equal")
