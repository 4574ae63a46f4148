"""Which answers repeat an earlier one, in memory that a million rows can afford."""

from __future__ import annotations

import errno
import random
import tempfile
import tracemalloc
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import DiskError
from herogen_async.core.shingles import words_of
from herogen_async.data.quality import same_texts, similar
from herogen_async.data.quality.same_texts import SameTexts
from herogen_async.data.quality.similar import EarlierAnswer, Similar

WORDS = [f"word{number}" for number in range(2000)]


def text(drawn: random.Random) -> str:
    return " ".join(drawn.choices(WORDS, k=40))


def earlier(among: Similar, number: int, said: str) -> EarlierAnswer | None:
    return among.earlier(number, "prompt", said, words_of(said), stays=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab", max_size=4), max_size=60), st.integers(1, 3))
def test_the_table_says_what_a_dictionary_says(texts: list[str], slots: int) -> None:
    """The number under which a text came first, however often the table has grown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(same_texts, "FEW_SLOTS", slots)
        table, plain = SameTexts(), dict[str, int]()
        for number, each in enumerate(texts):
            assert plain.get(each) == table.earlier(each)
            if each not in plain:
                plain[each] = number
                table.add(number, each)


def test_texts_whose_hashes_begin_alike_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the hash is compared, not the half that says where it is looked for."""
    monkeypatch.setattr(same_texts, "_hash", lambda text: (7, len(text)))
    table = SameTexts()
    table.add(0, "a")
    table.add(1, "bb")
    assert [0, 1, None] == [table.earlier(each) for each in ("x", "xx", "xxx")]


def test_a_row_that_stays_takes_two_hundred_bytes_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once sketches lie in the temporary file, and a third more where a table has just grown."""
    monkeypatch.setattr(similar, "IN_MEMORY", 1)
    drawn, among = random.Random(1), Similar()
    texts = [text(drawn) for _ in range(5000)]
    tracemalloc.start()
    for number, each in enumerate(texts):
        assert earlier(among, number, each) is None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5000 * 270


def test_answers_are_compared_the_same_from_memory_and_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before sketches go to the temporary file, while they do, and behind."""
    drawn = random.Random(2)
    texts = [text(drawn) for _ in range(40)]
    texts += [each.replace("word1", "other", 1) for each in texts] + texts[:5]
    said = []
    for held in (1 << 20, 5000, 1):
        monkeypatch.setattr(similar, "IN_MEMORY", held)
        among = Similar()
        said.append(([earlier(among, number, each) for number, each in enumerate(texts)], among.nearest()))
    assert said[0] == said[1] == said[2]
    assert any(each is not None and not each.same for each in said[0][0])
    assert all(each is not None and each.same for each in said[0][0][-5:])


def test_a_full_temporary_folder_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sketches have no room: the error says what to free, and how to choose another folder."""

    class Full(BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda _: Full())
    with pytest.raises(DiskError, match="near-duplicates can't be written: No space left") as told:
        earlier(Similar(), 0, text(random.Random(3)))
    assert "set TMPDIR" in (told.value.fix or "")
