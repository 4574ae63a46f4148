"""The body of a call: the short way writes the bytes of the long one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.codec import dumps, loads
from herogen_async.generation.endpoint import Request
from herogen_async.generation.endpoint.request_body import RequestBody

TEXTS = st.text(st.characters(codec=None))  # half characters too


@given(TEXTS, st.none() | TEXTS, st.sampled_from(["chat", "completions"]), st.none() | st.just({"seed": 7}))
def test_the_bytes_are_those_of_the_body(
    prompt: str, system: str | None, kind: str, own: dict[str, Any] | None
) -> None:
    """Whatever is asked: with a system text, with fields of a request's own, with text that is no valid Unicode."""
    body = RequestBody(kind, "m", {"temperature": 0.5, "stop": [" END"], "max_tokens": 9})
    request = Request(prompt, system, body=own)
    assert dumps(body.of(request)) == body.as_sent(request)


@pytest.mark.parametrize("kind", ["chat", "completions"])
@pytest.mark.parametrize("sampling", [{}, {"prompt": "x"}, {"messages": []}])
def test_a_field_stands_once_even_where_the_sampling_has_it(kind: str, sampling: dict[str, Any]) -> None:
    """A server would take the first or the last of two."""
    sent = RequestBody(kind, "m", sampling).as_sent(Request("hello"))
    assert sent == dumps(loads(sent))
    assert b"hello" in sent or (sampling and b"messages" in sent)
