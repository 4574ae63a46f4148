"""Checks of a spec's columns together: names, placeholders, order, samples. Pure functions from plain data."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import MAX_SHOWN, as_seen, near_name, nearest, shown, shown_key
from herogen_async.specs.spec import check
from herogen_async.specs.spec.column import MAX_SAMPLES, Column
from herogen_async.specs.spec.column_graph import Uses, cycle, sampled_by, samples_of, sent_names
from herogen_async.specs.spec.conversation import TRANSCRIPT, TalkingColumns, stem_of
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.syntax import JINJA, doubled_problems, single_problems, template_in
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, Template, alternatives

MAX_COLUMNS = 64
MAX_CALLS = 4096  # of one row, samples and all
FIRST = "response_txt"  # the column that `prompt:` makes
_WORDS = {"and", "or", "not", "in", "true", "false", "null", "True", "False", "None"}  # of a condition
_RESERVED = check.ROW_COLUMNS | {
    *("row", "rows", "column", "columns", "sample", "samples", "all", "from", "ask", "skipped", "failed", "accepted"),
    *("keep", "want", "train", "reasoning", "extra", "state", "missing"),
}

_FIRST_ELSEWHERE = ("prompt", "response", "answer", "completion", "output")  # names for the answer to `prompt:`
NOT_FOR_COLUMNS = _RESERVED | _WORDS | {FIRST}

FindLine = Callable[[KeyPath], int | None]


def columns_problems(data: Mapping[str, Any], line: FindLine) -> Iterator[Problem]:
    """The mistakes of `columns` besides those inside a single one; `line` finds where something stands."""
    columns = data.get("columns")
    if not isinstance(columns, Mapping):
        if "columns" in data:
            what = "a list" if isinstance(columns, list | tuple) else shown(columns)
            dashes = "without dashes, each name as a key; " if isinstance(columns, list | tuple) else ""
            example = (
                f"{dashes}for example: `columns: {{question: {{prompt: ...}}, solution: {{prompt: '{{question}}'}}}}`"
            )
            yield Problem(("columns",), f"{what} is not a mapping of names to columns", example)
        return
    if not columns and "columns" in data:
        yield Problem(("columns",), "the mapping is empty", "add a column, or remove the key")
        return
    if len(columns) > MAX_COLUMNS:
        yield Problem(
            ("columns",), f"{len(columns)} columns; the limit is {MAX_COLUMNS}", "split the spec into several"
        )
    attributes = data.get("attributes")
    known = [name for name in attributes if isinstance(name, str)] if isinstance(attributes, Mapping) else []
    for name, column in columns.items():
        yield from _shape_problems(name, column, known)
    uses = uses_of(data)
    is_unclear = data.get(TRANSCRIPT) is not None and TalkingColumns.of(data) is None  # which is told as such
    names = [*known, *uses, *([TRANSCRIPT] if is_unclear else [])]
    for name, each in uses.items():
        if name != FIRST:
            yield from () if is_unclear else _turn_problems(name, columns[name], data)
            given = [*names, *([SHOWN_EXAMPLES] if data.get(SHOWN_EXAMPLES) is not None else ())]
            yield from _unknown_names(name, columns[name], each, given, attributes)
            yield from _alternative_problems(name, columns[name], known)
            yield from _doubled_problems(name, columns[name], each, [*known, *uses])
            yield from _field_problems(name, columns[name], columns)
            yield from _pair_problems(name, columns[name], data)
            yield from _endpoint_problems(name, columns[name], data)
    yield from _cycle_problems(_by_turn(_written_uses(data), TalkingColumns.of(data)), line)
    yield from _sample_problems(uses, TalkingColumns.of(data))


def named_of(data: Mapping[str, Any]) -> set[str]:
    """The attributes and columns that a spec's columns name; all attributes where a prompt can't be read yet."""
    columns, attributes, uses = data.get("columns"), data.get("attributes"), uses_of(data)
    each_read = isinstance(columns, Mapping) and all(
        name in uses and template_in(columns[name], "prompt") is not None for name in columns if name != FIRST
    )
    if each_read and isinstance(columns, Mapping) and FIRST not in columns:
        return {name for each in uses.values() for name in each.names}
    return set(attributes) if isinstance(attributes, Mapping) else set()


def uses_of(data: Mapping[str, Any]) -> dict[str, Uses]:
    """What each column of a spec's data names, that of `prompt:` first; what can't be read names nothing.

    Of a conversation it names the sides.
    """
    return _without_turns(_written_uses(data), TalkingColumns.of(data))


def _written_uses(data: Mapping[str, Any]) -> dict[str, Uses]:
    columns = data.get("columns")
    sound = {
        name: each
        for name, each in (columns.items() if isinstance(columns, Mapping) else ())
        if isinstance(name, str) and isinstance(each, Mapping)
    }
    found = {FIRST: _uses(data)} if isinstance(data.get("prompt"), str) and data["prompt"] else {}
    return {**found, **{name: _uses(each, data) for name, each in sound.items() if name != FIRST}}


def _without_turns(uses: dict[str, Uses], conversation: TalkingColumns | None) -> dict[str, Uses]:
    """The same, with the sides of a conversation where it or a turn of it is named."""
    if conversation is None:
        return uses
    from herogen_async.specs.spec.conversation_checks import without_turns  # noqa: PLC0415 - few specs have one

    return without_turns(uses, conversation)


def _by_turn(uses: dict[str, Uses], conversation: TalkingColumns | None) -> dict[str, Uses]:
    """The same, with the turns of a conversation, each with what it names."""
    if conversation is None:
        return uses
    from herogen_async.specs.spec.conversation_checks import by_turn  # noqa: PLC0415 - few specs have one

    return by_turn(uses, conversation)


def _uses(column: Mapping[str, Any], spec: Mapping[str, Any] = MappingProxyType({})) -> Uses:
    samples = column.get("samples", 1)
    return Uses(
        sent_names(template_in(column, "prompt"), template_in(column if "system" in column else spec, "system")),
        _asked(column.get("when")),
        samples if type(samples) is int and 0 < samples <= MAX_SAMPLES else 1,
        column.get("when") is not None,
        1 if pair_in(column) is None else 2,
    )


def pair_in(column: object) -> tuple[str, str] | None:
    """The columns that a column of a spec's data compares; None where it is no judge of two."""
    judge = column.get("judge") if isinstance(column, Mapping) else None
    pair = judge.get("pair") if isinstance(judge, Mapping) else None
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(each, str) for each in pair):
        return None
    return pair[0], pair[1]


def _asked(text: object) -> tuple[str, ...]:
    if not isinstance(text, str):
        return ()
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few columns have a condition

    try:
        return Expression.parse(text).stems
    except SpecError:
        return ()


def _shape_problems(name: object, column: object, attributes: list[str]) -> Iterator[Problem]:
    path: KeyPath = ("columns", str(name))
    if isinstance(column, Mapping):
        yield from _name_problems(name, attributes)
    elif column is not None and name in Column.model_fields:
        yield Problem(
            path, f"`{name}` is at the level of the column names", f"indent `{name}` further, under a column name"
        )
    elif column is None:
        yield Problem(path, f"{name!r} has no prompt", "write `prompt:` under its name, indented further")
    else:
        yield Problem(path, f"{shown(column)} is not a column", f"write `{shown_key(str(name))}: {{prompt: ...}}`")


def _name_problems(name: object, attributes: list[str]) -> Iterator[Problem]:
    path: KeyPath = ("columns", str(name))
    if not isinstance(name, str) or not name.isidentifier() or len(name) > check.MAX_NAME:
        fix = f"use letters, digits and underscores, e.g. {check.usable_name(name)!r}"
        yield Problem(path, f"{shown(name)} is not a valid placeholder name", fix)
    elif name == FIRST:
        yield Problem(path, f"{FIRST!r} is the column that `prompt:` makes", "move its prompt up, or rename it")
    elif name in attributes:
        yield Problem(path, f"{name!r} is also an attribute", f"rename one of them, e.g. to {name + '_text'!r}")
    elif name in _RESERVED:
        yield Problem(path, f"{name!r} is already a field of every row", f"rename it, e.g. to {'the_' + name!r}")
    elif name in _WORDS:
        yield Problem(path, f"{name!r} is reserved in conditions", f"rename it, e.g. to {'the_' + name.lower()!r}")


def _unknown_names(
    column: str, data: Mapping[str, Any], uses: Uses, known: list[str], attributes: object
) -> Iterator[Problem]:
    others = [name for name in known if name != column]
    sent = dict.fromkeys(each.name for each in uses.sent if "." not in each.name)
    for names, key, word in (
        (sent, "prompt", "placeholder '{{{{ {} }}}}'" if data.get("template") == JINJA else "placeholder '{{{}}}'"),
        (dict.fromkeys(uses.asked), "when", "name {!r}"),
    ):
        path: KeyPath = ("columns", column, key)
        for name in islice((name for name in names if name not in others), MAX_SHOWN + 1):
            what = word.format(name)
            if name == column:
                yield Problem(path, f"{what} is the column itself", "name an earlier column")
            elif twin := next((each for each in others if as_seen(each) == as_seen(name)), None):
                yield Problem(path, f"{what} looks like {twin!r}, but is written differently", "copy the name")
            elif key == "when" and _is_value(name, attributes):
                yield Problem(path, f"unknown {what}", f"quote it if it is a text: '{name}'")
            else:
                near = FIRST if FIRST in others and name in _FIRST_ELSEWHERE else ""
                fix = f"did you mean {near!r}, the answer to `prompt`?" if near else nearest(name, others)
                yield Problem(path, f"unknown {what}", _other_letters(name, others) or fix)


def _is_value(name: str, attributes: object) -> bool:
    lists = attributes.values() if isinstance(attributes, Mapping) else ()
    return any(name in values for values in lists if isinstance(values, list | tuple))


def _other_letters(name: str, others: list[str]) -> str | None:
    """The fix where a letter looks like that of another alphabet."""
    near = near_name(name, [each for each in others if each.isascii()])
    foreign = next((each for each in name if not each.isascii()), None)
    if near is None or foreign is None or len(near) != len(name):
        return None
    return f"copy the name {near!r}: {foreign!r} here is {unicodedata.name(foreign, 'another letter')}"


def _doubled_problems(column: str, data: Mapping[str, Any], uses: Uses, known: list[str]) -> Iterator[Problem]:
    text = data.get("prompt")
    if isinstance(text, str) and data.get("template") == JINJA:
        yield from single_problems(("columns", column, "prompt"), text, known)
    elif isinstance(text, str) and not uses.sent:
        yield from doubled_problems(("columns", column, "prompt"), text, known, "is sent as", "the prompt")


def _endpoint_problems(name: str, column: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    """What the endpoint that a column has from its spec does not take."""
    if column.get("endpoint") is None:
        for problem in check.endpoint_problems({**column, "endpoint": data.get("endpoint", "completions")}):
            yield problem.below(name).below("columns")
        return
    shared, own = (each if isinstance(each := of.get("sampling"), Mapping) else {} for of in (data, column))
    if column["endpoint"] == "completions" and shared.get("max_completion_tokens") and "max_tokens" not in own:
        message = "endpoint 'completions' does not accept max_completion_tokens, which the spec's sampling sets"
        fix = f"write `sampling: {{max_tokens: {shared['max_completion_tokens']}}}` under this column"
        yield Problem(("columns", name, "endpoint"), message, fix)


def _alternative_problems(name: str, column: Mapping[str, Any], attributes: list[str]) -> Iterator[Problem]:
    for key in ("prompt", "system"):
        if (template := template_in(column, key)) is not None:
            yield from alternative_problems(("columns", name, key), template, attributes)


def _field_problems(name: str, column: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[Problem]:
    """A placeholder or a condition names a field that its column doesn't have."""
    for key in ("prompt", "system"):
        if (template := template_in(column, key)) is not None:
            yield from template_field_problems(("columns", name, key), template, columns)
    if isinstance(text := column.get("when"), str) and "." in text:
        from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few columns have a condition

        try:
            names = Expression.parse(text).names
        except SpecError:
            return
        for dotted in names:
            other, dot, field = dotted.partition(".")
            if dot and other in columns:
                yield from field_problem(("columns", name, "when"), f"name {dotted!r}", other, field, columns)


def template_field_problems(path: KeyPath, template: Template, columns: Mapping[str, Any]) -> Iterator[Problem]:
    """The fields that a template names, and its columns don't have."""
    for placeholder in template.names:
        for each in alternatives(placeholder):
            if each.field is not None:
                what = f"placeholder '{template.shows(placeholder)}'"
                yield from field_problem(path, what, each.name, each.field, columns, shows=template.shows)


def field_problem(
    path: KeyPath,
    what: str,
    name: str,
    field: str,
    columns: Mapping[str, Any],
    *,
    shows: Callable[[str], str] = "{{{}}}".format,
) -> Iterator[Problem]:
    """`field` is none of column `name`; `shows` says how a placeholder is written there."""
    from herogen_async.specs.spec.answer_form import fields_of  # noqa: PLC0415 - few specs name fields

    column = columns.get(name)
    if column is None and name not in columns:
        if name == FIRST:
            yield Problem(path, f"{what}: {name!r} has no fields", f"write {shows(name)}")
        return  # an unknown name is told as such, and an attribute as what has none
    fields = fields_of(column)
    if fields is None and isinstance(column, Mapping) and column.get("answer") is None:
        form = f"`answer: {{{field}: string}}`"
        every = shows(f"{name}.all")
        fix = f"write {shows(name)}, or {every} for all its samples, or give {name!r} a form: {form}"
        yield Problem(path, f"{what}: {name!r} has no fields", fix)
    elif fields is not None and field not in fields:
        fix = nearest(field, list(fields)) if fields else f"its form has no fields: write {shows(name)}"
        yield Problem(path, f"{what}: {name!r} has no field {field!r}", fix)


def alternative_problems(path: KeyPath, template: Template, attributes: list[str]) -> Iterator[Problem]:
    """An attribute has no samples, and always a value: what stands behind it in a placeholder is never taken."""
    for placeholder in template.names:
        parts = alternatives(placeholder)
        shown_as, own = (
            f"placeholder '{template.shows(placeholder)}'",
            [each for each in parts if each.name in attributes],
        )
        if fielded := next((each for each in own if each.field is not None), None):
            fix = f"write {template.shows(fielded.name)}"
            yield Problem(path, f"{shown_as}: {fielded.name!r} is an attribute, without fields", fix)
        elif joined := next((each.name for each in own if each.is_all), None):
            yield Problem(
                path, f"{shown_as}: {joined!r} is an attribute, without samples", f"write {template.shows(joined)}"
            )
        elif own and len(parts) > 1 and (parts[-1] != own[0] or len(own) > 1):
            fix = f"write {own[0].name} last, or alone"
            yield Problem(path, f"{shown_as}: the attribute {own[0].name!r} is never missing", fix)


def _pair_problems(name: str, column: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    attributes, conversation = data.get("attributes"), TalkingColumns.of(data)
    for each in pair_in(column) or ():
        is_attribute = isinstance(attributes, Mapping) and each in attributes
        if is_attribute or (conversation is not None and each == TRANSCRIPT):
            what = "an attribute" if is_attribute else "a conversation"
            fix = "name two columns, whose answers are compared"
            yield Problem(("columns", name, "judge", "pair"), f"{each!r} is {what}, not a column", fix)


def _turn_problems(name: str, column: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    """What names turns that there are not, or what can't be named."""
    conversation = TalkingColumns.of(data)
    texts = {key: text for key in ("prompt", "system") if (text := template_in(column, key)) is not None}
    if conversation is None and not any("." in each.name for each in sent_names(*texts.values())):
        return
    from herogen_async.specs.spec.conversation_checks import condition_problem, turn_problems  # noqa: PLC0415 - few specs have one

    if conversation is None or name not in conversation.columns:
        for key, template in texts.items():
            yield from turn_problems(("columns", name, key), template, data)
    for each in _asked(column.get("when")):
        if (problem := condition_problem(("columns", name, "when"), each, data)) is not None:
            yield problem


def _cycle_problems(uses: Mapping[str, Uses], line: FindLine) -> Iterator[Problem]:
    names = cycle({name: each for name, each in uses.items() if name not in each.names})
    if not names:
        return
    paths = {name: ("columns", stem_of(name), "prompt") for name in names}
    places = [f"{name} (line {at})" if (at := line(paths[name])) else name for name in names]
    yield Problem(
        paths[names[0]],
        f"these columns depend on each other: {', '.join(places)}, and {names[0]} again",
        "remove one of the placeholders",
    )


def _sample_problems(uses: Mapping[str, Uses], conversation: TalkingColumns | None) -> Iterator[Problem]:
    samples = samples_of(uses)
    for name in () if conversation is None else conversation.columns:
        for other, count in sampled_by(name, uses, samples) if name in samples else ():
            fix = f"write {{{other}.all}} to join these, or remove its samples"
            message = f"{other!r} has {count} samples, and a turn of a conversation has none"
            yield Problem(("columns", name, "prompt"), message, fix)
    for name in samples:
        fanned = dict(sampled_by(name, uses, samples))
        path: KeyPath = ("columns", name)
        if len(set(fanned.values())) > 1:
            listed = " and ".join(f"{other} ({count})" for other, count in fanned.items())
            yield Problem(path, f"{name} names columns with different numbers of samples: {listed}", "make them equal")
        elif joined := next((each for each in uses[name].asked if _is_joined(each, uses[name], samples)), None):
            message = f"{joined!r} has {samples[joined]} samples here, but a condition reads only one"
            fix = f"write {{{joined}}} instead of {{{joined}.all}}, or remove {joined} from the condition"
            yield Problem((*path, "when"), message, fix)
        elif fanned and uses[name].samples > 1:
            other = next(iter(fanned))
            fix = f"remove it: {name} has the samples of {other}, or write {{{other}.all}} to join these"
            yield Problem((*path, "samples"), f"{other!r} already has samples", fix)
    if sum(samples.values()) == 1 and (only := next((name for name, each in uses.items() if each.has_condition), None)):
        fix = "remove it, and remove those values from `attributes`: each row needs a column"
        yield Problem(("columns", only, "when"), "the only column of a spec can't have a condition", fix)
    if (calls := sum(count * uses[name].times for name, count in samples.items())) > MAX_CALLS:
        yield Problem(("columns",), f"{calls:,} requests per row; the limit is {MAX_CALLS:,}", "lower the samples")


def _is_joined(name: str, uses: Uses, samples: Mapping[str, int]) -> bool:
    """Whether a column takes all samples of `name` together, and never one."""
    return samples.get(name, 1) > 1 and {each.is_all for each in uses.sent if each.name == name} == {True}
