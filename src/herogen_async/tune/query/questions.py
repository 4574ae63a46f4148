"""From what a person or a script gives to the text of a question: words, flags, lines of standard input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.specs.spec.template import Template

_SHOWN = 12  # values or names that an error lists
_VALUE_CHARS = 30


def split_flags(words: Sequence[str], options: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """`words` of a command line as (prompts, attributes by name): `--age 40` and `--age=40` are attributes.

    `options` are the command's own, for the sentence about one that is misspelt. Raises InputError.
    """
    prompts: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or " " in word.partition("=")[0]:
            prompts.append(word)
            continue
        flag, has_value, value = word.partition("=")
        name = flag[2:].replace("-", "_")
        if not has_value:
            given = next(rest, None)
            if given is None or given.startswith("--"):
                raise InputError(f"{flag} has no value", fix=_flag_fix(name, options) or f"write {flag} VALUE")
            value = given
        if name in flags:
            raise InputError(f"{flag} given twice", fix="give it once; for many questions, use standard input")
        flags[name] = value
    return prompts, flags


def question_from(attributes: Mapping[str, Any], recipe: Recipe, options: Sequence[str] = ()) -> str:
    """The question about a cell, as the data set's were written; values outside the grid are fine.

    Raises InputError for a name that the question has no place for, with the nearest one, and for what is missing.
    """
    if recipe.sub_prompt is None:
        told = ", ".join(f"--{name}" for name in attributes)
        raise InputError(
            f"can't use attributes ({told}): no question template on record for this model",
            fix=next((fix for name in attributes if (fix := _flag_fix(name, options))), None)
            or 'ask in the words of its training data, e.g. "40, woman, Healing"',
        )
    template = Template(recipe.sub_prompt)
    for name in attributes:
        if name not in template.names:
            raise InputError(
                f"unknown attribute {name!r} for this model's questions", fix=_near(name, template, options)
            )
    if missing := [name for name in template.names if name not in attributes]:
        raise InputError(
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing", fix=_give(missing, recipe, options)
        )
    return template.render({name: _text(name, value) for name, value in attributes.items()})


def question_of_line(line: str, recipe: Recipe, where: str) -> str:
    """The question on one line of standard input: its words, or a JSON object with them.

    An object has a `prompt`, or `messages`, or the attributes. `where` names the line in errors. Raises InputError.
    """
    line = line.strip("\r\n")
    if not line.lstrip().startswith("{"):
        return line
    try:
        row = codec.loads(line)
    except ValueError:
        raise InputError(f"{where} looks like JSON but is not valid: {line[:60]!r}", fix="fix the JSON") from None
    try:
        return question_of_row(row, recipe)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", fix=error.fix) from None


def question_of_row(row: Mapping[str, Any], recipe: Recipe) -> str:
    """The question in a JSON object: its `prompt`, the last user's message of `messages`, or the attributes."""
    if "prompt" in row:
        return _text("prompt", row["prompt"])
    if isinstance(messages := row.get("messages"), list):
        said = [each.get("content") for each in messages if isinstance(each, dict) and each.get("role") == "user"]
        if said and isinstance(said[-1], str):
            return said[-1]
        raise InputError("`messages` has no user message", fix='{"messages": [{"role": "user", "content": "..."}]}')
    return question_from(row, recipe)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    raise InputError(f"{name!r} can't be {value!r}", fix="give text or a number")


def _near(name: str, template: Template, options: Sequence[str]) -> str:
    names = [*template.names, *options]
    valid = f"valid: {_listed([f'--{each}' for each in template.names])}"
    near = get_close_matches(name, names, n=1)
    return f"did you mean --{near[0].replace('_', '-')}? {valid}" if near else valid


def _flag_fix(name: str, options: Sequence[str]) -> str | None:
    near = get_close_matches(name.replace("_", "-"), options, n=1)
    return f"did you mean --{near[0]}?" if near else None


def _give(missing: Sequence[str], recipe: Recipe, options: Sequence[str]) -> str:
    if taken := [name for name in missing if name.replace("_", "-") in options]:
        told = ", ".join(f'"{name}": ...' for name in missing)
        return f"--{taken[0].replace('_', '-')} is an option of this command; give JSON on standard input: {{{told}}}"
    return "; ".join(f"--{name} {_known(recipe.attributes.get(name, ()))}" for name in missing)


def _known(values: Sequence[str]) -> str:
    if not values:
        return "VALUE"
    shown = ", ".join(value[:_VALUE_CHARS] for value in values[:_SHOWN])
    return f"VALUE, e.g. {shown}{' ...' if len(values) > _SHOWN else ''}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
