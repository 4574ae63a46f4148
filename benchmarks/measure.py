"""Start whole processes, pin them to a core, and account for what they used.

A child's peak memory is the kernel's `ru_maxrss`, which carries the parent's peak over the exec: it can't read below
the peak of this process. So the parent stays small (it imports the standard library only, and writes prompts to a file
line by line), and `rss_floor_mb()` says how small.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CLIENT_CORE = 0
SERVER_CORE = 1
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere


@dataclass(frozen=True, slots=True)
class Usage:
    """What one finished process used. `last_line` is the JSON object that it printed last, or {}."""

    returncode: int
    started_at: float  # time.time() just before the start, to compare with the server's clock
    wall_s: float
    cpu_s: float
    peak_mb: float
    last_line: dict[str, Any]


class ChildFailedError(Exception):
    """A measured process ended with an error; the message holds the end of what it wrote."""


def can_pin() -> bool:
    """Whether client and server can have a core each."""
    return hasattr(os, "sched_setaffinity") and {CLIENT_CORE, SERVER_CORE} <= os.sched_getaffinity(0)


def allow_connections() -> None:
    """Let the children open as many files as the system permits: shells begin with fewer than 10,000 in flight take."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Children started inside inherit the core; nothing has to run between fork and exec."""
    if not can_pin():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def child_env(**extra: str) -> dict[str, str]:
    """This environment without what would lead a client away from the local server."""
    dropped = {"http_proxy", "https_proxy", "all_proxy", "openai_api_key", "openai_base_url"}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in dropped}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **extra}


def run_child(
    command: Sequence[str | Path],
    *,
    log: Path,
    timeout_s: float = 900,
    env: dict[str, str] | None = None,
    on_all_cores: bool = False,
) -> Usage:
    """Run `command` to its end on the client's core, or on all; its output goes to `log`.out and `log`.err.

    Raises ChildFailedError when it exits with anything but 0 or outlives `timeout_s`.
    """
    out_path, err_path = log.with_suffix(".out"), log.with_suffix(".err")
    pinned = contextlib.nullcontext() if on_all_cores else _pinned(CLIENT_CORE)
    with out_path.open("wb") as out, err_path.open("wb") as err, pinned:
        started_at, start = time.time(), time.perf_counter()
        child = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, env=env or child_env())
    deadline = threading.Timer(timeout_s, child.kill)
    deadline.start()
    _, status, used = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - start
    deadline.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise ChildFailedError(
            f"{list(map(str, command))} ended with {child.returncode}:\n{_tail(err_path)}{_tail(out_path)}"
        )
    return Usage(
        returncode=child.returncode,
        started_at=started_at,
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss * _MAXRSS_UNIT / 1e6,
        last_line=_last_json(out_path),
    )


def _tail(path: Path, size: int = 2000) -> str:
    return path.read_bytes()[-size:].decode(errors="replace")


def _last_json(path: Path) -> dict[str, Any]:
    lines = path.read_bytes().strip().splitlines()
    with contextlib.suppress(ValueError, IndexError):
        value = json.loads(lines[-1])
        if isinstance(value, dict):
            return value
    return {}


def rss_floor_mb() -> float:
    """This process' own peak: no child's peak can read below it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT / 1e6


@dataclass(frozen=True, slots=True)
class FastServer:
    """A running `fast_server.py`."""

    url: str
    stats_url: str

    def statistics(self) -> dict[str, float]:
        with urllib.request.urlopen(self.stats_url, timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]


def over_tls(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Options of a server that speaks TLS by a certificate in `folder`, and the environment of who trusts it."""
    folder.mkdir(exist_ok=True)
    trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(folder / "server.pem"))
    return ["--tls", str(folder)], trusted


@contextlib.contextmanager
def fast_server(delay_ms: float = 0.0, *, flags: Sequence[str] = ()) -> Iterator[FastServer]:
    """A fresh server on the server's core, with further options of `fast_server.py`; stopped at the end."""
    command = [sys.executable, str(HERE / "fast_server.py"), "--port", "0", "--delay-ms", str(delay_ms), *flags]
    with _pinned(SERVER_CORE):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        first = child.stdout.readline()
        if not first:
            raise ChildFailedError(f"the server didn't start: {command}")
        ready = json.loads(first)
        yield FastServer(url=ready["url"], stats_url=ready["stats_url"])
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=10)


def ours() -> list[str]:
    """The command line of this environment's herogen-async. Raises SystemExit when it isn't installed here."""
    script = shutil.which("herogen-async", path=str(Path(sys.executable).parent))
    if script:
        return [script]
    if importlib.util.find_spec("herogen_async") is None:
        raise SystemExit("herogen-async is not installed for this Python; fix: pip install . (then use that Python)")
    return [sys.executable, "-m", "herogen_async"]


def our_run(
    spec: Path,
    run: Path,
    server: FastServer,
    *,
    concurrency: int = 64,
    tool: Sequence[str] | None = None,
    endpoint: str = "completions",
    more: Sequence[str] = (),
) -> list[str]:
    """The command that generates `spec` into the folder `run`; `tool` is another copy than the installed one."""
    target = ["--base-url", server.url, "--model", "m", "--endpoint", endpoint]
    return [
        *(tool or ours()),
        "run",
        str(spec),
        "--run",
        str(run),
        *target,
        "--concurrency",
        str(concurrency),
        *more,
        "--json",
    ]


def our_rows(run: Path) -> int:
    """Lines in the journal of the folder `run`."""
    return sum(count_lines(path) for path in run.glob("rows-*.jsonl"))


def count_lines(path: Path) -> int:
    """Newlines in a file, read in blocks."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def versions(python: str | Path, packages: Sequence[str]) -> dict[str, str]:
    """Versions of `packages` in another interpreter, and its own; "absent" for what it lacks."""
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "found = {'python': platform.python_version()}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: found[name] = 'absent'\n"
        "print(json.dumps(found))"
    )
    output = subprocess.run([str(python), "-c", code, *packages], check=True, capture_output=True, env=child_env())
    return dict(json.loads(output.stdout))


def machine() -> dict[str, Any]:
    """What a reader must know of this machine to place the figures."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "pinned": can_pin(),
        "load_1min_at_start": load,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
