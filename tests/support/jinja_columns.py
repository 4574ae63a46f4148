"""The specs of column scenarios in Jinja syntax, and a model that reads them as if they were not.

`{a|b}` becomes `{{ a or b }}`, and `{a.all}` a list that is joined. The model stays one of `{name}` placeholders: what
it says of prompts holds for either. An `or` stands on both of its sides, so a line may name more than the model does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from herogen_async.specs.spec import Spec
from support import column_crashes, column_model
from support.column_histories import spec_of
from support.column_model import CallOf
from support.crash_harness import Violation

_JOINED = "|join('\\n\\n')"


def in_jinja(patch: pytest.MonkeyPatch) -> None:
    """From now on the scenarios' specs are written so."""

    def spec(shape: int, grid: int) -> Spec:
        data = spec_of(column_crashes.EDITS[shape], column_crashes.GRIDS[grid]).as_dict()
        for column in data["columns"].values():
            column["prompt"] = re.sub(r"{(.*?)}", lambda found: _written(found[1]), column["prompt"])
        return Spec(**data, template="jinja")

    def find_all(pattern: str, text: str) -> list[str]:
        return re.findall(pattern, _read(text))

    def replaced(pattern: str, by: Any, text: str) -> str:
        return re.sub(pattern, by, _read(text))

    patch.setattr(column_crashes, "_spec", cache(spec))
    patch.setattr(column_model, "re", SimpleNamespace(findall=find_all, sub=replaced))
    patch.setattr(column_crashes.ColumnSession, "_check_made", _check_made)


def _written(placeholder: str) -> str:
    return f"{{{{ {placeholder.replace('|', ' or ')}{_JOINED if placeholder.endswith('.all') else ''} }}}}"


def _read(text: str) -> str:
    return re.sub(r"{{ (.*?) }}", lambda found: f"{{{found[1].replace(' or ', '|')}}}", text.replace(_JOINED, ""))


def _check_made(
    self: column_crashes.ColumnSession,
    what: CallOf,
    prompt: str,
    made_from: Sequence[str],
    counting: Mapping[CallOf, Mapping[str, Any]],
) -> None:
    wanted, used = self._of.history.model().prompt(what, counting)
    if wanted != prompt:
        raise Violation(f"{what} is asked as {prompt!r}, not as {wanted!r}")
    if not self._as_counted(used) <= self._as_counted(made_from):
        raise Violation(f"{what} is made from {used}, and its line names {made_from}")
