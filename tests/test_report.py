"""Reports: what a folder's journal and events come to."""

from __future__ import annotations

from collections import Counter

from herogen_async.journal import Recovered
from herogen_async.report import MOST_WORDS, folded_report


def test_of_a_servers_many_words_the_most_frequent_are_reported() -> None:
    words = Counter({f"word-{number}": number for number in range(1, 1000)})
    found = Recovered(usage=words, finish_reasons=words)
    report = folded_report({"run": "r"}, found, total=0, sessions={}, live={})
    for told in (report.usage, report.finish_reasons):
        assert dict(words.most_common(MOST_WORDS)) == told
