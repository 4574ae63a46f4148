"""Who is told how work goes on: a run, a fine-tune, questions to a model. One way for all of them.

1. Nobody waits for an observer: its methods are called on the event loop's thread and return at once. `weights` alone
   is called from a thread of its own.
2. A row pays nothing for an observer that does not want to hear of single calls: see `hears`.
3. What an observer raises never costs an answer that is paid for: whoever tells it keeps its first error, stops
   telling, and raises it at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from herogen_async.core.errors import EndpointError, InputError
from herogen_async.core.likeness import shown

if TYPE_CHECKING:  # whoever only watches (a command, before it knows that there is work) loads no endpoint
    from herogen_async.generation.endpoint import Completion
    from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress

Record_contra = TypeVar("Record_contra", contravariant=True)
Report_contra = TypeVar("Report_contra", contravariant=True)
What = TypeVar("What")


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call at `index` was answered, or has failed with `error`, after so many `attempts`.

    `latency_s` is that of the attempt that was answered.
    """

    index: int
    attempts: int
    completion: Completion | None = None
    latency_s: float | None = None
    error: EndpointError | None = None


class Observer(Generic[Record_contra, Report_contra]):
    """Inherit from it and write the methods that are wanted; those that are left out do nothing.

    `Record` is what is known when a call has ended (a `CallEnded` of a run, a `Reply` of a query), `Report` is one
    moment of the whole (a `RunReport`, a `TuningProgress`).
    """

    __slots__ = ()

    def call_started(self, index: int, /) -> None:
        """The call at `index` is about to be sent, for the first time or again."""

    def call_ended(self, record: Record_contra, /) -> None:
        """What became of a call, once for each; an answer of a run is with the journal already."""

    def state(self, report: Report_contra, /) -> None:
        """How it stands, a few times a second at most."""

    def notice(self, line: str, /) -> None:
        """A sentence for a person to read."""

    def weights(self, progress: WeightsProgress, /) -> None:
        """How far the embedded model's weights are. Called from a thread; an error raised here ends the fetch."""


SILENT: Observer[object, object] = Observer()  # nobody is told


def observer_of(
    watch: Observer[Record_contra, Report_contra] | None,
) -> Observer[Record_contra, Report_contra]:
    """The observer that a caller names, SILENT for None. InputError for what can't be told everything.

    Called before anything is paid. What has all the methods will do, whatever it inherits from.
    """
    if watch is None:
        return SILENT
    methods = [name for name in vars(Observer) if not name.startswith("_")]
    if isinstance(watch, type) or not all(callable(getattr(watch, name, None)) for name in methods):
        fix = f"did you mean {watch.__name__}()?" if isinstance(watch, type) and issubclass(watch, Observer) else None
        raise InputError(
            f"watch can't be {shown(watch)}", fix=fix or "give an object of a class that inherits from Observer"
        )
    return watch


def hears(observer: Observer[Record_contra, Report_contra], method: str) -> bool:
    """Whether `observer` does anything in `method`: on the hot path nobody is told who would not listen."""
    return getattr(type(observer), method, None) is not getattr(Observer, method)


class Guarded(Observer[Record_contra, Report_contra]):
    """Tells `observer`, and keeps rule 3: its first error is kept and ends the telling, `raise_first` raises it."""

    __slots__ = ("_error", "_observer", "_on_failure")

    def __init__(
        self,
        observer: Observer[Record_contra, Report_contra],
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._observer = observer
        self._on_failure = on_failure  # told once, when it fails
        self._error: Exception | None = None

    def call_started(self, index: int, /) -> None:
        self._tell(self._observer.call_started, index)

    def call_ended(self, record: Record_contra, /) -> None:
        self._tell(self._observer.call_ended, record)

    def state(self, report: Report_contra, /) -> None:
        self._tell(self._observer.state, report)

    def notice(self, line: str, /) -> None:
        self._tell(self._observer.notice, line)

    def weights(self, progress: WeightsProgress, /) -> None:
        self._observer.weights(progress)

    def raise_first(self) -> None:
        """At the end, when all that was paid for is kept."""
        if self._error is not None:
            raise self._error

    def _tell(self, tell: Callable[[What], None], what: What) -> None:
        if self._error is not None:
            return
        try:
            tell(what)
        except Exception as error:  # whatever it is, it is the observer's
            self._error = error
            self._on_failure(error)
