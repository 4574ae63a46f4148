"""Durable bytes that change on their own are named, wherever they are, and cost no other line.

The long run of the same is `python benchmarks/crashes.py --kind rot`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from herogen_async.core import codec
from herogen_async.generation.journal.read.scan import Known
from herogen_async.generation.journal.repair import tail_repair
from herogen_async.generation.journal.repair.tail_repair import TornTail
from support.bit_rot import RottenScenario
from support.crash_harness import Violation
from support.planted_bugs import Bug, Seeds

RANDOM_S = 1.0
SCENARIOS = 200


SEEDS = Seeds(RottenScenario, "rot", (Violation, KeyError))  # KeyError: what was said to be kept is not there


@pytest.mark.slow
def test_p6_rot_in_synced_data_is_named_and_costs_no_other_line() -> None:
    """A bit, some bytes or a page change after crashes: readers and the next start name it, and keep the rest."""
    SEEDS.run_for(RANDOM_S)


def a_reader_passes_over_damage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "excuses", lambda self, damage: True)


def a_reader_takes_it_for_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "is_the_end", lambda self, damage: True)


def a_start_cuts_what_the_mark_vouches_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tail_repair, "_vouched", lambda *_: 0)


def a_start_cuts_and_keeps_nothing_aside(patch: pytest.MonkeyPatch) -> None:
    def cut(self: tail_repair._Tail, good: int, *_: object) -> TornTail:
        self._disk.cut(self._file, good)
        return TornTail(self._path, self.size - good, Path("nowhere"), 0)

    patch.setattr(tail_repair._Tail, "_cut", cut)


def no_checksum(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(codec, "is_sealed", lambda line: line[:1] == b"{" and line.rstrip(b"\n")[-1:] == b"}")


BUGS: list[Bug] = [
    a_reader_passes_over_damage,
    a_reader_takes_it_for_the_end,
    a_start_cuts_what_the_mark_vouches_for,
    a_start_cuts_and_keeps_nothing_aside,
    no_checksum,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_about_rot_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted bug is found, and without it the same rot is named."""
    found = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    SEEDS.run(found)
