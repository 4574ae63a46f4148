"""The house rules of docs/architecture.md, read from the source: import direction, purity, doors, names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import SOURCE

# The wings, in the order of the product's sentence, with their rooms. A wing may import the wings above it, a room the
# rooms above it in its wing, and its own files.
WINGS: dict[str, tuple[str, ...]] = {
    "core": ("limits", "errors", "clock", "event_loop", "codec", "units", "likeness"),
    "specs": ("spec", "sources", "plan"),
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
        "engine",
        "report",
        "control",
        "session",
    ),
    "data": ("charts", "quality", "dataset", "prepare"),
    "tune": ("finetune", "query", "evaluation"),
    "view": ("terminal",),
    "lab": ("simulator", "bench", "doctor"),
    "cli": (),
}
ROOMS = tuple(f"{wing}/{room}" if room else wing for wing, rooms in WINGS.items() for room in rooms or ("",))
# No asyncio, clock, file or network in these, and in what lies below them.
PURE = (
    "core/limits",
    "core/errors",
    "core/codec",
    "core/units",
    "core/likeness",
    "specs/sources/grid",
    "specs/plan",
    "generation/settings",
    "generation/limits",
    "generation/retry",
    "generation/report",
)
NOT_PURE = ("generation/limits/shared",)  # the file through which processes share their buckets
IMPURE_MODULES = {
    "asyncio",
    "threading",
    "time",
    "socket",
    "subprocess",
    "pathlib",
    "os",
    "io",
    "signal",
    "tempfile",
    "aiofiles",
    "pyreqwest",
    "httptools",
    "openai",
    "uvloop",
}
NETWORK_MODULES = {
    "socket",
    "httptools",
    "http",
    "urllib.request",
    "pyreqwest",
    "openai",
    "httpx2",
    "httpx",
    "aiohttp",
    "requests",
}
BANNED_NAMES = {"utils", "helpers", "manager", "processor", "base", "common", "misc"}
LONGEST_FILE = 400


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def place_of(path: Path) -> str:
    """`generation/journal/record`; a package's own file is its folder."""
    return str(path.relative_to(SOURCE).with_suffix("")).removesuffix("/__init__").removesuffix("__init__")


def room_of(place: str) -> str | None:
    """The room that a place lies in; None outside of all of them."""
    wing, _, rest = place.partition("/")
    room = wing if WINGS.get(wing) == () else f"{wing}/{rest.partition('/')[0]}"
    return room if room in ROOMS else None


def within(place: str, *rooms: str) -> bool:
    """Whether a place is one of `rooms`, or lies below one."""
    return any(place == room or place.startswith(f"{room}/") for room in rooms)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import, deferred ones too: hiding an arrow does not remove it."""
    package = ("herogen_async", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            if module.split(".")[0] == "herogen_async":  # a name may be a module
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"
            else:
                yield node.lineno, module


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every call and attribute."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id


def test_every_file_is_in_a_room() -> None:
    outside = {"", "__main__", *WINGS}  # the face, and the wings' own files, which hold no code
    assert set() == {place for path in sources() if room_of(place := place_of(path)) is None} - outside


@pytest.mark.parametrize("path", sources(), ids=place_of)
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
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


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_touches_no_clock_file_task_or_network(room: str) -> None:
    files = [path for path in sources() if within(place_of(path), room) and not within(place_of(path), *NOT_PURE)]
    assert files
    found = [
        f"{path.name}:{line}: {module}"
        for path in files
        for line, module in imports(path)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    assert [] == found


def test_only_clock_reads_time() -> None:
    readings = {"time.time", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "time.time_ns"}
    found = [
        f"{place_of(path)}:{line}: {name}"
        for path in sources()
        if place_of(path) != "core/clock"
        for line, name in calls(path)
        if name in readings
    ]
    assert [] == found


def test_only_endpoint_and_simulator_touch_the_network() -> None:
    local_sockets = {
        "generation/run_folder/lock": "the host's name, for people",
        **dict.fromkeys(
            ("generation/control/client", "generation/control/server", "generation/control/socket_path"),
            "a Unix socket in the run's folder",
        ),
    }
    found = [
        f"{place}:{line}: {module}"
        for path in sources()
        if not within(place := place_of(path), "generation/endpoint", "lab/simulator")
        for line, module in imports(path)
        if module in NETWORK_MODULES or module.split(".")[0] in NETWORK_MODULES
        if module != "socket" or place not in local_sockets
    ]
    assert [] == found


def test_only_engine_starts_tasks() -> None:
    starters = ("create_task", "ensure_future", "gather", "TaskGroup")
    found = [
        f"{place_of(path)}:{line}: {name}"
        for path in sources()
        if not within(place_of(path), "generation/engine")
        for line, name in calls(path)
        if name.split(".")[-1] in starters
    ]
    assert [] == found


def test_only_journal_and_run_folder_write_run_files() -> None:
    """Others write through `run_folder.publishing`; weights are a cache and no run file, `init` makes a new spec."""
    allowed = (
        "generation/run_folder",
        "generation/journal",
        "generation/intents",
        "generation/endpoint/embedded",
        "cli/init_command",
    )
    writing = {"write_bytes", "write_text", "mkstemp", "truncate"}
    found = [
        f"{place_of(path)}:{line}: {name}"
        for path in sources()
        if not within(place_of(path), *allowed)
        for line, name in calls(path)
        if name.split(".")[-1] in writing
    ]
    assert [] == found


def test_files_are_short_and_named_after_what_they_hold() -> None:
    too_long = [place_of(path) for path in sources() if len(path.read_text().splitlines()) > LONGEST_FILE]
    assert [] == too_long
    assert set() == {path.stem for path in sources()} & BANNED_NAMES
