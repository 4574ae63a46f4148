"""Rot in a run of several columns: it is named, and costs what was made from it, and nothing else.

The long run of the same is `python benchmarks/crashes.py --kind column-rot`.
"""

from __future__ import annotations

import pytest

from herogen_async.generation.journal.read.replay import Fold
from herogen_async.generation.journal.read.scan import Known
from support.column_rot import RottenColumns
from support.crash_harness import Violation
from support.planted_bugs import Bug, Seeds, from_is_ignored

RANDOM_S = 1.5
SCENARIOS = 600


SEEDS = Seeds(RottenColumns, "column-rot", (Violation, LookupError))


@pytest.mark.slow
def test_p6_rot_in_a_run_of_columns_costs_what_was_made_from_it_and_nothing_else() -> None:
    """Bytes change after crashes and edits: readers name it, and once accepted, exactly that is asked again."""
    SEEDS.run_for(RANDOM_S)


def a_follower_counts_without_its_parent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fold, "settle", lambda self, paths: None)


def a_reader_passes_over_damage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "excuses", lambda self, damage: True)


BUGS: list[Bug] = [a_follower_counts_without_its_parent, from_is_ignored, a_reader_passes_over_damage]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_about_rot_in_columns_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted bug is found, and without it the same rot is named."""
    found = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    SEEDS.run(found)
