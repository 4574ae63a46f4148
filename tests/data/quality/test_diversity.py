"""How varied the answers of a data set are."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.data.quality.diversity import DistinctWords, Diversity
from support.quality_examples import of, text

WORDS = [f"word{number}" for number in range(3000)]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=12), max_size=12))
def test_of_few_words_the_shares_are_exact(answers: list[list[str]]) -> None:
    """Distinct words and pairs by all of them, to four digits; pairs don't cross answers."""
    distinct = DistinctWords()
    for words in answers:
        distinct.add(words)
    single = [word for words in answers for word in words]
    double = [pair for words in answers for pair in pairwise(words)]
    exact = [len({*each}) / len(each) if each else None for each in ([*single], [*map("".join, double)])]
    assert exact == pytest.approx(list(distinct.shares()), abs=1e-4)


def test_of_many_words_the_shares_are_within_one_percent() -> None:
    """Half a million pairs, most of them distinct."""
    drawn = random.Random(3)
    answers = [drawn.choices(WORDS, k=250) for _ in range(2000)]
    distinct = DistinctWords()
    for words in answers:
        distinct.add(words)
    pairs = [pair for words in answers for pair in pairwise(words)]
    one, two = distinct.shares()
    assert one == pytest.approx(3000 / 500_000, rel=0.01)
    assert two == pytest.approx(len(set(pairs)) / len(pairs), rel=0.01)


def test_the_report_tells_the_nearest_likeness_and_distinct_words() -> None:
    """In quality.json and as sentences; a data set without words has neither."""
    quality = of(*(text(number) for number in range(12)), text(3)[:-20] + " and so on")
    figures = json.loads(json.dumps(quality.as_dict()))["diversity"]
    assert 0 < figures["distinct_1"] < figures["distinct_2"] <= 1
    assert 0 <= figures["nearest"]["p50"] <= figures["nearest"]["p95"] <= figures["nearest"]["most"] < 0.7
    said = quality.diversity.sentences()
    assert said[0].startswith("Distinct: ")
    assert "at most 0." in said[1]
    assert [] == Diversity(None, None, ()).sentences()
    assert {"distinct_1": None, "distinct_2": None, "nearest": None} == of("").diversity.as_dict()
