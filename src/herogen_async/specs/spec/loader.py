"""Reads a spec's text into plain data, with the lines that errors name. The only part of this room that opens files."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path as FilePath
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import shown
from herogen_async.specs.spec.json_text import read_json
from herogen_async.specs.spec.node import Mapping, Node, TextError, data_of, fail, line_of
from herogen_async.specs.spec.problem import InvalidSpecError, KeyPath, Problem

_OF_RECORDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx")
MAX_FILE_BYTES = 16 << 20  # a million short values as JSON; takes some seconds to read
MAX_SCHEMA_BYTES = 1 << 20
MAX_YAML_BYTES = 4 << 20  # takes as long: the YAML parser is pure Python


@dataclass(frozen=True, slots=True)
class Source:
    """Where a spec came from: the line of each piece, and the mistakes that plain data can't show."""

    file: str | None
    root: Node | None = None
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int | None:
        return None if self.root is None else line_of(self.root, path)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Source]:
    """The data in a file, and its source. Raises SpecError when it can't be opened or parsed."""
    file = os.fspath(path)
    if FilePath(file).suffix.lower() in _OF_RECORDS:
        raise _records(file)
    try:
        with FilePath(path).open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as absent:
        raise SpecError(
            f"spec file {file!r} not found", fix="check the path, or create one with `herogen-async init`"
        ) from absent
    except IsADirectoryError as folder:
        raise SpecError(f"{file!r} is a folder", fix="give the spec file in it") from folder
    except (OSError, ValueError) as unreadable:
        reason = getattr(unreadable, "strerror", None) or str(unreadable)
        raise SpecError(f"{file!r} can't be read: {reason}", fix="check its permissions and its path") from unreadable
    return parse(content, file=file)


def _records(file: str) -> SpecError:
    """The error for a file that is no spec, but may be the source of one."""
    name = shlex.quote(file)
    return SpecError(
        f"{file!r} is a file of records, not a spec",
        fix=f"write a spec for its records: herogen-async init --from {name}; or write `source: {name}` in your own",
    )


def load_schema(path: FilePath, name: str) -> dict[str, Any]:
    """The JSON Schema in a file that a spec calls `name`. Raises SpecError when it can't be read."""
    fix = "check the path, which is relative to the spec file"
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SCHEMA_BYTES + 1)
    except (OSError, ValueError) as unreadable:
        reason = getattr(unreadable, "strerror", None) or str(unreadable)
        raise SpecError(f"the file {name!r} can't be read: {reason}", fix=fix) from unreadable
    if len(content) > MAX_SCHEMA_BYTES:
        raise SpecError(f"the file {name!r} is larger than {MAX_SCHEMA_BYTES >> 20} MiB", fix="shorten the schema")
    try:
        schema = codec.loads(content)
    except ValueError as broken:
        raise SpecError(f"the file {name!r} is not JSON: {broken}", fix="check its quotes and commas") from None
    if not isinstance(schema, dict):
        raise SpecError(f"the file {name!r} holds no JSON object", fix="write a JSON Schema there")
    return schema


def parse(content: str | bytes, *, file: str | None) -> tuple[dict[str, Any], Source]:
    """The data in a text, and its source. Raises SpecError when it is neither safe YAML 1.2 nor JSON."""
    try:
        root = _root(_decoded(content), file)
        if root is None:
            fail(1, "the spec is empty", "create one with `herogen-async init`")
        if not isinstance(root, Mapping):
            if file is not None and file.lower().endswith(".json"):
                raise _records(file)
            fail(root.line, "a spec must be a mapping of keys to values", "start with, for example, `name: superhero`")
    except TextError as broken:
        raise InvalidSpecError([broken.problem], Source(file)) from None
    data, problems = data_of(root)
    return data, Source(file, root, tuple(problems))


def _decoded(content: str | bytes) -> str:
    size = len(content)
    if size > MAX_FILE_BYTES:
        fail(1, f"the spec is larger than {MAX_FILE_BYTES >> 20} MiB", "split it into several")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = content.count(b"\n", 0, broken.start) + 1
        fail(line, f"byte {content[broken.start : broken.start + 1]!r} is not valid UTF-8", "save the file as UTF-8")


def _root(text: str, file: str | None) -> Node | None:
    is_json = file is not None and file.lower().endswith(".json")
    if is_json or text.lstrip().startswith("{"):
        try:
            return read_json(text)
        except JSONDecodeError as broken:
            if is_json:
                here = text.splitlines()[broken.lineno - 1 : broken.lineno]
                message = f"broken JSON at column {broken.colno}: {broken.msg}: {shown(''.join(here))}"
                fail(broken.lineno, message, "check quotes, commas and brackets, here and on the line before")
    if len(text) > MAX_YAML_BYTES:
        fail(
            1, f"the YAML is larger than {MAX_YAML_BYTES >> 20} MiB", "write it as JSON, which parses many times faster"
        )
    from herogen_async.specs.spec.yaml_text import read_yaml  # noqa: PLC0415 - ruamel.yaml costs 40 ms, and JSON needs none

    return read_yaml(text)
