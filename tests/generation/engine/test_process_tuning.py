"""What a run changes in its process is put back."""

from __future__ import annotations

import gc
import os

import pytest

from herogen_async.generation.engine import tuned_for_throughput


def test_tuning_applies_inside_and_is_undone_outside() -> None:
    """The garbage collector's threshold is raised inside the block and restored after it."""
    before = (gc.get_threshold(), gc.get_freeze_count())
    with tuned_for_throughput():
        assert gc.get_threshold()[0] > before[0][0]
    assert before == (gc.get_threshold(), gc.get_freeze_count())


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such scheduling policy")
def test_thread_scheduling_is_restored_after_an_error() -> None:
    """The thread runs under SCHED_BATCH inside the block, and its policy is restored after an error."""
    before = os.sched_getscheduler(0)
    inside = []

    def failing() -> None:
        with tuned_for_throughput():
            inside.append(os.sched_getscheduler(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert [os.SCHED_BATCH] == inside
    assert before == os.sched_getscheduler(0)
