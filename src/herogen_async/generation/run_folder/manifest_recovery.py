"""What a damaged manifest still says, piece by piece."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from herogen_async.core import codec
from herogen_async.core.errors import DamageError
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.manifest import Manifest, at_home
from herogen_async.generation.run_folder.own_file import own_bytes
from herogen_async.generation.settings import Settings

_FIX = "put back an intact manifest.json: herogen-async run SPEC --run OTHER --limit 1 makes one of the same spec"
_NEEDED = ("spec", "endpoint", "model", "base_url")
_MAY_BE_LOST: dict[str, Any] = {"created_at": "", "grid_fingerprint": "", "generation_fingerprint": ""}


def read_remains(folder: RunFolder) -> Manifest:
    """The manifest of `folder` from what can be read of it; whether it is the right one, only the rows can tell.

    Settings that can't be read are the usual ones. DamageError when the spec, the model or the endpoint is lost.
    """
    try:
        text = own_bytes(folder.manifest).decode(errors="replace")
    except OSError as error:
        raise DamageError(f"{str(folder.manifest)!r} can't be read: {error.strerror}", fix=_FIX) from error
    pieces = {each.name: value for each in fields(Manifest) if (value := _piece(text, each.name)) is not MISSING}
    if lost := [name for name in _NEEDED if name not in pieces]:
        raise DamageError(f"{str(folder.manifest)!r} is damaged: its {lost[0]} can't be read", fix=_FIX)
    if _fits(Settings, pieces.get("settings")) is None:
        pieces["settings"] = {}
    found: Manifest | None = _fits(Manifest, at_home({**_MAY_BE_LOST, **pieces}, folder))
    if found is None:
        raise DamageError(f"{str(folder.manifest)!r} is damaged: too little of it can be read", fix=_FIX)
    return found


def _piece(text: str, name: str) -> Any:
    """The value of a key of the outermost object, as `write_manifest` indents it."""
    if not (found := re.search(rf'^  "{name}": ', text, re.MULTILINE)):
        return MISSING
    try:
        return json.JSONDecoder().raw_decode(text, found.end())[0]
    except ValueError:
        return MISSING


def _fits(kind: type[Any], value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_json(codec.dumps(value), strict=True)
    except ValidationError:
        return None
