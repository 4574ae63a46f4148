"""The house rules of docs/architecture.md, read from the source: import direction, purity, doors, names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "herogen_async"

# Each room may import those before it, and its own files.
ROOMS = (
    "limits",
    "errors",
    "clock",
    "loops",
    "codec",
    "spec",
    "grid",
    "plan",
    "admission",
    "retry",
    "lease",
    "endpoint",
    "prices",
    "journal",
    "engine",
    "control",
    "simulator",
    "charts",
    "quality",
    "dataset",
    "prepare",
    "finetune",
    "query",
    "evaluation",
    "inspection",
    "report",
    "view",
    "session",
    "doctor",
    "bench",
    "cli",
)
PURE = ("limits", "errors", "codec", "grid", "plan", "admission", "retry", "report")
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


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


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
            if module == "herogen_async":
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


def test_every_room_is_in_the_table() -> None:
    outside = {"__init__", "__main__"}
    assert set() == {room_of(path) for path in sources()} - set(ROOMS) - outside


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    if room not in ROOMS:
        return
    allowed = ROOMS[: ROOMS.index(room) + 1]
    breaches = [
        f"line {line}: {module}"
        for line, module in imports(path)
        if module.startswith("herogen_async.") and module.split(".")[1] not in allowed
    ]
    assert [] == breaches


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_touches_no_clock_file_task_or_network(room: str) -> None:
    files = [path for path in sources() if room_of(path) == room]
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
        f"{path.relative_to(SOURCE)}:{line}: {name}"
        for path in sources()
        if room_of(path) != "clock"
        for line, name in calls(path)
        if name in readings
    ]
    assert [] == found


def test_only_endpoint_and_simulator_touch_the_network() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {module}"
        for path in sources()
        if room_of(path) not in ("endpoint", "simulator")
        for line, module in imports(path)
        if module in NETWORK_MODULES or module.split(".")[0] in NETWORK_MODULES - {"socket"}
        if module != "socket" or path.name != "lock.py"  # the host's name, for people
        if module != "socket" or room_of(path) != "control"  # a Unix socket in the run's folder: no network
    ]
    assert [] == found


def test_only_engine_starts_tasks() -> None:
    starters = ("create_task", "ensure_future", "gather", "TaskGroup")
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {name}"
        for path in sources()
        if room_of(path) != "engine"
        for line, name in calls(path)
        if name.split(".")[-1] in starters
    ]
    assert [] == found


def test_only_journal_writes_run_files() -> None:
    """Others write through `journal.publishing`; weights are a cache and no run file, `init` makes a new spec."""
    allowed = {"journal", "endpoint/embedded", "cli/start_commands.py"}
    writing = {"write_bytes", "write_text", "mkstemp", "truncate"}
    found = []
    for path in sources():
        place = str(path.relative_to(SOURCE))
        if any(place.startswith(prefix) for prefix in allowed):
            continue
        found += [f"{place}:{line}: {name}" for line, name in calls(path) if name.split(".")[-1] in writing]
    assert [] == found


def test_files_are_short_and_named_after_what_they_hold() -> None:
    too_long = [str(path) for path in sources() if len(path.read_text().splitlines()) > LONGEST_FILE]
    assert [] == too_long
    assert set() == {path.stem for path in sources()} & BANNED_NAMES
