"""The worst case, before anything is asked: what a crash would cost, and whether the disk has room. Pure."""

from __future__ import annotations

from herogen_async.generation.cluster.messages import HELD_LINES
from herogen_async.generation.settings import Settings
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import Plan

ROW_BYTES = 420  # of a row's own: names, key, times, usage, checksum
TOKEN_BYTES = 4
FROM_BYTES = 11  # of `from`, for each line that another was made from
UNLIMITED_BYTES = 4000  # of an answer whose length nothing limits
SAMPLED_FOR_ROOM = 16  # tasks, spread over the plan


def crash_line(settings: Settings, most_in_flight: int, *, calls_a_row: int = 1) -> str:
    """What a kill and a power cut would cost at most."""
    rows = "rows" if calls_a_row == 1 else "answers"
    power = {
        "power": "So does a power cut",
        "periodic": f"A power cut can also cost the last 256 {rows}",
        "process": f"A power cut can also cost all {rows} not yet written to disk by the system (--durability process)",
    }[settings.durability]
    held = "4 ms of answers"
    if settings.processes > 1:
        held = f"{HELD_LINES} answers of each process"
    crash = f"A crash repeats at most {most_in_flight:,} calls in flight and {held}. {power}."
    return f"Safe to stop at any time; the same command continues. {crash}"


def row_bytes(plan: Plan) -> float:
    """About how many bytes the journal's line of one call of `plan` takes, at most."""
    if plan.calls_a_row > 1:
        sizes = [_column_bytes(plan, column) * column.samples for column in plan.columns]
        return sum(sizes) / plan.calls_a_row
    step = max(1, plan.size // SAMPLED_FOR_ROOM)
    tasks = [plan.call(index) for index in range(0, plan.size, step)][:SAMPLED_FOR_ROOM]
    asked = sum(len(task.prompt) + 2 * len(task.sub_prompt) for task in tasks) / len(tasks)
    return asked + ROW_BYTES + _answer_bytes(plan.columns[0])


def _column_bytes(plan: Plan, column: AskedColumn) -> float:
    """Of a line of `column`: the prompt that it holds has earlier answers in it, and their checksums stand beside."""
    step = max(1, plan.rows // SAMPLED_FOR_ROOM)
    calls = [
        plan.call(row * plan.calls_a_row + column.first_call) for row in range(0, plan.rows, step)[:SAMPLED_FOR_ROOM]
    ]
    asked = sum(len(call.prompt) + 2 * len(call.sub_prompt) for call in calls) / len(calls)
    held = [call.column for calls in plan.shape.longest_answers(column).values() for call in calls]
    return asked + ROW_BYTES + _answer_bytes(column) + sum(_answer_bytes(each) + FROM_BYTES for each in held)


def _answer_bytes(column: AskedColumn) -> int:
    limit = column.sampling.max_completion_tokens or column.sampling.max_tokens
    return UNLIMITED_BYTES if limit is None else TOKEN_BYTES * limit


def room_line(plan: Plan, rows: int, *, folder: str, free: int) -> str | None:
    """A warning when `rows` more answers may not fit into the `free` bytes of the disk of `folder`."""
    wanted = rows * row_bytes(plan)
    if wanted <= free:
        return None
    return (
        f"{rows:,} answers may take {wanted / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are free on the disk of {folder!r}. "
        "If the disk fills up, the run parks and nothing is lost."
    )
