"""One run of one system, from start to end or kill, and what came of it: also a failure is a trial."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster import System, Task, last_line

import measure
from works import Work

STOP = threading.Event()  # Ctrl-C doesn't reach groups of their own: set, it ends them
POLL_S = 0.1
GRACE_S = 6  # a run goes on this much longer than the window: the best window counts, so a slow start is forgiven
START_ALLOWED_S = 60
_MAXRSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one run. `status`: ok, failed, timed out, or absent; `figures` by name, see `tables`."""

    part: str
    system: str
    status: str
    note: str = ""
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended and what it used; `how` is ok, failed or cut. Children that it left behind aren't counted."""

    how: str
    said: str
    started_at: float
    wall_s: float
    cpu_s: float
    peak_mb: float


class Child:
    """A measured process in a group of its own, so that what it starts can be ended with it."""

    def __init__(
        self, command: Sequence[str], log: Path, *, core: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        self._cut = False
        self.started_at, self._start = time.time(), time.perf_counter()
        with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=err, start_new_session=True, env=measure.child_env(**(env or {}))
            )
        if core is not None and measure.can_pin():
            os.sched_setaffinity(self._process.pid, {core})
        self.ended: Ended | None = None
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        _, status, used = os.wait4(self._process.pid, 0)
        wall_s = time.perf_counter() - self._start
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        said = last_line(self._tail(".err")) or last_line(self._tail(".out"))
        self.ended = Ended(
            how="cut" if self._cut else "ok" if code == 0 else "failed",
            said=f"exit {code}: {said}",
            started_at=self.started_at,
            wall_s=wall_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_mb=used.ru_maxrss * _MAXRSS_UNIT / 1e6,
        )

    def _tail(self, suffix: str) -> bytes:
        with self._log.with_suffix(suffix).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            return file.read()

    def finish(self, until: Callable[[], bool]) -> Ended:
        """Wait for the end, or end the whole group once `until()` is true; what is left of it never goes on."""
        try:
            while self.ended is None:
                if not self._cut and (STOP.is_set() or until()):
                    self._cut = True
                    self._kill()
                self._waiter.join(POLL_S)
            return self.ended
        finally:
            self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def read_stats(url: str) -> dict[str, Any]:
    """A server's `/stats`, next to its `/v1`."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
        return dict(json.load(answer))


@contextlib.contextmanager
def simulator(*flags: str) -> Iterator[str]:
    """The base URL of our own simulated server, in a process of its own."""
    child = subprocess.Popen(
        [*measure.ours(), "simulate", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=measure.child_env(),
    )
    try:
        assert child.stdout is not None
        said = child.stdout.readline().decode()
        found = re.search(r"http://[\w.:-]+", said)
        if found is None:
            raise measure.ChildFailedError(f"the simulator didn't start: it said {said!r}")
        yield found.group() + "/v1"
    finally:
        child.terminate()
        child.wait(timeout=10)


def whole_run(system: System, rows: int, folder: Path, *, work: Work, delay_ms: float, limit_s: float) -> Trial:
    """One run against the fast server, alone on its core."""
    part = part_of(work)
    seen: list[tuple[float, float]] = []
    flags, trusted = measure.over_tls(folder.parent / "certificate") if work.tls else ([], {})
    with measure.fast_server(delay_ms, flags=[*work.served, *flags]) as server:
        asked = Task(server.url, rows, folder, work=work)
        child = Child(system.command(asked), folder / "log", core=measure.CLIENT_CORE, env=trusted)

        def late() -> bool:
            seen.append((time.perf_counter(), server.statistics()["requests"]))
            return time.time() - child.started_at > limit_s

        ended = child.finish(late)
        stats = server.statistics()
    if ended.how == "failed":
        return Trial(part, system.name, "failed", ended.said)
    persisted = system.persisted(folder)
    note = "" if persisted == rows else f"{persisted} of {rows} rows on disk"
    figures = {
        "delay_ms": delay_ms,
        "rows": rows,
        "persisted": persisted,
        "rows_per_s": steady_rate(seen, rows) or (stats["requests"] - 1) / (stats["last_at"] - stats["first_at"]),
        "wall_s": ended.wall_s,
        "cpu_s": ended.cpu_s,
        "peak_mb": ended.peak_mb,
        "first_request_s": stats["first_at"] - ended.started_at,
        "requests": stats["requests"],
    }
    if ended.how == "cut":
        return Trial(part, system.name, "timed out", f"still running at {limit_s:g} s, {note or 'all rows'}", figures)
    return Trial(part, system.name, "ok", note, figures)


def part_of(work: Work) -> str:
    """The name of a table of throughput."""
    return "throughput" if work.name == "text" else f"throughput, {work.name}"


def steady_rate(seen: Sequence[tuple[float, float]], rows: int) -> float | None:
    """Requests a second between the first tenth and the last one; None when there were too few looks to tell.

    The ends are left out, because some send a probe long before their rows, and some stop over the last ones.
    """
    middle = [(at, count) for at, count in seen if rows * 0.1 <= count <= rows * 0.9]
    if len(middle) < 5:
        return None
    slope, _ = statistics.linear_regression(*zip(*middle, strict=True))
    return slope


def limited_run(system: System, folder: Path, *, rpm: float, window_s: int, simulate: Sequence[str]) -> Trial:
    """A run against a rate limit: stopped after the measured window and its grace."""
    rows = _round_rows(rpm * (window_s + GRACE_S) / 60 * 1.2)
    with simulator(*simulate) as url:
        child = Child(system.command(Task(url, rows, folder, rpm=rpm)), folder / "log")
        first_at: list[float] = []

        def enough() -> bool:
            now = time.time()
            if not first_at and read_stats(url)["requests"]:
                first_at.append(now)
            return now - first_at[0] > window_s + GRACE_S if first_at else now - child.started_at > START_ALLOWED_S

        ended = child.finish(enough)
        stats = read_stats(url)
    accepted = stats["accepted_per_s"]
    best = max(sum(accepted[start : start + window_s]) for start in range(max(1, len(accepted) - window_s + 1)))
    figures = {
        "permitted_pct": 100 * best / (rpm * window_s / 60),
        "refused": sum(stats["refused"].values()),
        "accepted": sum(accepted),
        "persisted": system.persisted(folder),
        "in_flight_peak": stats["in_flight_peak"],
    }
    if not stats["requests"]:
        return Trial("limit", system.name, "failed", f"no request within {START_ALLOWED_S} s; {ended.said}")
    if ended.how == "cut":
        return Trial("limit", system.name, "ok", "", figures)
    seconds = f"ended after {ended.wall_s:.0f} s"
    if ended.how == "ok":
        return Trial("limit", system.name, "ok", f"{seconds}, rows left out for good", figures)
    return Trial("limit", system.name, "failed", f"{seconds}, {ended.said}", figures)


def faulty_run(
    system: System, folder: Path, *, rows: int, timeout_s: float | None, limit_s: float, simulate: Sequence[str]
) -> Trial:
    """A run against a faulty server, cut off after `limit_s`."""
    with simulator(*simulate) as url:
        child = Child(system.command(Task(url, rows, folder, timeout_s=timeout_s)), folder / "log")
        ended = child.finish(lambda: time.time() - child.started_at > limit_s)
        stats = read_stats(url)
    persisted = system.persisted(folder)
    figures = {
        "rows": rows,
        "missing": rows - persisted,
        "wall_s": ended.wall_s,
        "requests": stats["requests"],
        "doubled": stats["doubles"],
    }
    if ended.how == "cut":
        return Trial("faults", system.name, "timed out", f"still running at {limit_s:g} s", figures)
    if ended.how == "failed":
        return Trial("faults", system.name, "failed", ended.said, figures)
    return Trial("faults", system.name, "ok", "left out for good" if persisted < rows else "", figures)


def _round_rows(rows: float) -> int:
    """The next number that a grid has: a whole number of hundreds."""
    return 100 * -(-int(rows) // 100)
