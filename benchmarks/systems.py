"""What is measured, and one measured run of it: a whole process against a fresh server, in a folder of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import measure
from works import WORKS, Work

TEXT_WORK = WORKS["text"]
FLOOR = "floor"
OUT = "out.jsonl"
OURS = "herogen-async"
OUR_PACKAGES = ("herogen-async", "pyreqwest", "openai", "orjson", "uvloop")


@dataclass(frozen=True, slots=True)
class System:
    """One thing that is measured. `command(rows, folder, server)` starts it, `persisted(folder)` counts its rows."""

    name: str
    command: Callable[[int, Path, measure.FastServer], list[str]]
    persisted: Callable[[Path], int]
    python: str
    packages: tuple[str, ...]
    share: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)
    served: tuple[str, ...] = ()  # further options of its server
    tls: bool = False
    on_all_cores: bool = False  # else on the client's


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process. Rates are rows a second; `steady` is the server's view between first and last request."""

    system: str
    delay_ms: float
    round: int
    rows: int
    persisted: int
    failed: int
    requests: int
    doubled: int
    steady_rows_per_s: float
    client_rows_per_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    first_request_s: float
    server_busy_pct: float
    in_flight_peak: int
    connections: int

    def problems(self) -> list[str]:
        """What makes this run's figures worthless."""
        where = f"{self.system}, {self.delay_ms:g} ms, {self.rows} rows"
        found = []
        if self.persisted != self.rows:
            found.append(f"{where}: {self.persisted} rows on disk")
        if self.failed:
            found.append(f"{where}: {self.failed} rows failed")
        if self.requests != self.rows or self.doubled:
            found.append(f"{where}: the server saw {self.requests} requests, {self.doubled} of them doubled")
        return found


def ours_system(work: Work = TEXT_WORK, *, name: str = OURS) -> System:
    """This project's command line, as a user starts it."""
    return _our_system(name, work, None, {})


def source_system(name: str, source: Path, work: Work = TEXT_WORK) -> System:
    """The command line of the package below `source`, whatever is installed, with this Python's other packages."""
    # The folder that it is started in holds code, too.
    env = {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"}
    return _our_system(name, work, [sys.executable, "-m", "herogen_async"], env)


def _our_system(name: str, work: Work, tool: list[str] | None, env: dict[str, str]) -> System:
    def command(calls: int, folder: Path, server: measure.FastServer) -> list[str]:
        return measure.our_run(
            work.spec_file(calls, folder),
            folder / "run",
            server,
            concurrency=work.concurrency,
            tool=tool,
            endpoint=work.endpoint,
            more=work.run,
        )

    def persisted(folder: Path) -> int:
        return measure.our_rows(folder / "run")

    return System(name, command, persisted, sys.executable, OUR_PACKAGES, env=env, served=work.served, tls=work.tls)


def floor_system(work: Work = TEXT_WORK) -> System:
    """The bare design: what this machine and this Python allow for the same exchange and the same lines."""

    def command(rows: int, folder: Path, server: measure.FastServer) -> list[str]:
        script, source = measure.HERE / "floor.py", work.prompts_file(rows, folder)
        return [sys.executable, str(script), str(source), str(folder / OUT), server.url, str(work.concurrency)]

    return System(FLOOR, command, out_lines, sys.executable, OUR_PACKAGES[-2:], served=work.served, tls=work.tls)


def out_lines(folder: Path) -> int:
    """The rows of a system that writes one file of lines."""
    return measure.count_lines(folder / OUT)


def run_once(system: System, rows: int, work: Path, *, delay_ms: float, round_number: int) -> Run:
    """One process of `system` against a fresh server."""
    folder = work / "current"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    flags, trusted = measure.over_tls(work / "certificate") if system.tls else ([], {})
    with measure.fast_server(delay_ms, flags=[*system.served, *flags]) as server:
        command = system.command(rows, folder, server)
        usage = measure.run_child(
            command,
            log=work / "child",
            env=measure.child_env(**system.env, **trusted),
            on_all_cores=system.on_all_cores,
        )
        seen = server.statistics()
    span_s = max(seen["last_at"] - seen["first_at"], 1e-9)
    return Run(
        system=system.name,
        delay_ms=delay_ms,
        round=round_number,
        rows=rows,
        persisted=system.persisted(folder),
        failed=int(usage.last_line.get("failed", 0)),
        requests=int(seen["requests"]),
        doubled=int(seen["doubled"]),
        steady_rows_per_s=(seen["requests"] - 1) / span_s,
        client_rows_per_s=float(usage.last_line.get("rows_per_s") or 0.0),
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        peak_mb=usage.peak_mb,
        first_request_s=seen["first_at"] - usage.started_at,
        server_busy_pct=100 * seen["cpu_s"] / span_s,
        in_flight_peak=int(seen["in_flight_peak"]),
        connections=int(seen["connections"]),
    )
