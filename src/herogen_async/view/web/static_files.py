"""The page's own files: a few hundred kilobytes, held, so that no path from a URL ever reaches the disk."""

from __future__ import annotations

from importlib.resources import files

_STATIC = files("herogen_async.view.web") / "static"


def static_files() -> dict[str, bytes]:
    """All of them, by their path below the folder."""
    found: dict[str, bytes] = {}
    for each in _STATIC.iterdir():
        if each.is_dir():
            found |= {f"{each.name}/{file.name}": file.read_bytes() for file in each.iterdir() if file.is_file()}
        else:
            found[each.name] = each.read_bytes()
    return found
