"""Secrets never leave."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.generation.endpoint.redact import Redactor

KEY = "canary+7f3a9c1e/b2d4=="  # looks like nothing in particular


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=600), st.text(max_size=600), st.integers(1, 4))
def test_a_known_secret_is_hidden_wherever_it_stands(before: str, after: str, times: int) -> None:
    text = before + KEY * times + after
    assert KEY not in Redactor(KEY)(text)
    assert KEY not in Redactor(KEY).excerpt(text)


def test_a_secret_that_begins_another_one_leaves_nothing_of_it() -> None:
    assert "[hidden] [hidden]" == Redactor("abcd", "abcdefgh")("abcdefgh abcd")


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-ab****yz.",
        "Incorrect API key provided: sk-proj-AbCdEf0123456789_-",
        "key=gsk_AbCdEf0123",
        "nvapi-AbCdEf0123",
        "hf_AbCdEf0123456789",
        "Authorization: Bearer eyJhbGciOi.J9.abc",
        "AUTHORIZATION: BEARER QWxhZGRpbg==",
    ],
)
def test_what_looks_like_a_key_is_hidden_though_nobody_gave_it(text: str) -> None:
    hidden = Redactor()(text)
    assert "[hidden]" in hidden
    for part in ("sk-ab", "AbCdEf", "eyJ", "QWx"):
        assert part not in hidden


@pytest.mark.parametrize("secret", [None, "", "abc"])
def test_what_is_too_short_for_a_secret_hides_nothing(secret: str | None) -> None:
    assert "abcabc" == Redactor(secret)("abcabc")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 600))
def test_the_limit_never_cuts_a_secret_in_half(place: int) -> None:
    excerpt = Redactor(KEY).excerpt("x" * place + " " + KEY)
    assert "canary" not in excerpt
    assert len(excerpt) <= 500


def test_an_excerpt_is_one_line() -> None:
    assert "a b c" == Redactor().excerpt(" a\n\tb\r\n  c ")


def test_its_repr_shows_no_secret() -> None:
    assert KEY not in repr(Redactor(KEY))
