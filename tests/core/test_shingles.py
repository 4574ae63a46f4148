"""How alike texts are: words, the estimate of their likeness, and the index of earlier ones."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
import rensa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from herogen_async.core import shingles
from herogen_async.core.shingles import NearText, ShingleIndex, bands_for, likeness, normal, shingles_of, words_of

WORDS = [f"word{number}" for number in range(400)]


def text_of(seed: int, words: int = 60) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


@given(st.text("ab1_'-. \n", max_size=30))
def test_ascii_words_are_the_same_beside_other_letters(text: str) -> None:
    """The fast path for ASCII text finds the same words as the general one."""
    assert [*words_of(text), "é"] == words_of(f"{text} é")


def test_han_and_kana_count_a_character_a_word() -> None:
    """Each Chinese character or Japanese kana is a word, while Latin letters form whole words."""
    assert ["她", "是", "hero", "ひ"] == words_of(normal("她是 HERO ひ"))


def test_marks_belong_to_their_letters() -> None:
    """Vowels of Devanagari and Tamil, points of Hebrew and Arabic: a word with them is one word."""
    text = "हिन्दी में कहानी, தமிழ் மொழி! שָׁלוֹם الْعَرَبِيَّةُ été"
    assert ["हिन्दी", "में", "कहानी", "தமிழ்", "மொழி", "שָׁלוֹם", "الْعَرَبِيَّةُ", "été"] == words_of(text)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 200), st.floats(0, 1))
def test_the_estimate_is_near_the_exact_jaccard_similarity(seed: int, words: int, share: float) -> None:
    """Within five standard errors of 64 permutations (taken for 0.03 at least), for any two texts."""
    one = text_of(seed, words)
    kept = int(share * words)
    other = one[:kept] + text_of(seed + 1, words - kept)
    first, second = set(shingles_of(one)), set(shingles_of(other))
    exact = len(first & second) / len(first | second)
    index = ShingleIndex(0.5, BytesIO())
    estimate = likeness(index.sketch(one), index.sketch(other))
    assert abs(estimate - exact) <= 5 * max((exact * (1 - exact) / 64) ** 0.5, 0.03)


@pytest.mark.parametrize("threshold", [0.01, 0.2, 0.34, 0.5, 0.7, 0.9, 0.99])
def test_a_pair_at_the_threshold_is_a_candidate(threshold: float) -> None:
    """In at least 98 of 100 cases, whatever the threshold; at 0.7 in 16 bands."""
    bands = bands_for(threshold)
    assert bands == 64 or 1 - (1 - threshold ** (64 // bands)) ** bands >= 0.98
    assert 16 == bands_for(0.7)


def test_the_most_similar_text_is_found() -> None:
    """Of two near ones the nearer, by its number; none where all are far."""
    index = ShingleIndex(0.5, BytesIO())
    text = text_of(1)
    for number, each in ((3, text[:50] + text_of(2, 10)), (5, text[:57] + text_of(3, 3)), (7, text_of(4))):
        index.add(number, index.sketch(each))
    near = index.nearest(index.sketch(text))
    assert near is not None
    assert 5 == near.number
    assert near.likeness > 0.8
    assert NearText(7, 1.0) == index.nearest(index.sketch(text_of(4)))
    assert index.nearest(index.sketch(text_of(5))) is None


def test_beyond_the_most_the_oldest_text_goes() -> None:
    """The index holds as many as it may, and finds the newer ones."""
    index = ShingleIndex(0.7, BytesIO(), most=3)
    sketches = [index.sketch(text_of(seed)) for seed in range(5)]
    for number, sketch in enumerate(sketches):
        index.add(number, sketch)
    assert 3 == len(index)
    assert [None, None, 2, 3, 4] == [near and near.number for near in map(index.nearest, sketches)]
    assert sketches[2:] == list(index.sketches())
    assert sketches[2::2] == list(index.sketches(every=2))


class PlainIndex:
    """What `ShingleIndex` says, by rensa's own sketches and index."""

    def __init__(self, threshold: float, most: int | None) -> None:
        self._threshold, self._most = threshold, most
        bands = bands_for(threshold)
        self._bands = rensa.RMinHashLSH(threshold=threshold, num_perm=shingles.PERMUTATIONS, num_bands=bands)
        self._sketches: dict[int, rensa.RMinHash] = {}

    def sketch(self, words: list[str]) -> rensa.RMinHash:
        sketch = rensa.RMinHash(num_perm=shingles.PERMUTATIONS, seed=1)
        sketch.update(shingles_of(words))
        return sketch

    def nearest(self, sketch: rensa.RMinHash) -> NearText | None:
        found = [NearText(each, self._sketches[each].jaccard(sketch)) for each in self._bands.query(sketch)]
        near = [each for each in found if each.likeness >= self._threshold]
        return max(near, key=lambda each: (each.likeness, -each.number), default=None)

    def add(self, number: int, sketch: rensa.RMinHash) -> None:
        self._bands.insert(number, sketch)
        self._sketches[number] = sketch
        if self._most is not None and len(self._sketches) > self._most:
            oldest = next(iter(self._sketches))
            self._bands.remove(oldest)
            del self._sketches[oldest]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from([0.01, 0.3, 0.5, 0.7, 0.8, 0.95, 1.0]),
    st.sampled_from([None, 1, 3, 40]),
    st.integers(1, 8),
)
@example(1, 0.7, None, 1)
@example(1, 0.3, 3, 8)
def test_the_index_says_what_rensas_own_says(seed: int, threshold: float, most: int | None, buckets: int) -> None:
    """For texts and numbers in any order, held or not, from few buckets on, with or without a bound."""
    drawn = random.Random(seed)
    began = [drawn.choices(WORDS[:60], k=drawn.randrange(3, 40)) for _ in range(8)]
    numbers = drawn.sample(range(1000), 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "FEW_BUCKETS", buckets)
        index, plain = ShingleIndex(threshold, BytesIO(), most), PlainIndex(threshold, most)
        for place, number in enumerate(numbers):
            words = list(drawn.choice(began))
            for _ in range(drawn.randrange(6)):
                words[drawn.randrange(len(words))] = drawn.choice(WORDS[:60])
            sketch, known = index.sketch(words), plain.sketch(words)
            near = index.nearest(sketch)
            assert plain.nearest(known) == near
            if near is None or place % 7 == 0:
                index.add(number, sketch)
                plain.add(number, known)
    held = list(index.sketches())
    assert len(index) == len(held)
    assert [list(memoryview(each).cast("I")) for each in held] == [each.digest() for each in plain._sketches.values()]
