"""The page's modules as one classic script: a page that is opened as a file may load no modules. Pure.

It knows the ways in which the page's own files import and export, and no others; a file that does it in another way is
an error when it is made, and not a page that does not work.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_PART = re.compile(
    r"""
      ^[ \t]*/\*.*?\*/                                                              # a comment, of several lines
    | ^import\s+(?:\{(?P<names>[^}]*)\}|(?P<default>\w+))\s+from\s+"(?P<of>\.[^"]+)";
    | ^export\s+\{(?P<passed>[^}]*)\}\s+from\s+"(?P<from>\.[^"]+)";
    | ^export\s+\{\s*(?P<alone>\w+)\s+as\s+default\s*\};
    | ^export\s+(?P<said>(?:async\s+)?(?:function\*?|const|let|class)\s+(?P<name>\w+))
    | ^(?P<unknown>(?:import|export)\b.*)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def classic_script(sources: Mapping[str, str], start: str, instead: Mapping[str, str]) -> str:
    """One script that does what the module `start` does, with all that it imports, each in a function of its own.

    `sources` are the texts of modules by their path; `instead` names those that stand in for others. Raises ValueError
    for what it does not know.
    """
    made: dict[str, str | None] = {}
    _add(start, sources, instead, made)
    bodies = "\n".join(f'modules["{name}"] = (() => {{\n{body}}})();' for name, body in made.items())
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n{bodies}\n}})();\n'


def _add(name: str, sources: Mapping[str, str], instead: Mapping[str, str], made: dict[str, str | None]) -> None:
    """The function of module `name`, behind those of what it imports."""
    if name in made:
        if made[name] is None:
            raise ValueError(f"{name} imports itself")
        return
    made[name] = None
    exports: dict[str, str] = {}

    def instead_of(part: re.Match[str]) -> str:
        if part["unknown"]:
            raise ValueError(f"{name}: this way to import or export is not known: {part['unknown'].splitlines()[0]}")
        if said := part["of"] or part["from"]:
            needed = posixpath.normpath(posixpath.join(posixpath.dirname(name), said))
            _add(needed, sources, instead, made)
            if part["passed"] is not None:
                exports.update({each: f'modules["{needed}"].{each}' for each in _names(part["passed"])})
                return ""
            names = [f"default: {part['default']}"] if part["default"] else _names(part["names"])
            return f'const {{ {", ".join(names)} }} = modules["{needed}"];'
        if part["alone"]:
            exports["default"] = part["alone"]
            return ""
        if part["name"]:
            exports[part["name"]] = part["name"]
            return str(part["said"])
        return part[0]

    body = _PART.sub(instead_of, sources[instead.get(name, name)])
    told = ", ".join(f"{each}: {value}" for each, value in exports.items())
    del made[name]  # behind what it needs
    made[name] = f"{body.rstrip()}\nreturn {{ {told} }};\n"


def _names(text: str) -> list[str]:
    return [each.strip().replace(" as ", ": ") for each in text.split(",") if each.strip()]
