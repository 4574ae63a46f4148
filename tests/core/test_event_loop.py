"""Work for code that is not async: where no loop runs, and where one does."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from herogen_async.core.event_loop import run_here


async def _thread() -> threading.Thread:
    await asyncio.sleep(0)
    return threading.current_thread()


def test_work_runs_here_where_no_loop_does() -> None:
    """A script's call makes no thread."""
    assert threading.current_thread() is run_here(_thread())


@pytest.mark.anyio
async def test_work_runs_in_a_thread_where_a_loop_runs_already() -> None:
    """A notebook's cell is inside its kernel's loop."""
    assert threading.current_thread() is not run_here(_thread())


@pytest.mark.anyio
async def test_what_work_raises_is_raised_here() -> None:
    """Also from the thread."""

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_here(fails())


@pytest.mark.anyio
async def test_a_notebooks_stop_button_cancels_the_work_and_waits_for_its_end() -> None:
    """KeyboardInterrupt comes in the cell's thread; what works in the other is told, and cleans up."""
    ended: list[str] = []

    async def waits() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_here(waits())
    finally:
        signal.signal(signal.SIGINT, before)
    assert ["cleaned up"] == ended
