"""A limit has one name, one bucket and one place where a minute becomes a second."""

from __future__ import annotations

from dataclasses import fields

import pytest

from herogen_async.core.limits import DAY_S, LIMITS, MINUTE_S, Limits, per_s


def test_every_limit_has_its_resource_and_its_window() -> None:
    """The table has the record's names, in its order."""
    assert [each.name for each in fields(Limits)] == list(LIMITS)
    assert len(set(LIMITS.values())) == len(LIMITS)


def test_limits_are_units_a_second_of_what_they_count() -> None:
    """Only those that are set."""
    assert {} == Limits().per_s()
    assert {("requests", MINUTE_S): 5.0, ("tokens", DAY_S): 2.0} == Limits(rpm=300, tpd=2 * DAY_S).per_s()
    assert pytest.approx(500 / 60) == per_s("output_tpm", 500)
