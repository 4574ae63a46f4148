"""Checks of a spec's content beyond its field types: pure functions from plain data to problems.

Each checks the parts that have the right shape and ignores the rest, so one pass over a broken spec finds every
mistake.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import MAX_SHOWN, as_seen, nearest, shown, shown_key
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.syntax import JINJA, template_of
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, Template

MAX_ATTRIBUTES = 64  # columns of the data set; spreadsheets and `{a}, {b}, ...` become unreadable far earlier
MAX_VALUES = 1_000_000  # per attribute: they are held in memory
MAX_TEXT_BYTES = 1 << 20  # of a template or a value: far beyond any model's context
KEYS_OF_SPECS = ("columns", "sampling")  # mappings that are indented under `attributes` by mistake
MAX_NAME = 80  # same limit as a run's name, which becomes a folder name

# The fields that every row has, which no attribute may be called. It can't grow: the specs of earlier releases may have
# attributes that are called as what later rows may hold.
ROW_COLUMNS = frozenset(
    {
        *("key", "index", "cell", "repeat", "prompt", "sub_prompt", "response_txt", "finish_reason", "model", "usage"),
        *("request_id", "attempts", "latency_ms", "created_at", "crc"),
        *("prompt_tokens", "completion_tokens", "total_tokens"),
    }
)
ENGINE_PARAMETERS = {
    "model": "use the spec's own `model`",
    "prompt": "remove it; the engine fills it from the grid",
    "messages": "remove it; the engine fills it from the grid",
    "stream": "remove it; answers are read whole",
    "n": "use `repeats`, or `samples` of a column: each answer is a request of its own",
}

NAME = re.compile(rf"(?!\.)[A-Za-z0-9._-]{{1,{MAX_NAME}}}")  # of a spec, and so of a run: it becomes a folder name
_URL = re.compile(r"https?://[^\s/]\S*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_WHOLE = range(-(2**63), 2**64)  # whole numbers that every JSON reader takes as they are
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FORBIDDEN = re.compile(f"{_CONTROL.pattern}|{_SURROGATE.pattern}")


def unknown_keys(data: Mapping[Any, Any], valid: Iterable[str]) -> list[Problem]:
    """The keys of sampling parameters that are not in `valid`, each with the nearest valid one."""
    names = list(valid)
    unknown = (str(key) for key in data if key not in names)
    return [
        Problem((key,), f"unknown key {shown(key)}", ENGINE_PARAMETERS.get(key) or nearest(key, names))
        for key in islice(unknown, MAX_SHOWN + 1)
    ]


def spec_problems(
    data: Mapping[str, Any], in_columns: Collection[str] = (), fields: Collection[str] = ()
) -> list[Problem]:
    """The mistakes in a whole spec, except the types of plain fields and its columns, which name `in_columns`.

    `fields` are those of its `attributes` that are fields of its source.
    """
    return [
        *(_name_problems(data["name"]) if isinstance(data.get("name"), str) else ()),
        *(_own_attribute_problems(data["attributes"], fields) if "attributes" in data else ()),
        *text_problems(data),
        *_template_problems(data, in_columns, fields),
        *endpoint_problems(data),
    ]


def sampling_problems(data: Mapping[str, Any]) -> list[Problem]:
    """The mistakes in sampling parameters, except types and ranges."""
    problems: list[Problem] = []
    if data.get("max_tokens") is not None and data.get("max_completion_tokens") is not None:
        problems.append(Problem(("max_completion_tokens",), "max_tokens is also set", "keep one of the two"))
    stops = data.get("stop")
    for stop in (stops,) if isinstance(stops, str) else stops if isinstance(stops, list | tuple) else ():
        if isinstance(stop, str):
            problems += [Problem(("stop",), *fault) for fault in text_faults(stop, blank_ok=True)]
            if not stop:
                problems.append(Problem(("stop",), "stop '' would end every answer immediately", "remove it"))
    extra = data.get("extra")
    return [*problems, *_extra_problems(extra)] if isinstance(extra, Mapping) else problems


def _own_attribute_problems(attributes: object, fields: Collection[str]) -> list[Problem]:
    if not fields or not isinstance(attributes, Mapping):
        return attribute_problems(attributes)
    own = {name: values for name, values in attributes.items() if name not in fields}
    return attribute_problems(own) if own else []


def attribute_problems(attributes: object) -> list[Problem]:
    """The mistakes in `attributes`: names, lists and values."""
    if not isinstance(attributes, Mapping):
        return [
            Problem(
                ("attributes",),
                f"{shown(attributes)} is not a mapping of names to lists",
                "for example: `attributes: {age: ['18', '20'], gender: [man, woman]}`",
            )
        ]
    if not attributes:
        return [Problem(("attributes",), "the mapping is empty", "add an attribute, e.g. `age: ['18', '20']`")]
    problems: list[Problem] = []
    if len(attributes) > MAX_ATTRIBUTES:
        message = f"{len(attributes)} attributes; the limit is {MAX_ATTRIBUTES}"
        problems.append(Problem(("attributes",), message, "merge some of them"))
    for name, values in attributes.items():
        problems += _attribute_name_problems(name)
        if name in KEYS_OF_SPECS and isinstance(values, Mapping):
            path: KeyPath = ("attributes", str(name))
            problems.append(Problem(path, f"{name!r} is not an attribute", "unindent it to the level of `attributes`"))
        elif not isinstance(values, list | tuple | range):
            example = f"write `{shown_key(str(name))}: [first, second]`"
            problems.append(Problem(("attributes", str(name)), f"{shown(values)} is not a list of values", example))
        else:
            problems += values_problems(("attributes", str(name)), values)
    return problems


def _name_problems(name: str) -> list[Problem]:
    if NAME.fullmatch(name):
        return []
    usable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".").strip("-")[:MAX_NAME] or "superhero"
    message = f"{shown(name)} is not a valid name: use 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - and no leading dot"
    return [Problem(("name",), message, f"for example: `name: {usable}`")]


def usable_name(name: object) -> str:
    """A placeholder name like `name`."""
    usable = re.sub(r"\W+", "_", str(name)).strip("_")[:MAX_NAME]
    return usable if usable.isidentifier() else f"a_{usable}"[:MAX_NAME]


def _attribute_name_problems(name: object) -> Iterator[Problem]:
    path: KeyPath = ("attributes", str(name))
    if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
        fix = f"rename it, e.g. to {usable_name(name)!r}"
        yield Problem(path, f"{shown(name)} is not a valid placeholder name", fix)
    elif name in ROW_COLUMNS:
        yield Problem(path, f"{name!r} is already a column of every row", f"rename it, e.g. to {'the_' + name!r}")


def values_problems(path: KeyPath, values: Sequence[object]) -> list[Problem]:
    """The mistakes in the values of an attribute, which stand at `path`."""
    if not values:
        return [Problem(path, "the list is empty, so the grid would be too", "add a value, or remove the attribute")]
    if len(values) > MAX_VALUES:
        return [Problem(path, f"{len(values):,} values; the limit is {MAX_VALUES:,}", "split the spec into several")]
    if _surely_good(values):
        return []
    problems: list[Problem] = []
    first_at: dict[object, int] = {}
    for position, value in enumerate(values):
        faults = list(_value_faults(value))
        text = str(value) if type(value) is int else value
        if not faults and first_at.setdefault(text, position) != position:
            faults = [(f"{shown(value)} is listed twice", "keep one of the two; use `repeats` for more answers")]
        problems += [Problem((*path, position), *fault) for fault in faults]
        if len(problems) > MAX_SHOWN:
            break
    return problems


def _surely_good(values: Sequence[object]) -> bool:
    """Fast path for the common case: a million values pass in a fraction of a second."""
    texts = [value for value in values if type(value) is str]
    return (
        len(texts) == len(values) == len(set(texts))
        and all(map(str.strip, texts))
        and max(map(len, texts)) * 4 <= MAX_TEXT_BYTES
        and not _FORBIDDEN.search("".join(texts))
    )


def _value_faults(value: object) -> Iterable[tuple[str, str]]:
    if value is None:
        return [("empty value", "write the text, or quote it if you mean the word: 'null'")]
    if isinstance(value, str):
        return text_faults(value)
    if type(value) is int:
        return []
    fix = "write one text per item" if isinstance(value, list | tuple | Mapping) else f"quote it: {str(value)!r}"
    if isinstance(value, Mapping) and "values" in value:
        fix = "write each item as `{when: ..., values: [...]}`, or all of them as plain values"
    return [(f"{shown(value)} is not text", fix)]


def text_faults(text: str, *, blank_ok: bool = False) -> Iterator[tuple[str, str]]:
    """What no text of a spec may hold, each with the fix."""
    if not text.strip() and not blank_ok:
        yield f"{shown(text)} is blank", "write visible text"
    if found := _CONTROL.search(text):
        yield f"control character {found.group()!r} in {shown(text)}", "remove it"
    if _SURROGATE.search(text):
        yield f"lone surrogate (half a character) in {shown(text)}", "write the whole character"
    elif len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES:
        yield f"text of {len(text.encode()):,} bytes; the limit is {MAX_TEXT_BYTES:,}", "shorten it"


def text_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The mistakes in the texts of a spec, or of one of its columns."""
    for key in ("prompt", "sub_prompt", "system", "model"):
        if isinstance(text := data.get(key), str):
            for fault in text_faults(text):
                yield Problem((key,), *fault)


def column_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The mistakes inside one column, except types: templates, condition, server, key."""
    for key in ("prompt", "system"):
        if isinstance(text := data.get(key), str) and text.strip():
            try:
                template_of(text, data.get("template"), names_columns=True)
            except SpecError as error:
                yield Problem((key,), error.message, error.fix or "")
    if isinstance(text := data.get("when"), str):
        from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few specs have a condition

        try:
            Expression.parse(text)
        except SpecError as error:
            yield Problem(("when",), error.message, error.fix or "")
    yield from _server_problems(data.get("base_url"))
    if isinstance(name := data.get("key_env"), str) and not _VARIABLE.fullmatch(name):
        fix = "put the key in an environment variable and write its name here; a spec never holds a key"
        yield Problem(("key_env",), "this is not the name of an environment variable", fix)
    yield from endpoint_problems({"endpoint": None, **data})


def _server_problems(given: object) -> Iterator[Problem]:
    urls = given if isinstance(given, list | tuple) else [given]
    if not urls:
        yield Problem(("base_url",), "`base_url` is an empty list", "name a server, or leave `base_url` out")
    for place, url in enumerate(urls):
        if isinstance(url, str) and not _URL.fullmatch(url):
            fix = "for example: `base_url: http://127.0.0.1:8000/v1`"
            yield Problem(("base_url",), f"{shown(url)} is not a URL", fix)
        elif isinstance(url, str) and url in urls[:place]:
            yield Problem(("base_url",), f"{shown(url)} is given twice", "name each server once")


def _template_problems(
    data: Mapping[str, Any], in_columns: Collection[str], fields: Collection[str]
) -> Iterator[Problem]:
    attributes = data.get("attributes")
    known = [name for name in attributes if isinstance(name, str)] if isinstance(attributes, Mapping) else []
    given = [*known, SHOWN_EXAMPLES] if known and data.get(SHOWN_EXAMPLES) is not None else known
    names: dict[str, tuple[str, ...]] = {}
    templates: dict[str, Template] = {}
    broken = False
    for key in ("prompt", "system", "sub_prompt"):
        if isinstance(text := data.get(key), str) and text.strip():
            try:
                syntax = None if key == "sub_prompt" else data.get("template")
                templates[key] = template_of(text, syntax)
                names[key] = templates[key].names
            except SpecError as error:
                broken = True
                yield Problem((key,), error.message, error.fix or "")
    for key, placeholders in names.items():
        here = known if key == "sub_prompt" else given
        unknown = (name for name in placeholders if here and name not in here)
        for name in islice(unknown, MAX_SHOWN + 1):
            placeholder = templates[key].shows(name)
            if twin := next((each for each in known if as_seen(each) == as_seen(name)), None):
                message = f"placeholder '{placeholder}' looks like the attribute {twin!r}, but is written differently"
                yield Problem((key,), message, "copy the name from `attributes`: their accents are stored in two ways")
                continue
            if name in _names_of_columns(data):
                message = f"placeholder '{placeholder}' is a column, but the spec's `{key}` can name only attributes"
                yield Problem((key,), message, _WITHOUT_COLUMNS[key])
                continue
            yield Problem((key,), f"unknown placeholder '{placeholder}'", nearest(name, here))
    if ("prompt" in names or data.get("columns")) and not broken:
        own = [name for name in known if name not in fields]
        shows = "{{{{ {} }}}}" if data.get("template") == JINJA else "{{{}}}"
        yield from _unused(own, {*names.get("prompt", ()), *names.get("system", ()), *in_columns}, shows)


_WITHOUT_COLUMNS = {
    "prompt": "`prompt` is requested first: write it as a column, too, under `columns`",
    "system": "write this text as `system` of the columns that need it",
    "sub_prompt": "name attributes: it is the tuned model's prompt",
}


def _names_of_columns(data: Mapping[str, Any]) -> Collection[Any]:
    return columns if isinstance(columns := data.get("columns"), Mapping) else ()


def _unused(known: list[str], used: set[str], shows: str) -> Iterator[Problem]:
    for name in known:
        if name not in used and name.isidentifier():
            fix = "to the prompt, or remove the attribute: its cells would all ask the same question"
            yield Problem(
                ("attributes", name),
                f"{shown(name)} is used in neither prompt nor system",
                f"add {shows.format(name)} {fix}",
            )


def endpoint_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What the endpoint of a spec or of a column does not take."""
    if data.get("endpoint", "completions") != "completions":
        return
    if data.get("system") is not None:
        fix = "write `endpoint: chat`, or move this text into the prompt"
        yield Problem(
            ("system",), f"{shown(data['system'])} is not sent: endpoint 'completions' takes no system text", fix
        )
    sampling = data.get("sampling")
    limit = sampling.get("max_completion_tokens") if isinstance(sampling, Mapping) else None
    if limit is not None:
        fix = f"write `max_tokens: {limit}`, or `endpoint: chat`"
        yield Problem(("sampling", "max_completion_tokens"), "not supported by endpoint 'completions'", fix)


def _extra_problems(extra: Mapping[Any, Any]) -> Iterator[Problem]:
    for key, value in extra.items():
        path: KeyPath = ("extra", str(key))
        if key in ENGINE_PARAMETERS:
            yield Problem(path, f"{key!r} can't be set in extra", ENGINE_PARAMETERS[key])
        elif not isinstance(key, str) or not _is_json({key: value}):
            fix = "use text, numbers, true, false, null, lists and mappings"
            yield Problem(path, f"{shown(value)} can't be sent as JSON", fix)


def _is_json(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value in _WHOLE
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(key) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    try:
        codec.canonical(value)
    except TypeError:  # not a JSON type
        return False
    return True
