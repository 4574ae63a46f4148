"""The records that a DataDesigner config is seeded with, as a spec's `source`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from herogen_async.core.likeness import shown
from herogen_async.specs.foreign.jinja_text import Untranslatable
from herogen_async.specs.foreign.listed_values import ListedValues
from herogen_async.specs.foreign.not_mapped import NotesOfConfig
from herogen_async.specs.spec.check import ROW_COLUMNS, usable_name

_READ = ("local", "hf")
_HUB = "datasets/"
_ORDER = ("each record is asked with every combination of the attributes", "give --limit, or `sample` in `grid`")


class DesignSeed:
    """`path` is that of the spec's source; None: no records that a source can read."""

    def __init__(self, config: Mapping[str, Any], notes: NotesOfConfig) -> None:
        self._config = config
        self._notes = notes
        self._given = config.get("source") or {}
        self._revision: str | None = None
        self._fields: dict[str, str] = {}  # the file's names by ours
        self.path = self._path()

    def field(self, name: str, fields: list[str], lists: dict[str, ListedValues]) -> str:
        """Our name of the field `name`; in `lists`, where its values are for a person to list."""
        if not self._config:
            raise Untranslatable(f"names {name!r}, which is no column")
        if fields:
            raise Untranslatable(f"names {'.'.join([name, *fields])!r}, a field of a seed's field")
        own = usable_name(name)
        own = f"source_{own}" if own in ROW_COLUMNS else own
        if self.path is not None:
            self._fields[own] = name
        elif own not in lists:
            lists[own] = ListedValues()
            where = shown(self._given.get("path") or self._given.get("seed_type"))
            reason, nearest = (
                f"records of {where} are not read",
                f"write them to a file of records and give it as `source`, or list the values of {name!r}",
            )
            self._notes.add(f"seed_config: {name}", reason, nearest, "seed_config")
        return own

    def is_field(self, own: str) -> bool:
        """Whether it is our name of a field of the source."""
        return own in self._fields

    def source(self, named: set[str], *, is_crossed: bool) -> dict[str, Any] | None:
        """The spec's `source` with the fields that texts have `named`; None without any.

        `is_crossed`: there are attributes, too.
        """
        fields = {own: theirs for own, theirs in self._fields.items() if own in named}
        if not self._config:
            return None
        if not fields and self.path is not None:
            self._add("left out, since no prompt names a field of its records", "name one in a prompt")
            return None
        self._tell_order(is_crossed=is_crossed)
        if self.path is None:
            return None
        limit = self._limit()
        return {
            "path": self.path,
            "fields": list(fields) if list(fields) == list(fields.values()) else fields,
            **({} if limit is None else {"limit": limit}),
            **({} if self._revision is None else {"revision": self._revision}),
        }

    @property
    def is_ordered(self) -> bool:
        """Whether the records are asked in the order of the file."""
        return self._config.get("sampling_strategy") in (None, "ordered")

    def _path(self) -> str | None:
        kind, path = self._given.get("seed_type"), self._given.get("path")
        if kind not in _READ or not isinstance(path, str) or not path.strip():
            return None
        if kind == "local":
            return path
        owner, _, rest = path.removeprefix(_HUB).partition("/")
        name, *folders = rest.split("/")
        name, _, revision = name.partition("@")
        self._revision = revision or None
        plain = list(takewhile(lambda each: not set(each) & set("*?["), folders))
        if folders[len(plain) :] and folders[len(plain) :] not in (["*.parquet"], ["**", "*.parquet"]):
            found = "/".join(folders[len(plain) :])
            self._add(f"the pattern {found!r} is left out: all files of records there are read", "name a folder")
        for key, word in (("token", "HF_TOKEN"), ("endpoint", "HF_ENDPOINT")):
            if self._given.get(key) not in (None, "https://huggingface.co"):
                self._add(f"`{key}` is no part of a spec", f"set {word}")
        return "/".join([f"hf:{owner}", name, *plain])

    def _limit(self) -> int | None:
        chosen = self._config.get("selection_strategy")
        if not isinstance(chosen, Mapping):
            return None
        if chosen.get("start") == 0 and isinstance(end := chosen.get("end"), int):
            return end + 1
        self._add("its `selection_strategy` is left out: all records are asked", "choose records with `where`")
        return None

    def _tell_order(self, *, is_crossed: bool) -> None:
        if self.path is None:
            if not self.is_ordered or self._config.get("selection_strategy"):
                self._add("its order and its selection are left out", "list the values that you want")
        elif is_crossed:
            self._notes.add("rows", *_ORDER, "seed_config")

    def _add(self, reason: str, nearest: str) -> None:
        self._notes.add("seed_config", reason, nearest, "seed_config")
