"""The house rules of docs/architecture.md, read from the source: import direction, purity, names, short files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.source import (
    claims_to_be_pure,
    imports,
    place_of,
    public_names,
    sources,
    uses_of,
    within,
)
from support.ways_through import DETECTORS

# The wings, in the order of the product's sentence, with their rooms. A wing may import the wings above it, a room the
# rooms above it in its wing, and its own files.
WINGS: dict[str, tuple[str, ...]] = {
    "core": (
        "limits",
        "errors",
        "clock",
        "event_loop",
        "codec",
        "cores",
        "units",
        "blank",
        "likeness",
        "options",
        "keywords",
        "cache_folder",
        "markup",
        "http1",
        "shingles",
    ),
    "specs": ("records", "expressions", "forms", "sources", "spec", "source_index", "columns", "plan", "foreign"),
    "generation": (
        "settings",
        "limits",
        "endpoint",
        "observer",
        "prices",
        "retry",
        "run_folder",
        "journal",
        "intents",
        "mirror",
        "engine",
        "cluster",
        "report",
        "control",
        "run_request",
        "forecast",
        "session",
    ),
    "data": ("charts", "quality", "row_marks", "dataset", "row_pages", "prepare"),
    "tune": ("further_fields", "options", "asking", "finetune", "query", "evaluation"),
    "view": ("terminal", "notebook", "web"),
    "lab": ("simulator", "bench", "doctor"),
    "cli": (),
}
ROOMS = tuple(f"{wing}/{room}" if room else wing for wing, rooms in WINGS.items() for room in rooms or ("",))
# The same order within a room: each may import those before it.
INSIDE: dict[str, tuple[str, ...]] = {
    "lab/simulator": (
        "faults",
        "policy",
        "tally",
        "seeded_random",
        "http_request",
        "limits",
        "completions",
        "finetuning",
        "http",
    ),
}
# No asyncio, clock, file or network in these, and in what lies below them.
PURE = (
    "core/limits",
    "core/errors",
    "core/codec",
    "core/units",
    "core/blank",
    "core/likeness",
    "core/options",
    "core/markup",
    "core/http1",
    "core/shingles",
    "specs/expressions",
    "specs/forms",
    "specs/sources",
    "specs/plan",
    "generation/settings",
    "generation/limits",
    "generation/retry",
    "generation/cluster/messages",
    "generation/cluster/desk",
    "generation/cluster/till",
    "generation/cluster/door",
    "generation/cluster/members",
    "generation/cluster/kept_lines",
    "generation/report",
    "tune/further_fields",
)
NOT_PURE = ("generation/limits/shared",)  # the file through which processes share their buckets
IMPURE_MODULES = {
    "aiofiles",
    "asyncio",
    "concurrent",
    "fcntl",
    "httptools",
    "io",
    "mmap",
    "multiprocessing",
    "openai",
    "os",
    "pathlib",
    "pyreqwest",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uvloop",
}
BANNED_FILES = {"utils", "helpers", "manager", "processor", "base", "common", "misc"}
LONGEST_FILE = 400
# Commands are functions that typer names after what is typed; the rooms' own functions are called the same in Python.
COMMANDS = {
    "assemble",
    "export",
    "finetune",
    "merge",
    "plan",
    "prepare",
    "query",
    "recover",
    "restore",
    "resume",
    "run",
    "status",
    "verify",
}
IN_TWO_ROOMS = {
    "main": "what a program starts with: the command line's, and those of four child processes",
}


def room_of(place: str) -> str | None:
    """The room that a place lies in; None outside of all of them."""
    wing, _, rest = place.partition("/")
    room = wing if WINGS.get(wing) == () else f"{wing}/{rest.partition('/')[0]}"
    return room if room in ROOMS else None


def test_every_file_is_in_a_room() -> None:
    """Beside the face and the wings' own files, which hold no code."""
    outside = {"", "__main__", *WINGS}
    assert set() == {place for path in sources() if room_of(place := place_of(path)) is None} - outside


@pytest.mark.parametrize("path", sources(), ids=place_of)
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    """One direction: no import, deferred ones too, leads down the house."""
    room = room_of(place_of(path))
    if room is None:
        return
    allowed = ROOMS[: ROOMS.index(room) + 1]
    breaches = [
        f"line {line}: {module}"
        for line, module in imports(path)
        if module.startswith("herogen_async.") and room_of("/".join(module.split(".")[1:])) not in allowed
    ]
    assert [] == breaches


@pytest.mark.parametrize("room", INSIDE)
def test_the_parts_of_a_room_import_one_way(room: str) -> None:
    """A room with folders has an order of its own; its face stands above none."""
    order = INSIDE[room]
    inside = [path for path in sources() if within(place_of(path), room) and place_of(path) != room]
    assert set(order) == {part_of(place_of(path), room) for path in inside}
    breaches = [
        f"{place_of(path)}, line {line}: {module}"
        for path in inside
        for line, module in imports(path)
        if within(target := "/".join(module.split(".")[1:]), room)
        and part_of(target, room) not in order[: order.index(part_of(place_of(path), room)) + 1]
    ]
    assert [] == breaches


def test_no_files_import_each_other_in_a_circle() -> None:
    """What can only be understood together is one file, or has a third below it."""
    left = {place_of(path): set(imported_places(path)) for path in sources()}
    while ready := [place for place, needed in left.items() if not needed & left.keys()]:
        for place in ready:
            del left[place]
    assert {} == left


def imported_places(path: Path) -> Iterator[str]:
    """The files of ours that a file imports, itself apart."""
    places = {place_of(each) for each in sources()}
    for _, module in imports(path):
        first, *parts = module.split(".")
        found = "/".join(parts)
        place = found if found in places else found.rpartition("/")[0]
        if first == "herogen_async" and place not in ("", place_of(path)):
            yield place


def part_of(place: str, room: str) -> str:
    """The file or folder in a room that a place lies in."""
    return place.removeprefix(f"{room}/").partition("/")[0]


# -- purity


def is_pure(path: Path) -> bool:
    """Whether a file is held to purity: by its room, or because it says so of itself."""
    place = place_of(path)
    return claims_to_be_pure(path) or (within(place, *PURE) and not within(place, *NOT_PURE))


@pytest.mark.parametrize("path", [path for path in sources() if is_pure(path)], ids=place_of)
def test_a_pure_file_touches_no_clock_file_task_or_network(path: Path) -> None:
    """Neither by what it imports, nor through a door."""
    found = [f"line {line}: {module}" for line, module in imports(path) if module.split(".")[0] in IMPURE_MODULES]
    found += [f"line {line}: {what}" for detect in DETECTORS.values() for line, what in detect(uses_of(path))]
    assert [] == found


@pytest.mark.parametrize("room", PURE)
def test_a_room_that_is_pure_is_there(room: str) -> None:
    """A room that was moved takes its line along."""
    assert any(within(place_of(path), room) for path in sources())


@pytest.mark.parametrize(
    ("docstring", "claims"),
    [
        ("What a server says. Pure.", True),
        ("The chain: a pure fold over its steps.", True),
        ("Pure: (state, now) -> wait.", True),
        ("A sweep. Pure but for the checks it borrows.", False),
        ("Nothing about it.", False),
    ],
)
def test_a_docstring_that_claims_purity_is_seen(docstring: str, claims: bool, tmp_path: Path) -> None:
    """So that the claim is held."""
    path = tmp_path / "a.py"
    path.write_text(f'"""{docstring}"""\n')
    assert claims is claims_to_be_pure(path)


# -- names and sizes


def test_no_public_name_is_defined_in_two_rooms() -> None:
    """A class, function or constant that others can import says by its name alone what it is."""
    rooms = defaultdict(set)
    for path in sources():
        for name in public_names(path):
            rooms[name].add(room_of(place_of(path)) or place_of(path))
    doubled = {name: where for name, where in rooms.items() if len(where) > 1 and name not in IN_TWO_ROOMS}
    typed = {name for name, where in doubled.items() if name in COMMANDS and "cli" in where and len(where) == 2}
    assert {} == {name: where for name, where in doubled.items() if name not in typed}


def test_public_names_are_seen() -> None:
    """However they are defined at a file's top, and nothing below it."""
    tree = ast.parse("A = 1\nB: int = 2\n_c = 3\nclass D:\n    E = 4\ndef f(): g = 5\nasync def h(): ...\nT = type")
    assert ["A", "B", "D", "f", "h", "T"] == list(public_names(tree))


def test_files_are_short_and_named_after_what_they_hold() -> None:
    """A file is read at one sitting; `utils` says nothing."""
    assert [] == [place_of(path) for path in sources() if len(path.read_text().splitlines()) > LONGEST_FILE]
    assert set() == {path.stem for path in sources()} & BANNED_FILES
