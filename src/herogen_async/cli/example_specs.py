"""The example specs that come with the package: what there is, and the files of each."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest

_SPEC = ".yaml"


def example_lines() -> dict[str, str]:
    """{name: what it makes, in a line} of all examples, in the order of their names."""
    names = sorted(each.name.removesuffix(_SPEC) for each in _folder().iterdir() if each.name.endswith(_SPEC))
    return {name: _text_of(name).partition("\n")[0].removeprefix("# ") for name in names}


def example_files(name: str) -> tuple[str, dict[str, str]]:
    """The text of an example's spec, and {file name: text} of the files beside it. Raises InputError if unknown."""
    if name not in (known := example_lines()):
        raise InputError(f"no example is called {name!r}", fix=nearest(name, list(known)))
    beside = [each for each in _folder().iterdir() if each.name.startswith(f"{name}.") and each.name != name + _SPEC]
    return _text_of(name), {each.name: each.read_text(encoding="utf-8") for each in beside}


def _text_of(name: str) -> str:
    return _folder().joinpath(name + _SPEC).read_text(encoding="utf-8")


def _folder() -> Traversable:
    packed = files("herogen_async").joinpath("examples")
    # In a clone they lie beside the source; what is built from it has them inside.
    return packed if packed.is_dir() else Path(__file__).resolve().parents[3] / "examples"
