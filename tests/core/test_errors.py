"""Errors: a sentence, and below it in a traceback what to mend."""

from __future__ import annotations

import traceback

from herogen_async.core.errors import InputError, SpecError


def test_a_traceback_shows_what_to_mend_and_the_sentence_stays_alone() -> None:
    """`str(error)` is what commands print; who calls from Python reads the traceback."""
    error = SpecError("no prompt", file="a.yaml", line=3, fix="add `prompt:`")
    assert "a.yaml:3: no prompt" == str(error) == error.message
    shown = "".join(traceback.format_exception(error)).splitlines()
    assert ["herogen_async.core.errors.SpecError: a.yaml:3: no prompt", "fix: add `prompt:`"] == shown
    error.fix = "another"
    assert "fix: another" == traceback.format_exception(error)[-1].strip()


def test_an_error_without_a_fix_shows_none() -> None:
    """There is nothing to mend."""
    assert 1 == len(traceback.format_exception(InputError("no")))
