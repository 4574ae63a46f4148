"""The only door to the network: `async complete(request) -> Completion`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, runtime_checkable

from herogen_async.core.limits import Reading


@dataclass(slots=True)  # frozen ones take 0.6 us longer to make, for every row
class Request:
    """One question. Model and sampling are the endpoint's: they are the same for all questions of a column.

    `column` names it, where the endpoint was opened for several. `timeout_s` is how long the whole answer may take;
    None: as long as the endpoint was made for. `body` is what this one question sends instead of what the endpoint
    does, or besides it.
    """

    prompt: str
    system: str | None = None
    timeout_s: float | None = None
    body: Mapping[str, Any] | None = None
    column: str | None = None


@dataclass(slots=True)
class Completion:
    """One answer, as the server gave it.

    `usage` holds the server's own token counts (`prompt_tokens`, `completion_tokens`, ...), empty when it gave none.
    `finish_reason` is the server's own word (`stop`, `length`, ...), None when it gave none.
    `readings` is what its headers say about its limits, empty when they say nothing. `reasoning` is what the model
    thought before it answered, `extra` what else its message holds, as the server sent it: tool calls, audio,
    annotations. None: nothing.
    """

    text: str
    finish_reason: str | None
    model: str | None
    usage: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    readings: tuple[Reading, ...] = ()
    reasoning: str | None = None
    extra: dict[str, Any] | None = None


class Endpoint(Protocol):
    """A place that answers."""

    async def complete(self, request: Request) -> Completion:
        """Ask once, without retrying. Raises an `EndpointError` for everything that can go wrong with one call."""
        ...


@dataclass(slots=True)
class Unanswered:
    """What became of a call that was begun and brought no completion; `context` is the endpoint's own."""

    error: Exception
    context: Any = None

    def raise_error(self) -> NoReturn:
        """Raise it, once. It is held here no more then: else its traceback, which holds this, would hold itself, and
        all that came in its turn, until the garbage collector looks.
        """
        error = self.error
        del self.error
        try:
            raise error
        finally:
            del error


@runtime_checkable
class TurnEndpoint(Endpoint, Protocol):
    """A place that can also be asked without a task that waits: its answers are taken in by turns of the event loop.

    `on_turn` is called when some have come. What was begun is taken once, or dropped.
    """

    on_turn: Callable[[], None]

    def begin(self, calls: Sequence[tuple[Request, object]]) -> Sequence[object]:
        """Send requests, each with its tag, as many as can be sent at once: what stands for the first of them until
        each is taken or dropped.
        """
        ...

    def take(self) -> list[tuple[Any, Completion | Unanswered]]:
        """What has come since the last time, each with the tag that it was begun with. Never raises."""
        ...

    def drop(self, begun: object) -> None:
        """Nobody wants the answer any more; it is not taken."""
        ...

    async def recover(self, request: Request, unanswered: Unanswered) -> Completion:
        """Go on as `complete` does after such an end: ask again where that helps. Raises an EndpointError."""
        ...


class Resizable(Endpoint, Protocol):
    """A place that answers, and can be asked more at once than it was opened for."""

    def resize(self, concurrency: int) -> None:
        """From now on up to `concurrency` calls are in flight."""
        ...


class ModelServer(Resizable, Protocol):
    """A place that answers, and says which models it serves."""

    async def models(self) -> list[str]:
        """Their names. Raises an EndpointError."""
        ...


class StreamingServer(ModelServer, Protocol):
    """A place that can tell an answer while it is written."""

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        """As `complete`; `on_text` gets the text piece by piece, a token each."""
        ...
