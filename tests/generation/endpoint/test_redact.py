"""Secrets never leave."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote

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


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "quoted for a URL": lambda key: quote(key, safe=""),
    "quoted in small letters": lambda key: quote(key, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "all quoted but letters and digits": lambda key: re.sub(r"\W|_", lambda each: f"%{ord(each[0]):02X}", key),
    "all escaped in JSON but letters and digits": lambda key: re.sub(
        r"\W|_", lambda each: f"\\u{ord(each[0]):04x}", key
    ),
    "slashes escaped": lambda key: key.replace("/", "\\/"),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 without padding": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "base64url": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 of a login": lambda key: base64.b64encode(f":{key}".encode()).decode(),
    "base64url of a login": lambda key: base64.urlsafe_b64encode(f"me:{key}\n".encode()).decode(),
}


@pytest.mark.parametrize("key", [KEY, "sk-proj-Ab_C0123456789xyz-AbC0123456789", "zq7Canary>>>Wm??49x8y7w6v5"])
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_loses_the_key_in_every_form_and_nothing_else(form: str, key: str) -> None:
    """Texts and names at any depth lose the key, whatever form it has; what stands beside it stays."""
    echo = FORMS[form](key)
    said = {
        "text": f"before {echo} after",
        "usage": {echo: 1},
        "more": [[{"a": echo}], 7, None],
        "key": "sk-kept-1234567",
    }
    body = json.dumps(said).encode()
    hidden = Redactor(key).of_answer(body, json.loads(body))
    assert hidden["more"][1:] == [7, None]
    assert hidden["key"] == "sk-kept-1234567"
    assert list(hidden["usage"].values()) == [1]
    assert hidden["text"].startswith("before ")
    assert hidden["text"].endswith(" after")
    for text in (hidden["text"], *hidden["usage"], hidden["more"][0][0]["a"]):
        assert "[hidden]" in text
        assert echo not in text
    assert echo not in Redactor(key)(f"x{echo}")


def test_json_that_escapes_all_punctuation_hides_nothing_from_view() -> None:
    """A body that writes `+`, `/` and `=` as escapes holds the key all the same."""
    body = json.dumps({"text": KEY}).replace("+", "\\u002B").replace("/", "\\/").replace("=", "\\u003d").encode()
    assert {"text": "[hidden]"} == Redactor(KEY).of_answer(body, json.loads(body))


@pytest.mark.parametrize("key", ["EMPTY", "ollama", "lm-studio", "sk-no-key-required", "token-abc123", "NONE"])
def test_a_word_given_as_a_key_changes_no_answer(key: str) -> None:
    """What servers without keys are given may be a word of the answer, and is not hidden in it."""
    body = json.dumps({"text": f"Set {key} as the key."}).encode()
    assert json.loads(body) == Redactor(key).of_answer(body, json.loads(body))
    assert "[hidden]" in Redactor(key)(f"wrong key {key}")  # an error's words are no data


def test_an_answer_without_the_key_is_handed_on_untouched() -> None:
    """What holds no key is the very object that was parsed: nothing is walked or copied for it."""
    said = {"choices": [{"text": "canary bird, 7f3a9c1"}]}
    assert Redactor(KEY).of_answer(json.dumps(said).encode(), said) is said


def test_a_long_run_of_letters_beside_the_key_takes_no_time() -> None:
    """A megabyte of base64 around a key is searched in one pass."""
    text = "QUJD" * 250_000 + base64.b64encode(KEY.encode()).decode() + "QUJD" * 10
    start = time.process_time()
    assert "[hidden]" in Redactor(KEY).of_word(text)
    assert time.process_time() - start < 20


def test_an_answer_nested_beyond_reason_ends_no_run() -> None:
    """Below two hundred levels nothing is kept of an answer that holds the key."""
    said: object = KEY
    for _ in range(900):
        said = [said]
    assert KEY not in str(Redactor(KEY).of_answer(KEY.encode(), said))
