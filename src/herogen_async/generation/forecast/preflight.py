"""The worst case, before anything is asked: what a crash would cost, and whether the disk has room. Pure."""

from __future__ import annotations

from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan

ROW_BYTES = 420  # of a row's own: names, key, times, usage, checksum
TOKEN_BYTES = 4
UNLIMITED_BYTES = 4000  # of an answer whose length nothing limits
SAMPLED_FOR_ROOM = 16  # tasks, spread over the plan


def crash_line(settings: Settings, most_in_flight: int) -> str:
    """What a kill and a power cut would cost at most."""
    power = {
        "power": "So does a power cut",
        "periodic": "A power cut can also cost the last 256 rows",
        "process": "A power cut can also cost all rows not yet written to disk by the system (--durability process)",
    }[settings.durability]
    crash = f"A crash repeats at most {most_in_flight:,} calls in flight and 4 ms of answers. {power}."
    return f"Safe to stop at any time; the same command continues. {crash}"


def row_bytes(plan: Plan) -> float:
    """About how many bytes the journal's line of one task of `plan` takes, at most."""
    step = max(1, plan.size // SAMPLED_FOR_ROOM)
    tasks = [plan.call(index) for index in range(0, plan.size, step)][:SAMPLED_FOR_ROOM]
    asked = sum(len(task.prompt) + 2 * len(task.sub_prompt) for task in tasks) / len(tasks)
    limit = plan.spec.sampling.max_tokens
    return asked + ROW_BYTES + (UNLIMITED_BYTES if limit is None else TOKEN_BYTES * limit)


def room_line(plan: Plan, rows: int, *, folder: str, free: int) -> str | None:
    """A warning when `rows` more answers may not fit into the `free` bytes of the disk of `folder`."""
    wanted = rows * row_bytes(plan)
    if wanted <= free:
        return None
    return (
        f"{rows:,} answers may take {wanted / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are free on the disk of {folder!r}. "
        "If the disk fills up, the run parks and nothing is lost."
    )
