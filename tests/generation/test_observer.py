"""Observers: what is left out does nothing, and who hears nothing of calls costs a row nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.observer import SILENT, CallEnded, Guarded, Observer, hears, observer_of
from herogen_async.generation.session import Watch


class _Calls(Observer[CallEnded, object]):
    def __init__(self) -> None:
        self.ended: list[CallEnded] = []

    def call_ended(self, record: CallEnded, /) -> None:
        self.ended.append(record)


def test_methods_that_are_left_out_do_nothing() -> None:
    """An observer writes only the methods that it wants."""
    observer, record = _Calls(), CallEnded(3, 1)
    for each in (observer, SILENT):
        each.call_started(3)
        each.call_ended(record)
        each.state(None)
        each.notice("a sentence")
        each.weights(WeightsProgress("fetching", 1, 2))
    assert [record] == observer.ended


def test_only_those_who_listen_hear_of_calls() -> None:
    """The engine asks once, before the first row, whether it has to tell of each."""
    assert hears(_Calls(), "call_ended")
    assert not hears(_Calls(), "call_started")
    assert not hears(SILENT, "call_ended")
    assert not hears(Watch(on_report=print), "call_ended")


def test_a_guarded_observer_fails_once_and_is_told_nothing_more() -> None:
    """Its error is for the end, and whoever guards it hears of it at once."""

    class Failing(_Calls):
        def state(self, report: object, /) -> None:
            raise RuntimeError("gone")

    observer, failures = Failing(), list[Exception]()
    guarded = Guarded[CallEnded, object](observer, failures.append)
    guarded.call_ended(CallEnded(1, 1))
    guarded.state(None)
    guarded.call_ended(CallEnded(2, 1))
    assert [1] == [each.index for each in observer.ended]
    assert 1 == len(failures)
    with pytest.raises(RuntimeError, match="gone"):
        guarded.raise_first()


def test_a_watch_is_an_observer_made_of_callbacks() -> None:
    """`Watch(on_report=..., on_notice=..., on_weights=...)` of 0.1.0 hears what an observer hears."""
    heard: list[object] = []
    watch = Watch(on_report=heard.append, on_notice=heard.append, on_weights=heard.append)
    progress = WeightsProgress("fetching", 1, 2)
    watch.notice("a sentence")
    watch.weights(progress)
    assert ["a sentence", progress] == heard
    assert isinstance(watch, Observer)


class _Half:
    """Has one of the methods, and inherits from nothing that has the others."""

    def call_ended(self, record: CallEnded, /) -> None:
        del record


@pytest.mark.parametrize(
    ("watch", "fix"), [(print, "inherits from Observer"), (_Half(), "inherits from Observer"), (_Calls, "_Calls()?")]
)
def test_what_is_no_observer_is_refused_before_anything_is_paid(watch: Any, fix: str, tmp_path: Path) -> None:
    """By a run, a query and a fine-tune, in one sentence: no AttributeError from within."""
    calls: list[Any] = [
        lambda: herogen_async.run(base_url="http://127.0.0.1:9/v1", model="m", run=tmp_path / "r", watch=watch),
        lambda: herogen_async.query("m", "hi", base_url="http://127.0.0.1:9/v1", watch=watch),
        lambda: herogen_async.finetune(tmp_path / "rows.jsonl", watch=watch),
    ]
    for call in calls:
        with pytest.raises(InputError, match="watch can't be ") as refused:
            call()
        assert fix in (refused.value.fix or "")
    assert not (tmp_path / "r").exists()


def test_whatever_has_all_the_methods_is_an_observer() -> None:
    """Also where it inherits from nothing, or its methods are attributes of its own."""
    heard: list[object] = []
    methods = dict.fromkeys(("call_started", "call_ended", "state", "notice", "weights"), heard.append)
    watch: Any = SimpleNamespace(**methods)
    assert watch is observer_of(watch)
    assert hears(watch, "call_ended")
    assert SILENT is observer_of(None)
