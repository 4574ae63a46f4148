"""Checks of `conversation`, and of what names its turns. Pure functions from plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.spec.column_graph import Uses
from herogen_async.specs.spec.conversation import (
    ASSISTANT,
    MAX_EXCHANGES,
    TRANSCRIPT,
    TalkingColumns,
    is_transcript,
    stem_of,
)
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.syntax import template_in
from herogen_async.specs.spec.template import Alternative, Template, alternatives

_EXAMPLE = "for example: `conversation: {user: student, assistant: teacher, turns: 3}`"
_AT: KeyPath = (TRANSCRIPT,)
_KEYS = tuple(TalkingColumns.model_fields)


def conversation_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The mistakes of `conversation`, and of its columns."""
    given, columns = data[TRANSCRIPT], data.get("columns")
    if not isinstance(given, Mapping):
        yield Problem(_AT, f"{shown(given)} is not a mapping", _EXAMPLE)
        return
    if not isinstance(columns, Mapping):
        yield Problem(_AT, "`conversation` needs columns", "write the prompts of both sides under `columns`")
        return
    yield from (problem.below(TRANSCRIPT) for problem in _value_problems(given, columns))
    for where in ("attributes", "columns"):
        if isinstance(data.get(where), Mapping) and TRANSCRIPT in data[where]:
            message = f"{{{TRANSCRIPT}}} stands for what was said, where a spec has a conversation"
            yield Problem((where, TRANSCRIPT), message, "rename it, e.g. to 'the_conversation'")
    if (conversation := TalkingColumns.of(data)) is not None:
        for name in conversation.columns:
            yield from _column_problems(name, columns[name], conversation)


def _value_problems(given: Mapping[Any, Any], columns: Mapping[str, Any]) -> Iterator[Problem]:
    for key in given:
        if key not in _KEYS:
            yield Problem((str(key),), f"unknown key {shown(key)}", nearest(str(key), _KEYS))
    for key in _KEYS:
        value = given.get(key)
        if key not in given:
            yield Problem((), f"missing key {key!r}", _EXAMPLE)
        elif key == "turns" and (type(value) is not int or not 1 <= value <= MAX_EXCHANGES):
            yield Problem((key,), f"{shown(value)} is not a whole number from 1 to {MAX_EXCHANGES}", _EXAMPLE)
        elif key != "turns" and (not isinstance(value, str) or value not in columns):
            yield Problem((key,), f"unknown column {shown(value)}", nearest(str(value), list(columns)))
    if given.get("user") == given.get("assistant") is not None:
        yield Problem((ASSISTANT,), f"{shown(given['user'])} can't talk to itself", "name two columns")


def _column_problems(name: str, column: object, conversation: TalkingColumns) -> Iterator[Problem]:
    if not isinstance(column, Mapping):
        return
    at: KeyPath = ("columns", name)
    if column.get("samples", 1) != 1:
        yield Problem((*at, "samples"), "a turn of a conversation has no samples", "use `repeats` instead")
    if column.get("judge") is not None:
        yield Problem((*at, "judge"), "a side of a conversation is no judge", "write another column")
    texts = {key: text for key in ("prompt", "system") if (text := template_in(column, key)) is not None}
    if (prompt := texts.get("prompt")) is not None and TRANSCRIPT not in prompt.names:
        message = f"the prompt does not hold {prompt.shows(TRANSCRIPT)}, so each turn would ask the same"
        yield Problem((*at, "prompt"), message, "add it where the transcript belongs")
    elif prompt is not None and name == conversation.user and is_transcript(prompt):
        fix = f"say what it is to write, e.g. 'You are a student. {{{TRANSCRIPT}}}'"
        yield Problem((*at, "prompt"), "the prompt is empty in the first turn: nothing was said yet", fix)
    if (system := texts.get("system")) is not None and TRANSCRIPT in system.names:
        yield Problem(
            (*at, "system"), "the system text is the same in each turn", f"write {{{TRANSCRIPT}}} in the prompt"
        )
    for key, template in texts.items():
        if any(stem_of(each.name) in conversation.columns for text in template.names for each in alternatives(text)):
            fix = f"write {{{TRANSCRIPT}}}, which holds what was said so far"
            yield Problem((*at, key), "a side of a conversation can't name single turns", fix)


def without_turns(uses: Mapping[str, Uses], conversation: TalkingColumns) -> dict[str, Uses]:
    """`uses` with the sides of the conversation where it or a turn is named; the sides themselves don't name it."""
    both = tuple(Alternative(side) for side in conversation.columns)
    found: dict[str, Uses] = {}
    for name, each in uses.items():
        is_side = name in conversation.columns
        whole = () if is_side else both
        sent = (whole if other.name == TRANSCRIPT else (_side(other),) for other in each.sent)
        times = conversation.turns if is_side else each.times
        found[name] = replace(each, sent=tuple(other for others in sent for other in others), times=times)
    return found


def by_turn(uses: Mapping[str, Uses], conversation: TalkingColumns) -> dict[str, Uses]:
    """`uses` with the columns that the conversation stands for, each with the turns that its text holds."""
    spoken = [name for _, name in conversation.spoken]
    found: dict[str, Uses] = {}
    for name, each in uses.items():
        turns = [turn for turn in spoken if stem_of(turn) == name] or [name]
        for turn in turns:
            before = spoken[: spoken.index(turn)] if turn in spoken else spoken
            held = tuple(map(Alternative, before))
            sent = (held if other.name == TRANSCRIPT else (other,) for other in each.sent)
            found[turn] = replace(each, sent=tuple(other for others in sent for other in others))
    return found


def _side(other: Alternative) -> Alternative:
    return other._replace(name=stem_of(other.name))


def turn_problems(path: KeyPath, template: Template, data: Mapping[str, Any]) -> Iterator[Problem]:
    """What a text of another column names of a conversation, and there is not."""
    conversation = TalkingColumns.of(data)
    for placeholder in template.names:
        parts = alternatives(placeholder)
        for each in parts:
            stem, dot, number = each.name.partition(".")
            what = f"placeholder '{template.shows(placeholder)}'"
            if conversation is None or stem not in (*conversation.columns, TRANSCRIPT):
                if dot:
                    fix = f"write {{{stem}}}, or {{{stem}.all}} for all its samples"
                    yield Problem(path, f"{what}: {stem!r} has no turns", fix)
            elif stem == TRANSCRIPT:
                if dot or each.is_all or each.field or len(parts) > 1:
                    yield Problem(path, f"{what}: a conversation is one text", f"write {{{TRANSCRIPT}}}")
            elif not dot or int(number) > conversation.turns:
                turns = conversation.turns
                fix = f"write {{{stem}.{turns}}} for the last one, or {{{TRANSCRIPT}}} for all"
                yield Problem(path, f"{what}: {stem!r} has the turns 1 to {turns}", fix)


def condition_problem(path: KeyPath, name: str, data: Mapping[str, Any]) -> Problem | None:
    """What a condition can't read: a conversation, or one of its sides."""
    conversation = TalkingColumns.of(data)
    if conversation is None or stem_of(name) not in (*conversation.columns, TRANSCRIPT):
        return None
    fix = f"let a column with a form read {{{TRANSCRIPT}}}, and name its field"
    return Problem(path, f"name {name!r}: a condition can't read a conversation", fix)
