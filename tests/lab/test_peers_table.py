"""The peers comparison: whatever a peer does, it is a row of the table. No network, no environments of peers."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.places import BENCHMARKS

OPTIONS = argparse.Namespace(
    part=["throughput", "limit"],
    work=["text"],
    machine={"cores": 2},
    rows=2000,
    timeout_s=30,
    fault_limit_s=150,
    window_s=60,
)


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; the modules beside it are found as when it is run."""
    for folder in (BENCHMARKS / "peers", BENCHMARKS):
        monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module("peers")


def row(text: str, system: str) -> list[str]:
    """The cells of the only line of a table that begins with `system`."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {system} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def trial(part: str, system: str, status: str = "ok", note: str = "", **figures: float) -> dict[str, Any]:
    return {"part": part, "system": system, "status": status, "note": note, "figures": figures}


def rendered(peers: ModuleType, *trials: dict[str, Any]) -> str:
    report = {"command": "c", "machine": {}, "settings": {}, "versions": {}, "caveats": {}, "trials": list(trials)}
    return str(peers.tables.render(report))


def test_throughput_shows_long_runs_and_two_cpu_costs_per_row(peers: ModuleType) -> None:
    """Throughput shows long runs, with CPU per row in the requested run and without start-up."""
    text = rendered(
        peers,
        trial("throughput", "a", delay_ms=0, rows=200, rows_per_s=9, cpu_s=1.0, peak_mb=60, first_request_s=0.5),
        trial(
            "throughput",
            "a",
            delay_ms=0,
            rows=2000,
            rows_per_s=500,
            cpu_s=2.8,
            asked=1,
            peak_mb=60,
            first_request_s=0.5,
        ),
        trial("throughput", "a", delay_ms=20, rows=2000, rows_per_s=400, cpu_s=3.0, peak_mb=60, first_request_s=0.5),
    )
    assert ["a", "500", "400", "1.40", "1.00", "60", "0.5", ""] == row(text, "a")


def test_peers_that_fail_hang_or_are_absent_are_rows_that_say_so(peers: ModuleType) -> None:
    """Peers that fail, time out or are absent still get a table row with what was measured and the reason."""
    text = rendered(
        peers,
        trial("throughput", "a", "absent", "needs Python 3.12"),
        trial("limit", "b", "failed", "exit 1: no such thing"),
        trial("faults", "c", "timed out", "still running at 150 s", missing=6, wall_s=150.2, requests=1100, doubled=0),
        trial("faults", "d", missing=0, wall_s=9, requests=1060, doubled=1),
    )
    assert "absent: needs Python 3.12" == row(text, "a")[-1]
    assert ["b", "-", "-", "-", "failed: exit 1: no such thing"] == row(text, "b")
    assert ["c", "6", "150", "1,100", "0", "timed out: still running at 150 s"] == row(text, "c")
    assert "done" == row(text, "d")[-1]


def test_an_absent_peer_has_a_row_in_every_part(peers: ModuleType) -> None:
    """A peer that can't be installed appears as absent in both the throughput and the limit table."""
    report = peers.report([], [], [peers.Absent("x", "no wheel")], OPTIONS)
    assert ["throughput", "limit"] == [trial["part"] for trial in report["trials"]]
    assert 2 == peers.tables.render(report).count("absent: no wheel")


def test_each_kind_of_work_has_a_table_of_its_own(peers: ModuleType) -> None:
    """One run measures free text, forms and columns; each table says what was asked, also of an absent peer."""
    options = argparse.Namespace(**{**vars(OPTIONS), "part": ["throughput"], "work": ["text", "form"]})
    report = peers.report([], [], [peers.Absent("x", "no wheel")], options)
    assert ["throughput", "throughput, form"] == [trial["part"] for trial in report["trials"]]
    shown = peers.tables.render(report)
    assert "## Rows persisted a second\n\n2,000 rows" in shown
    assert "## Rows persisted a second, form\n\nchat answers in JSON, checked against a form.\n" in shown
    assert 2 == shown.count("absent: no wheel")


def test_a_trial_that_breaks_becomes_a_failed_row_and_leaves_no_folder(peers: ModuleType, tmp_path: Path) -> None:
    """An exception in a trial becomes a failed row with its message, and the trial's folder is removed."""
    system = argparse.Namespace(name="x")

    def breaks(folder: Path) -> Any:
        raise OSError(f"no {folder.name[:5]}")

    trial = peers.attempt("limit", system, breaks, tmp_path)
    assert ("x", "failed", "OSError: no limit") == (trial.system, trial.status, trial.note)
    assert [] == list(tmp_path.iterdir())


def test_a_failing_child_is_reported_with_its_last_line(peers: ModuleType, tmp_path: Path) -> None:
    """A child that exits 1 is reported as failed with the exit code and its last line of output."""
    child = peers.trials.Child([sys.executable, "-Sc", "import sys; sys.exit('it broke')"], tmp_path / "log")
    ended = child.finish(lambda: False)
    assert ("failed", "exit 1: it broke") == (ended.how, ended.said)


def test_an_overlong_child_is_ended_with_its_own_children(peers: ModuleType, tmp_path: Path) -> None:
    """Cutting a child off also ends the processes it started."""
    told = tmp_path / "pid"
    command = ["/bin/sh", "-c", f"sleep 600 & echo $! > {told}; wait"]
    child = peers.trials.Child(command, tmp_path / "log")
    assert "cut" == child.finish(lambda: told.exists() and told.read_text().strip() != "").how
    assert _ends(int(told.read_text()))


def _ends(pid: int, within_s: float = 10) -> bool:
    """Whether a process is gone, or dead and not yet collected, in time."""
    until = time.monotonic() + within_s
    status = Path(f"/proc/{pid}/stat")
    while time.monotonic() < until:
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_the_steady_rate_leaves_probes_and_the_last_stragglers_out(peers: ModuleType) -> None:
    """The steady rate ignores a lone first request and late stragglers, and needs enough points."""
    ramp = [(1 + count / 100, float(count)) for count in range(10, 100, 10)]
    assert 100 == pytest.approx(peers.trials.steady_rate([(0, 1), *ramp, (60, 99)], 100))
    assert peers.trials.steady_rate([(0, 1), (1, 50), (2, 100)], 100) is None
