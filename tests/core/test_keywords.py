"""Keyword options: one list of keys, for type checkers, `help` and the check at run time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypedDict, Unpack

import pytest

from herogen_async.core.errors import InputError
from herogen_async.core.keywords import check_keywords, shows_keywords


class _Shared(TypedDict, total=False):
    pace: int | Literal["auto"] | None


class _Options(_Shared, total=False):
    key: Annotated[str | Callable[[], Awaitable[str]] | None, "The key."]
    notes: Annotated[dict[str, Any], "What is noted."]


@shows_keywords(_Options, {"pace": "How fast."})
def work(place: str = "here", **options: Unpack[_Options]) -> int:
    """Do the work.

    At a place.
    """
    check_keywords(options, _Options)
    return len(options)


def test_a_signature_names_the_keys_and_their_types() -> None:
    """As one writes them: no module's path, no quotes."""
    shown = (
        "(place: str = 'here', *, key: str | Callable[[], Awaitable[str]] | None = ..., notes: dict[str, Any] = ..., "
    )
    assert shown + "pace: int | Literal['auto'] | None = ...) -> int" == str(inspect.signature(work))


def test_a_docstring_lists_what_each_key_means() -> None:
    """Below what was there; keys of a shared list take their meaning from its table, and come last."""
    text = "Do the work.\n\nAt a place.\n\nOptions (all optional):\n\n"
    assert f"{text}- `key`: The key.\n- `notes`: What is noted.\n- `pace`: How fast." == work.__doc__


def test_a_key_that_there_is_not_is_refused_with_the_nearest() -> None:
    """An option that nobody reads is a promise that nobody keeps."""
    assert 2 == work(key="k", pace=None)
    with pytest.raises(InputError, match="unknown option 'pacee'") as caught:
        work(pacee=3)  # type: ignore[call-arg]
    assert "pace" in (caught.value.fix or "")
