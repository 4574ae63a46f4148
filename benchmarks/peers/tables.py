"""Trials as Markdown tables: one row a system, also for one that failed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

TITLES = {
    "throughput": "Rows persisted a second",
    "limit": "A rate limit, enforced by the second",
    "faults": "Faults",
}
NOTHING = "-"


def render(result: dict[str, Any]) -> str:
    """All tables of a result, and what a reader must know of them."""
    blocks = []
    for part in dict.fromkeys(trial["part"] for trial in result["trials"]):
        kind, comma, work = part.partition(", ")
        trials = [trial for trial in result["trials"] if trial["part"] == part]
        title = f"{TITLES[kind]}{comma}{work}"
        blocks.append(f"## {title}\n\n{result['settings'].get(part, '')}\n\n{_TABLES[kind](trials)}")
    blocks.append("machine: " + ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    lines = []
    for name, found in result["versions"].items():
        versions = ", ".join(f"{package} {version}" for package, version in found.items())
        lines.append(f"- {name} ({versions}): {result['caveats'].get(name, '')}")
    lines += [f"- {caveat}" for caveat in result["caveats"].get("", [])]
    blocks += ["\n".join(lines), f"reproduce: {result['command']}"]
    return "\n\n".join(blocks)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|---" * len(cells) + "|"]


def _number(value: float | None, spec: str) -> str:
    return NOTHING if value is None else format(value, spec)


def _said(trial: dict[str, Any]) -> str:
    note = trial["note"]
    return note if trial["status"] == "ok" else f"{trial['status']}: {note}" if note else str(trial["status"])


def _median(trials: Sequence[dict[str, Any]], figure: str) -> float | None:
    found = [trial["figures"][figure] for trial in trials if figure in trial["figures"]]
    return statistics.median(found) if found else None


def _by_system(trials: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    systems: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        systems.setdefault(trial["system"], []).append(trial)
    return systems


def _throughput(trials: Sequence[dict[str, Any]]) -> str:
    """Rates are of the long runs; CPU a row is of the run that has the asked number of rows, and of the difference."""
    delays = sorted({trial["figures"]["delay_ms"] for trial in trials if "delay_ms" in trial["figures"]})
    rates = [f"{delay:g} ms server" for delay in delays]
    titles = ["CPU s / 1k rows", "the same without start-up", "peak MB", "first request s", "remarks"]
    lines = _head("system", *rates, *titles)
    for name, found in _by_system(trials).items():
        sizes = sorted({trial["figures"]["rows"] for trial in found if trial["figures"]})
        longest = [trial for trial in found if trial["figures"] and trial["figures"]["rows"] == sizes[-1]]
        cells = []
        for delay in delays:
            same = [trial for trial in longest if trial["figures"]["delay_ms"] == delay]
            cells.append(_number(_median(same, "rows_per_s"), ",.0f"))
        asked = [trial for trial in found if trial["figures"].get("asked")]
        remarks = sorted({_said(trial) for trial in found} - {""})
        lines.append(
            _row(
                name,
                *cells,
                _number(_cpu_per_1k(asked), ".2f"),
                _number(_marginal_cpu_per_1k(found), ".2f"),
                _number(_median(asked, "peak_mb"), ".0f"),
                _number(_median(found, "first_request_s"), ".1f"),
                "; ".join(remarks),
            )
        )
    return "\n".join(lines)


def _cpu_per_1k(trials: Sequence[dict[str, Any]]) -> float | None:
    found = [1000 * trial["figures"]["cpu_s"] / trial["figures"]["rows"] for trial in trials]
    return statistics.median(found) if found else None


def _marginal_cpu_per_1k(trials: Sequence[dict[str, Any]]) -> float | None:
    """CPU of the long run minus that of the short one, at the server without delay; None without both."""
    measured = [trial for trial in trials if trial["status"] == "ok" and trial["figures"].get("delay_ms") == 0]
    sizes = sorted({trial["figures"]["rows"] for trial in measured})
    if len(sizes) < 2:
        return None
    cpu_s = [_median([t for t in measured if t["figures"]["rows"] == size], "cpu_s") or 0.0 for size in sizes]
    return 1000 * (cpu_s[-1] - cpu_s[0]) / (sizes[-1] - sizes[0])


def _limit(trials: Sequence[dict[str, Any]]) -> str:
    lines = _head("system", "% of the permitted rate", "429s provoked", "rows on disk", "remarks")
    for trial in trials:
        figures = trial["figures"]
        cells = [_number(figures.get("permitted_pct"), ".1f"), _number(figures.get("refused"), ",.0f")]
        lines.append(_row(trial["system"], *cells, _number(figures.get("persisted"), ",.0f"), _said(trial)))
    return "\n".join(lines)


def _faults(trials: Sequence[dict[str, Any]]) -> str:
    lines = _head("system", "rows missing", "seconds", "requests", "prompts answered twice", "what happened")
    for trial in trials:
        figures = trial["figures"]
        specs = {"missing": ",.0f", "wall_s": ".0f", "requests": ",.0f", "doubled": ",.0f"}
        cells = [_number(figures.get(name), spec) for name, spec in specs.items()]
        lines.append(_row(trial["system"], *cells, _said(trial) or "done"))
    return "\n".join(lines)


_TABLES = {"throughput": _throughput, "limit": _limit, "faults": _faults}
