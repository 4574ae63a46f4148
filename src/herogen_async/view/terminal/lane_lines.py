"""The models and servers of a run that asks several: a line each, and what limits them in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core.units import count, counted
from herogen_async.generation.report import RunReport
from herogen_async.view.terminal.sanitize import one_line

# What each value of `binding` means, after "Limited by".
BINDS = {
    "requests": "request limit",
    "tokens": "token limit",
    "input_tokens": "input-token limit",
    "output_tokens": "output-token limit",
    "day": "daily limit",
    "budget": "budget (calls in flight may use up the rest)",
    "gate": "pause after errors (or as long as the server asked for)",
    "concurrency": "concurrency (all slots busy)",
    "endpoint": "endpoint (more calls in flight would not help)",
    "paused": "pause by ctl (until resumed)",
    "retries": "rows waiting for a retry",
    "disk": "disk",
    "cpu": "CPU of this process",
    "tail": "last answers",
    "workers": "worker processes (which are starting)",
    # Of one of several models or servers:
    "columns": "other columns (waiting for their answers)",
    "parked": "parked",
}
MOST_LANES = 4  # in a panel: more of them are counted
_GAP = "  "
_LEAST_NAME = 8  # characters of the columns' names, before they cost a figure


def bind_name(what: str) -> str:
    """What limits a run, in two or three words: `request limit`."""
    return BINDS.get(what, what).partition(" (")[0]


def limits_text(limits: Mapping[str, float]) -> str:
    """`3,000 requests/minute, 90,000 tokens/minute`."""
    parts = []
    for name, value in limits.items():
        resource, _, per = name.partition("_per_")
        parts.append(f"{count(round(value))} {resource.replace('_', ' ')}/{per.replace('_', ' ')}")
    return ", ".join(parts)


def lane_lines(report: RunReport, width: int, most: int = MOST_LANES) -> list[str]:
    """`verdict  2 of 16 in flight  98 % of rate limit  request limit`: a line each, of at most `width`.

    Where there is no room its words are left out, then how many slots there are; long names are cut. Of more than
    `most` those are shown that are nearest their limits. Empty where one model at one server is asked.
    """
    chosen = _chosen(report.lanes, most)
    left = len(report.lanes) - len(chosen)
    more = [f"and {counted(left, 'more model')}"] if left else []
    names = [one_line(name) for name in chosen]
    for style in (_wide, _worded, _short, _bare):
        cells = [style(each) for each in chosen.values()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        room = width - sum(widths) - sum(len(_GAP) for each in widths if each)
        if room >= max(map(len, names), default=0) or (style is _bare):
            break
        if style is _short and room >= _LEAST_NAME:
            break
    room = max(room, _LEAST_NAME)
    longest = min(max(map(len, names), default=0), room)
    lines = []
    for name, row, lane in zip(names, cells, chosen.values(), strict=True):
        told = [each.ljust(size) for each, size in zip(row, widths, strict=True) if size]
        if lane["reason"]:
            told = [f"parked: {one_line(lane['reason'])}"]
        lines.append(_cut(_GAP.join([_cut(name, longest).ljust(longest), *told]).rstrip(), width))
    return [*lines, *more]


def lane_text(name: str, lane: Mapping[str, Any]) -> str:
    """`verdict: 2 of 16 in flight, 98 % of rate limit, limited by request limit`: for a log."""
    if lane["reason"]:
        return one_line(f"{name}: parked: {lane['reason']}")
    told = [*_wide(lane)[:2], f"limited by {bind_name(lane['binding'])}" if lane["binding"] else ""]
    return one_line(f"{name}: {', '.join(filter(None, told))}")


def lane_summary(name: str, lane: Mapping[str, Any]) -> str:
    """What was asked of a model by the end: requests, refusals, its limits, and what it waited for most."""
    parts = [counted(lane["requests"], "request")]
    if lane["refused"]:
        parts.append(f"{count(lane['refused'])} refused")
    if lane["permitted_pct"] is not None:
        parts.append(f"{lane['permitted_pct']:.1f} % of rate limit ({limits_text(lane['limits'])})")
    elif lane["limits"]:
        parts.append(f"limits: {limits_text(lane['limits'])}")
    if lane["reason"]:
        parts.append("parked")
    elif share := lane["binding_shares"].get(lane["binding"]):
        parts.append(f"limited by {bind_name(lane['binding'])} {share:.0f} % of the time")
    where = lane["base_url"] or "on this machine"
    return one_line(f"{name}: {lane['model']}, {where}: {', '.join(parts)}.")


def _chosen(lanes: Mapping[str, dict[str, Any]], most: int) -> dict[str, dict[str, Any]]:
    if len(lanes) <= most:
        return dict(lanes)
    near = sorted(lanes, key=lambda name: (not lanes[name]["reason"], -(lanes[name]["permitted_pct"] or 0.0)))
    return {name: each for name, each in lanes.items() if name in near[: most - 1]}


def _wide(lane: Mapping[str, Any]) -> tuple[str, str, str]:
    pct = lane["permitted_pct"]
    return (
        f"{count(lane['in_flight'])} of {count(lane['concurrency'])} in flight",
        "" if pct is None else f"{pct:.0f} % of rate limit",
        bind_name(lane["binding"] or ""),
    )


def _worded(lane: Mapping[str, Any]) -> tuple[str, str, str]:
    flight, pct, binding = _wide(lane)
    return flight.removesuffix(" in flight"), pct, binding


def _short(lane: Mapping[str, Any]) -> tuple[str, str, str]:
    flight, pct, binding = _worded(lane)
    return flight, pct.removesuffix(" of rate limit"), binding


def _bare(lane: Mapping[str, Any]) -> tuple[str, str, str]:
    _, pct, binding = _short(lane)
    return count(lane["in_flight"]), pct, binding


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
