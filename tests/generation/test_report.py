"""Reports: what a folder's journal and events come to."""

from __future__ import annotations

from collections import Counter

import pytest

from herogen_async.generation.journal import Recovered
from herogen_async.generation.report import MOST_WORDS_SHOWN, folded_report


def test_of_a_servers_many_words_the_most_frequent_are_reported() -> None:
    words = Counter({f"word-{number}": number for number in range(1, 1000)})
    found = Recovered(usage=words, finish_reasons=words)
    report = folded_report({"run": "r"}, found, total=0, sessions={}, live={})
    for told in (report.usage, report.finish_reasons):
        assert dict(words.most_common(MOST_WORDS_SHOWN)) == told


@pytest.mark.parametrize("state", ["done", "failed_rows"])
def test_a_run_that_was_done_and_has_more_to_ask_now_is_stopped(state: str) -> None:
    """After `recover`, or an extension that was agreed to and not yet asked for."""
    report = folded_report({"run": "r"}, Recovered(), total=1, sessions={"state": state}, live={})
    assert ("stopped", 1) == (report.state, report.pending)
