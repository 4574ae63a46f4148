"""What is measured, and one measured run of it: a whole process against a fresh server, in a folder of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grids
import measure

CONCURRENCY = 64
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


def ours_system() -> System:
    """This project's command line, as a user starts it."""
    return System(
        name=OURS,
        command=lambda rows, folder, server: measure.our_run(spec_file(rows, folder), folder / "run", server),
        persisted=lambda folder: measure.our_rows(folder / "run"),
        python=sys.executable,
        packages=OUR_PACKAGES,
    )


def source_system(name: str, source: Path) -> System:
    """The command line of the package below `source`, whatever is installed, with this Python's other packages."""
    tool = [sys.executable, "-m", "herogen_async"]
    return System(
        name=name,
        command=lambda rows, folder, server: measure.our_run(
            spec_file(rows, folder), folder / "run", server, tool=tool
        ),
        persisted=lambda folder: measure.our_rows(folder / "run"),
        python=sys.executable,
        packages=OUR_PACKAGES,
        env={"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"},  # the folder it is started in holds code, too
    )


def spec_file(rows: int, folder: Path) -> Path:
    path = folder.parent / f"spec-{rows}.json"
    if not path.exists():
        grids.write_spec(rows, path)
    return path


def run_once(
    system: System,
    rows: int,
    work: Path,
    *,
    delay_ms: float,
    round_number: int,
    concurrency: int = CONCURRENCY,
    tls: Path | None = None,
) -> Run:
    """One process of `system` against a fresh server, which speaks TLS where there is a folder for its certificate.

    Another `concurrency` is for this project's own systems alone.
    """
    folder = work / "current"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with measure.fast_server(delay_ms, tls) as server:
        command = system.command(rows, folder, server)
        if concurrency != CONCURRENCY:
            command[command.index("--concurrency") + 1] = str(concurrency)
        trusted = {} if tls is None else {"SSL_CERT_FILE": str(tls / "server.pem")}
        usage = measure.run_child(command, log=work / "child", env=measure.child_env(**system.env, **trusted))
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
