"""Secrets never leave."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.generation.endpoint.redact import Redactor

KEY = "canary+7f3a9c1e/b2d4=="  # looks like nothing in particular


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=600), st.text(max_size=600), st.integers(1, 4))
def test_a_known_secret_is_hidden_anywhere(before: str, after: str, times: int) -> None:
    """A known key is hidden wherever and however often it occurs, in full text and in excerpts."""
    text = before + KEY * times + after
    assert KEY not in Redactor(KEY)(text)
    assert KEY not in Redactor(KEY).excerpt(text)


def test_a_secret_that_prefixes_another_leaves_no_trace() -> None:
    """When one secret is a prefix of another, the longer one is hidden without leaving its tail."""
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
def test_text_that_looks_like_a_key_is_hidden(text: str) -> None:
    """Common key formats, bearer tokens and masked keys are hidden even if never registered."""
    hidden = Redactor()(text)
    assert "[hidden]" in hidden
    for part in ("sk-ab", "AbCdEf", "eyJ", "QWx"):
        assert part not in hidden


@pytest.mark.parametrize("secret", [None, "", "abc"])
def test_a_secret_too_short_hides_nothing(secret: str | None) -> None:
    """An empty or three-letter secret is ignored, because hiding it would mangle ordinary text."""
    assert "abcabc" == Redactor(secret)("abcabc")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 600))
def test_an_excerpt_never_cuts_a_secret_in_half(place: int) -> None:
    """Secrets are hidden before the cut at 500 characters, so no part of one can survive it."""
    excerpt = Redactor(KEY).excerpt("x" * place + " " + KEY)
    assert "canary" not in excerpt
    assert len(excerpt) <= 500


def test_an_excerpt_is_one_line() -> None:
    """Whitespace and line breaks in an excerpt collapse to single spaces."""
    assert "a b c" == Redactor().excerpt(" a\n\tb\r\n  c ")


def test_a_redactors_repr_shows_no_secret() -> None:
    """The repr of a redactor doesn't contain the secret that it hides."""
    assert KEY not in repr(Redactor(KEY))
