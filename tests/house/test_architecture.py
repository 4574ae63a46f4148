"""docs/architecture.md shows today's rooms and imports. For new pictures: python tests/house/test_architecture.py"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.import_picture import MARKERS, of_wings, picture, room_imports, rooms
from support.places import ROOT

PAGE = ROOT / "docs" / "architecture.md"


def shown(name: str) -> str:
    found = re.search(rf"{re.escape(MARKERS[name])}\n```mermaid\n(?:.*\n)*?```", PAGE.read_text())
    assert found is not None, f"{PAGE} has no {MARKERS[name]}"
    return found[0]


@pytest.mark.parametrize("name", MARKERS)
def test_a_picture_shows_the_imports(name: str) -> None:
    """Each arrow in the picture is an import, and each import that the page promises is an arrow."""
    assert picture(name) == shown(name)


def test_the_arrows_that_the_picture_leaves_out_are_there() -> None:
    """Every wing imports `core`, and `cli` imports every wing."""
    edges = of_wings(room_imports())
    wings = set(rooms())
    assert wings - {"core"} == {wing for wing in edges if "core" in edges[wing]}
    assert wings - {"cli"} == edges["cli"]


def test_every_room_has_a_line_in_the_table_of_rooms() -> None:
    """A room that the page does not name is a room that no newcomer finds."""
    table = set(re.findall(r"^\| `([a-z0-9_/]+)` \|", PAGE.read_text(), re.MULTILINE))
    wanted = {f"{wing}/{room}" for wing, names in rooms().items() for room in names} | {"cli"}
    assert wanted == {place for place in table if place.partition("/")[0] in rooms()}


if __name__ == "__main__":
    text = PAGE.read_text()
    for each in MARKERS:
        text = text.replace(shown(each), picture(each))
    PAGE.write_text(text)
