"""`source`: a file of records, each of which is one value of an axis with all its fields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.core.errors import InputError, SpecError
from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.sources.record_cells import RECORD
from herogen_async.specs.spec.check import MAX_NAME, ROW_COLUMNS, usable_name
from herogen_async.specs.spec.field_types import type_problems, unsuspected
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Problem

_SUFFIXES = (".jsonl", ".csv")  # of what a run has kept
_HUB = "hf:"
_STDIN = "-"
_ROWS = "<rows>"  # of Python; a path in angle brackets is none that a person writes
_READ_ONCE = {_STDIN: "standard input", _ROWS: "the rows from Python"}  # what sentences call them
MAX_FIELDS = 256
PEEKED = 1000  # records of JSON: their names are the fields, where the spec gives none
_EXAMPLE = "for example: `source: seeds.jsonl`, or `source: {path: seeds.csv, fields: {topic: subject}}`"
_HEX = r"^[0-9a-f]{64}$"


class RecordSource(BaseModel):
    """Where records come from, and which of them. `fields` has the file's names by ours.

    `sha256` is that of the content that a run is made with. `home` is the folder of that run's sources, where it has
    one; it is no part of the spec.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(
        min_length=1,
        description="a file, a pattern such as seeds/*.jsonl, hf:owner/name, or - for standard input",
        examples=["seeds.jsonl"],
    )
    fields: dict[str, str] = Field(
        {},
        description="a mapping of placeholder names to the file's names, or a list of these",
        examples=[{"topic": "subject"}],
    )
    where: str | None = Field(
        None,
        description="a condition in the file's own names: which records are taken",
        examples=["subject in ['algebra', 'geometry']"],
    )
    limit: int | None = Field(None, ge=1, description="a whole number from 1", examples=[1000])
    split: str | None = Field(None, description="a split of a data set on the hub", examples=["train"])
    revision: str | None = Field(
        None, description="a branch, tag or commit of a data set on the hub", examples=["main"]
    )
    sha256: str | None = Field(
        None,
        pattern=_HEX,
        description="the SHA-256 of the content; another content is refused",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    home: str | None = Field(None, exclude=True)

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        return self.model_dump(exclude_none=True)

    @property
    def can_be_read_again(self) -> bool:
        """Whether it lies somewhere: standard input and rows from Python don't."""
        return self.path not in _READ_ONCE

    @property
    def is_on_hub(self) -> bool:
        """Whether it is a data set on the Hugging Face hub."""
        return self.path.startswith(_HUB)

    @property
    def title(self) -> str:
        """What sentences call it."""
        return _READ_ONCE.get(self.path, self.path.rpartition("/")[2])

    def files(self) -> list[Path]:
        """The files that it is now. Raises InputError where there are none."""
        if self.is_on_hub:
            from herogen_async.specs.records.hub import hub_files  # noqa: PLC0415 - of such sources alone

            return hub_files(self.path.removeprefix(_HUB), split=self.split, revision=self.revision)
        if self.can_be_read_again:
            from herogen_async.specs.records.located import located  # noqa: PLC0415 - of specs with a source alone

            return located(self.path)
        from herogen_async.specs.records.spool import spooled  # noqa: PLC0415 - as above

        own = (None if self.home is None else _kept_content(self.home, self.sha256)) or spooled(self.sha256)
        if own is None:
            raise InputError(
                f"{self.title} of this run can't be read any more",
                fix="put back its folder `sources`, or begin a new run with a file",
            )
        return [own]


def _kept_content(home: str, sha256: str | None) -> Path | None:
    """What a run has kept of a source that can't be read again, in its folder of sources."""
    found = (Path(home) / f"{sha256}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in found if path.exists()), None)


def source_of(data: object, folder: Path | None) -> RecordSource:
    """From a spec's data; a path is relative to `folder`. Opens the file where it has to say its fields.

    Raises InvalidSpecError with all mistakes.
    """
    given = _as_mapping(data)
    problems = [
        Problem((key,), f"unknown key {shown(key)}", nearest(key, _keys()[:-1])) for key in given if key not in _keys()
    ]
    given, names = _with_fields(given, problems)
    if isinstance(path := given.get("path"), str):
        given["path"] = _resolved(path, folder)
        if path == _STDIN and given.get("sha256") is None:
            from herogen_async.specs.records.spool import spooled_stdin  # noqa: PLC0415 - of such sources alone

            try:
                given["sha256"] = spooled_stdin()
            except InputError as error:
                problems.append(Problem(("path",), error.message, error.fix or ""))
    for key in ("split", "revision"):
        if given.get(key) is not None and not str(given.get("path", _HUB)).startswith(_HUB):
            problems.append(Problem((key,), f"{key!r} applies only to data sets on the hub", f"remove {key!r}"))
    if isinstance(where := given.get("where"), str):
        problems += _where_problems(where)
    try:
        made = RecordSource(**unsuspected(given, problems, RecordSource))
    except ValidationError as invalid:
        problems += [each for each in type_problems(invalid, RecordSource, problems) if each.path or not problems]
    if problems:
        raise InvalidSpecError(problems, Nowhere())
    if made.fields and made.sha256 is not None:
        return made  # as a run was made with it: its file may be gone by now
    return _looked_at(made, names)


def _keys() -> list[str]:
    return [name for name in RecordSource.model_fields if name != "home"] + ["home"]


def _as_mapping(data: object) -> dict[str, Any]:
    if isinstance(data, str | Path):
        return {"path": str(data)}
    if isinstance(data, RecordSource):
        return {**data.as_dict(), **({} if data.home is None else {"home": data.home})}
    if isinstance(data, Mapping):
        if splits := [name for name, value in data.items() if hasattr(value, "column_names")]:
            message = f"it is a {type(data).__name__}, of which each split is a source"
            raise InvalidSpecError([Problem((), message, f"give one: source=data[{splits[0]!r}]")], Nowhere())
        return {str(key): value for key, value in data.items()}
    if isinstance(data, int | float | bool | None):
        raise InvalidSpecError([Problem((), f"{shown(data)} is not a file of records", _EXAMPLE)], Nowhere())
    from herogen_async.specs.records.spool import spooled_rows  # noqa: PLC0415 - of such sources alone

    try:
        return {"path": _ROWS, "sha256": spooled_rows(data)}
    except InputError as error:
        raise InvalidSpecError([Problem((), error.message, error.fix or "")], Nowhere()) from None


def _resolved(path: str, folder: Path | None) -> str:
    if path in _READ_ONCE or path.startswith(_HUB) or not path:
        return path
    try:
        whole = Path(path).expanduser()
    except RuntimeError:  # no such user
        whole = Path(path)
    return str((folder or Path()).absolute() / whole)


def _with_fields(given: dict[str, Any], problems: list[Problem]) -> tuple[dict[str, Any], list[str] | None]:
    """The data with `fields` as a mapping, and the names that a list of them holds."""
    given = {key: value for key, value in given.items() if value is not None}
    fields = given.get("fields")
    if isinstance(fields, list | tuple):
        del given["fields"]
        if not fields or not all(isinstance(each, str) and each for each in fields):
            problems.append(Problem(("fields",), f"{shown(fields)} is not a list of names", _EXAMPLE))
            return given, None
        return given, list(dict.fromkeys(fields))
    if isinstance(fields, Mapping):
        if not fields:
            problems.append(Problem(("fields",), "the mapping is empty", "name a field, or remove the key"))
        given["fields"] = {str(name): value for name, value in fields.items()}
        for name in given["fields"]:
            problems += _name_problems(name)
        if len(fields) > MAX_FIELDS:
            problems.append(Problem(("fields",), f"{len(fields)} fields; the limit is {MAX_FIELDS}", "name fewer"))
    return given, None


def _name_problems(name: str) -> Iterator[Problem]:
    path = ("fields", name)
    if not name.isidentifier() or len(name) > MAX_NAME:
        fix = f"rename it: `{usable_name(name)}: {name}`"
        yield Problem(path, f"{shown(name)} is not a valid placeholder name", fix)
    elif name in ROW_COLUMNS or name == RECORD:
        yield Problem(path, f"{name!r} is already a column of every row", f"rename it: `source_{name}: {name}`")


def _where_problems(where: str) -> Iterator[Problem]:
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few specs have a condition

    try:
        Expression.parse(where)
    except SpecError as error:
        yield Problem(("where",), error.message, error.fix or "")


def _looked_at(source: RecordSource, names: list[str] | None) -> RecordSource:
    """`source` with all fields that its file has, or with those of these names."""
    from herogen_async.specs.records.field_names import field_names  # noqa: PLC0415 - of specs with a source alone

    try:
        found = field_names(source.files(), PEEKED)
    except InputError as error:
        raise InvalidSpecError([Problem(("path",), error.message, error.fix or "")], Nowhere()) from None
    # In JSON a later record may have it: all are read before anything is sent.
    listed: Iterable[tuple[str | int, str]] = enumerate(names or ())
    if source.fields:
        listed = source.fields.items() if found.is_table else ()
    problems = [
        Problem(("fields", place), f"the source has no field {shown(name)}", nearest(name, found.names))
        for place, name in listed
        if name not in found.names
    ]
    if source.where is not None and found.is_table:
        problems += _unknown_names(source.where, found.names)
    if not found.names:
        problems = [Problem(("path",), "the source has no records", "give a file with at least one")]
    elif not source.fields and names is None and len(found.names) > MAX_FIELDS:
        message = f"the source has {len(found.names):,} fields; the limit is {MAX_FIELDS}"
        problems = [Problem(("path",), message, "name those that you need: `fields: [question, topic]`")]
    if problems:
        raise InvalidSpecError(problems, Nowhere())
    if source.fields:
        return source
    return source.model_copy(update={"fields": placeholder_names(found.names if names is None else names)})


def _unknown_names(where: str, names: Collection[str]) -> Iterator[Problem]:
    """Of a table: what it names and no record can have."""
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few specs have a condition

    for name in Expression.parse(where).stems:
        if name not in names:
            yield Problem(("where",), f"the source has no field {shown(name)}", nearest(name, list(names)))


def placeholder_names(names: Iterable[str]) -> dict[str, str]:
    """A file's names by those of placeholders: themselves, where a placeholder can be called so."""
    found: dict[str, str] = {}
    for name in names:
        usable = name if name.isidentifier() and len(name) <= MAX_NAME else usable_name(name)
        if usable in ROW_COLUMNS or usable == RECORD:
            usable = f"source_{usable}"
        own, number = usable, 2
        while own in found:
            own, number = f"{usable}_{number}", number + 1
        found[own] = name
    return found
