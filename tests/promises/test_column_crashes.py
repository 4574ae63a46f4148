"""Runs of several columns on a disk that crashes: each call is asked once, of the answers that count, and none is lost.

The long run of the same is `python benchmarks/crashes.py --kind columns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from herogen_async.generation.engine.open_rows import OpenRows
from herogen_async.generation.journal.read import built_on
from herogen_async.generation.journal.read.replay import Fold
from herogen_async.specs import columns
from herogen_async.specs.plan.open_row import OpenRow, Settled
from herogen_async.specs.plan.row_shape import CallShape
from support.column_crashes import ColumnScenario
from support.crash_harness import Violation
from support.jinja_columns import in_jinja
from support.planted_bugs import Bug, Seeds, from_is_ignored

RANDOM_S = 2.0
SCENARIOS = 1500  # within which each planted bug is found; the rarest shows in one of 150


SEEDS = Seeds(ColumnScenario, "columns", (Violation, LookupError))  # LookupError: a row or text that isn't there


@pytest.mark.slow
def test_p1_p3_p6_p10_crashes_of_rows_of_several_columns_lose_and_double_nothing() -> None:
    """Hundreds of crashes, edits and failures: what is asked is exactly what is lacking, of the answers that count."""
    assert SEEDS.run_for(RANDOM_S) > 200


@pytest.mark.slow
def test_p1_p3_p6_p10_crashes_of_jinja_columns_lose_and_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where prompts are Jinja templates, whose rendering tells what they can do without."""
    in_jinja(monkeypatch)
    assert SEEDS.run_for(RANDOM_S) > 5


def test_the_same_seed_gives_the_same_run_of_columns() -> None:
    """The same seed reproduces the same calls and disk content, so a failure can be replayed."""
    first, second = ColumnScenario(7), ColumnScenario(7)
    assert first.run() == second.run()
    assert first.disk.content() == second.disk.content()


def a_follower_is_asked_twice_after_a_resume(patch: pytest.MonkeyPatch) -> None:
    def ready(self: OpenRow) -> list[int]:
        return [place for place, waits in enumerate(self._waits) if waits == 0]

    patch.setattr(OpenRow, "ready", ready)


def a_stale_follower_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fold, "settle", lambda self, paths: None)


def a_key_forgets_its_ancestor(patch: pytest.MonkeyPatch) -> None:
    whole = columns._fingerprint

    def fingerprint(column: Mapping[str, Any], parents: Mapping[str, str], *more: Any) -> str:
        return whole(column, dict.fromkeys(parents, ""), *more)

    patch.setattr(columns, "_fingerprint", fingerprint)


def a_skipped_call_is_taken_for_an_answer(patch: pytest.MonkeyPatch) -> None:
    whole = OpenRow.restore
    patch.setattr(OpenRow, "restore", lambda self, place, how: whole(self, place, Settled.ANSWERED))


def a_line_names_the_last_of_its_grounds(patch: pytest.MonkeyPatch) -> None:
    whole = OpenRow._inputs

    def inputs(self: OpenRow, shape: CallShape) -> tuple[dict[str, str], tuple[str, ...], list[int], list[int]]:
        values, seals, missing, lacking = whole(self, shape)
        return values, seals[-1:], missing, lacking

    patch.setattr(OpenRow, "_inputs", inputs)


def a_line_of_another_skip_is_no_ground(patch: pytest.MonkeyPatch) -> None:
    whole = built_on.sound_lines

    def sound_lines(row: int, lines: Mapping[int, list[built_on.BuiltLine]], calls: int) -> Any:
        return whole(row, {index: [each for each in of if not each.is_outdated] for index, of in lines.items()}, calls)

    patch.setattr(built_on, "sound_lines", sound_lines)


def an_answer_made_from_the_same_is_asked_for_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenRows, "_reused", lambda self, row, call: None)


BUGS: list[Bug] = [
    a_follower_is_asked_twice_after_a_resume,
    a_stale_follower_counts,
    a_key_forgets_its_ancestor,
    from_is_ignored,
    a_skipped_call_is_taken_for_an_answer,
    a_line_names_the_last_of_its_grounds,
    a_line_of_another_skip_is_no_ground,
    an_answer_made_from_the_same_is_asked_for_again,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_of_columns_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted bug is found, and without it the same crashes do no harm."""
    found = SEEDS.that_finds(bug, monkeypatch, among=SCENARIOS)
    SEEDS.run(found)
