"""Observers: what is left out does nothing, and who hears nothing of calls costs a row nothing."""

from __future__ import annotations

from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.observer import SILENT, AttemptEnded, Observer, hears_calls
from herogen_async.generation.session import Watch


class _Calls(Observer[AttemptEnded, object]):
    def __init__(self) -> None:
        self.ended: list[AttemptEnded] = []

    def call_ended(self, record: AttemptEnded, /) -> None:
        self.ended.append(record)


def test_methods_that_are_left_out_do_nothing() -> None:
    """An observer writes only the methods that it wants."""
    observer, record = _Calls(), AttemptEnded(3, 1, 0.5)
    for each in (observer, SILENT):
        each.call_started(3)
        each.call_ended(record)
        each.state(None)
        each.notice("a sentence")
        each.weights(WeightsProgress("fetching", 1, 2))
    assert [record] == observer.ended


def test_only_those_who_listen_hear_of_calls() -> None:
    """The engine asks once, before the first row, whether it has to tell of each."""
    assert hears_calls(_Calls())
    assert not hears_calls(SILENT)
    assert not hears_calls(Watch(on_report=print))


def test_a_watch_is_an_observer_made_of_callbacks() -> None:
    """`Watch(on_report=..., on_notice=..., on_weights=...)` of 0.1.0 hears what an observer hears."""
    heard: list[object] = []
    watch = Watch(on_report=heard.append, on_notice=heard.append, on_weights=heard.append)
    progress = WeightsProgress("fetching", 1, 2)
    watch.notice("a sentence")
    watch.weights(progress)
    assert ["a sentence", progress] == heard
    assert isinstance(watch, Observer)
