"""The speed watch's arithmetic: ratios over pairs, their interval, and when slower is too slow. Nothing is timed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.places import ROOT


@pytest.fixture
def paired(benchmark_module: Callable[[str], ModuleType]) -> Any:
    return benchmark_module("paired")


@pytest.fixture
def against(benchmark_module: Callable[[str], ModuleType]) -> Any:
    return benchmark_module("against")


def test_a_ratio_is_the_median_of_each_pair_s_before_over_after(paired: Any) -> None:
    """Pairs are compared within themselves: a machine that slows down in the second pair changes nothing."""
    found = paired.ratio([2.0, 40.0, 3.0], [1.0, 20.0, 3.0])
    assert (2.0, 3.0, 3.0) == (found.median, found.before, found.after)
    assert (1.0, 2.0) == (found.low, found.high)


def test_pairs_that_do_not_match_have_no_ratio(paired: Any) -> None:
    """A run that is missing is an error, never a shorter list."""
    with pytest.raises(ValueError, match="shorter"):
        paired.ratio([1.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="no pairs"):
        paired.ratio([], [])


def test_the_same_runs_have_the_same_interval(paired: Any) -> None:
    """The bootstrap is seeded, holds the median, and lies within what was measured."""
    values = [0.94, 0.99, 1.0, 1.01, 1.02, 1.03, 0.98, 1.05, 0.97]
    low, high = paired.bootstrap_interval(values)
    assert (low, high) == paired.bootstrap_interval(values)
    assert min(values) <= low <= 1.0 <= high <= max(values)
    wide = paired.bootstrap_interval(values, level=0.99)
    assert wide[0] <= low
    assert high <= wide[1]


def test_an_interval_narrows_with_more_pairs(paired: Any) -> None:
    """More runs of the same spread say more."""
    few, many = (paired.bootstrap_interval([0.9, 0.95, 1.0, 1.05, 1.1] * times) for times in (1, 20))
    assert many[1] - many[0] < few[1] - few[0]


@pytest.mark.parametrize(
    ("median", "high", "found"),
    [
        (1.0, 1.02, []),
        (0.975, 1.0, []),
        (0.96, 1.01, ["the median ratio is 0.960, below 0.97"]),
        (0.98, 0.99, ["the interval ends at 0.990, below 1"]),
        (0.9, 0.95, ["the median ratio is 0.900, below 0.97", "the interval ends at 0.950, below 1"]),
    ],
)
def test_slower_than_chance_or_than_permitted_is_too_slow(
    paired: Any, median: float, high: float, found: list[str]
) -> None:
    """Either bound alone fails the watch."""
    assert found == paired.shortfalls(paired.Ratio(median, 0.5, high, 1.0, 1.0))


def test_the_bounds_can_be_set(paired: Any) -> None:
    """A release may permit more than a change does."""
    assert [] == paired.shortfalls(paired.Ratio(0.96, 0.5, 0.97, 1.0, 1.0), least=0.95, reach=0.96)


def test_the_order_alternates_within_pairs(paired: Any) -> None:
    """A B, B A: neither side always runs first."""
    assert [("before", "after"), ("after", "before")] * 2 == [paired.order(pair) for pair in (1, 2, 3, 4)]


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def package(root: Path, text: str) -> None:
    (root / "src" / "herogen_async").mkdir(parents=True, exist_ok=True)
    (root / "src" / "herogen_async" / "__init__.py").write_text(text)


@pytest.fixture
def repository(against: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, and an edit since."""
    root = tmp_path / "repository"
    package(root, "AGE = 'old'\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "One")
    package(root, "AGE = 'new'\n")
    monkeypatch.setattr(against, "ROOT", root)
    return root


def test_a_revision_and_the_edited_tree_are_copied_apart(against: Any, repository: Path, tmp_path: Path) -> None:
    """Before is the commit, after the files as they are; git's own state is untouched."""
    before, commit = against.copy_of_revision("HEAD", tmp_path / "before")
    after = against.copy_of_working_tree(tmp_path / "after")
    assert git(repository, "rev-parse", "HEAD") == commit
    assert "AGE = 'old'\n" == (before / "herogen_async" / "__init__.py").read_text()
    assert "AGE = 'new'\n" == (after / "herogen_async" / "__init__.py").read_text()
    assert not against.same_source(before, after)
    assert against.same_source(after, repository / "src")
    assert git(repository, "worktree", "list").count("\n") == 0


def test_an_unknown_revision_is_an_error(against: Any, repository: Path, tmp_path: Path) -> None:
    """Nothing is measured against nothing."""
    with pytest.raises(against.WrongRevisionError, match="nowhere"):
        against.copy_of_revision("nowhere", tmp_path / "before")


@pytest.mark.slow
def test_each_side_runs_from_its_own_copy(against: Any, repository: Path, tmp_path: Path) -> None:
    """An installed package, or one in the folder that it is started in, is never measured in a revision's place."""
    before, _ = against.copy_of_revision("HEAD", tmp_path / "before")
    side = against.source_system("before", before)
    assert sys.executable == side.python
    against.check_origin(side, before)
    with pytest.raises(against.WrongRevisionError, match="Python imports"):
        against.check_origin(side, ROOT)
