"""S1 to S6 under random faults in virtual time: partitions, zombies, doubled and late frames, deaths of both sides.

A longer run of the same is `python benchmarks/cluster_faults.py`.
"""

from __future__ import annotations

import pytest

from herogen_async.core.codec import loads
from herogen_async.generation.cluster.desk import Desk
from herogen_async.generation.cluster.door import Door, Passed
from herogen_async.generation.cluster.line_intake import LineIntake
from herogen_async.generation.cluster.members import Member
from herogen_async.generation.cluster.till import Till
from herogen_async.generation.limits import blocks
from support.cluster_rig import ClusterScenario
from support.planted_bugs import Bug, Seeds

RANDOM_S = 1.5  # of CPU time
SCENARIOS = 120  # within which each planted bug is found
SEEDS = Seeds(ClusterScenario, "cluster", command="cluster_faults.py")


@pytest.mark.slow
def test_s1_to_s6_random_faults_break_no_promise() -> None:
    """Dozens of random faults lose, double and overspend nothing, and hang no run."""
    assert SEEDS.run_for(RANDOM_S) > 10


def no_double_check(patch: pytest.MonkeyPatch) -> None:
    """A call gets as many lines as are brought."""

    def rows(self: Door, lines: list[bytes]) -> Passed:
        indices = [loads(line)["index"] for line in lines]
        for index in indices:
            self.settled.add(index)
        return Passed(lines, indices)

    patch.setattr(Door, "rows", rows)


def lease_by_the_placers_word(patch: pytest.MonkeyPatch) -> None:
    """Whom the placer has not called dead is taken to be alive."""
    patch.setattr(Desk, "lapsed", lambda self, now: [])


def a_block_granted_again_after_a_death(patch: pytest.MonkeyPatch) -> None:
    """What a dead worker held goes back to the budget."""
    patch.setattr(Till, "lose", Till.close)


def told_before_written(patch: pytest.MonkeyPatch) -> None:
    """What the journal was given counts as kept."""
    taken = LineIntake.rows

    def rows(self: LineIntake, worker: int, lines: list[bytes], start: int | None) -> int:
        settled = taken(self, worker, lines, start)
        if start is not None:
            self.kept(worker).rows = start + len(lines)
        return settled

    patch.setattr(LineIntake, "rows", rows)


def frames_are_not_numbered(patch: pytest.MonkeyPatch) -> None:
    """A frame that comes twice counts twice."""
    patch.setattr(Member, "frame", property(lambda self: -1, lambda self, number: None), raising=False)


def blocks_never_lapse(patch: pytest.MonkeyPatch) -> None:
    """Who hears nothing from home goes on."""
    patch.setattr(blocks, "VALID_S", 1e9)


def answers_built_on_anything(patch: pytest.MonkeyPatch) -> None:
    """A line is let in whatever it was made from."""

    class Everything(set[str]):
        def issuperset(self, others: object) -> bool:
            return True

    patch.setattr(Door, "_counting", lambda self, row: Everything())


BUGS: list[Bug] = [
    no_double_check,
    lease_by_the_placers_word,
    a_block_granted_again_after_a_death,
    told_before_written,
    frames_are_not_numbered,
    blocks_never_lapse,
    answers_built_on_anything,
]


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some scenario breaks a promise with each of them, and breaks none without."""
    seed = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    assert SEEDS.run(seed) >= 0
