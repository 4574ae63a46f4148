"""The pictures in docs/architecture.md: wings, rooms and what they import, as mermaid.

`python tests/house/test_architecture.py` writes them into the page.
"""

from __future__ import annotations

from collections import defaultdict

from support.places import SOURCE
from support.source import imports, place_of, sources

Edges = dict[str, set[str]]  # who imports whom

MARKERS = {"wings": "<!-- picture: wings -->", "generation": "<!-- picture: generation -->"}


def rooms() -> dict[str, list[str]]:
    """Each wing's rooms, read from the folders; a wing of files alone, such as `cli`, has none."""
    found: dict[str, list[str]] = {}
    for wing in sorted(path.parent for path in SOURCE.glob("*/__init__.py")):
        names = {path.parent.name for path in wing.glob("*/__init__.py")}
        names |= {path.stem for path in wing.glob("*.py")} - {"__init__"}
        found[wing.name] = [] if wing.name == "cli" else sorted(names)
    return found


def room_imports() -> Edges:
    """Every import of one room by another, deferred ones too, as `wing/room`."""
    known = {f"{wing}/{room}" for wing, names in rooms().items() for room in names} | {"cli"}
    edges: Edges = defaultdict(set)
    for path in sources():
        importer = _room_of(place_of(path), known)
        for _, module in imports(path):
            imported = _room_of(module.removeprefix("herogen_async.").replace(".", "/"), known)
            if importer and imported and importer != imported:
                edges[importer].add(imported)
    return edges


def _room_of(place: str, known: set[str]) -> str | None:
    parts = place.split("/")
    return next((each for each in ("/".join(parts[:2]), parts[0]) if each in known), None)


def of_wings(edges: Edges) -> Edges:
    """The same between wings."""
    found: Edges = defaultdict(set)
    for importer, imported in edges.items():
        wing = importer.partition("/")[0]
        found[wing] |= {each.partition("/")[0] for each in imported} - {wing}
    return found


def reduced(edges: Edges) -> Edges:
    """Without the arrows that others imply: a picture with all of them can't be read."""
    return {
        each: {
            target
            for target in targets
            if not any(target in _reached(edges, other) for other in targets if other != target)
        }
        for each, targets in edges.items()
    }


def _reached(edges: Edges, start: str) -> set[str]:
    found: set[str] = set()
    ahead = list(edges.get(start, ()))
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += edges.get(each, ())
    return found


def picture(name: str) -> str:
    """The mermaid block of that name, as it stands in the page."""
    lines = _wings_picture() if name == "wings" else _room_picture(name)
    return "\n".join([MARKERS[name], "```mermaid", "flowchart BT", *(f"    {line}" for line in lines), "```"])


def _wings_picture() -> list[str]:
    """Without the arrows to `core`, which every wing has, and those from `cli`, which lead to every wing."""
    edges = of_wings(room_imports())
    nodes = [f'{wing}["<b>{wing}</b>{"<br/>" if names else ""}{" · ".join(names)}"]' for wing, names in rooms().items()]
    arrows = [
        f"{wing} --> {target}"
        for wing in sorted(edges)
        for target in sorted(edges[wing])
        if wing != "cli" and target != "core"
    ]
    return nodes + arrows


def _room_picture(wing: str) -> list[str]:
    edges = {
        room: {target for target in targets if target.startswith(f"{wing}/")}
        for room, targets in room_imports().items()
        if room.startswith(f"{wing}/")
    }
    arrows = [
        f"{room.partition('/')[2]} --> {target.partition('/')[2]}"
        for room, targets in sorted(reduced(edges).items())
        for target in sorted(targets)
    ]
    return rooms()[wing] + arrows
