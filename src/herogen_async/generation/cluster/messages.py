"""What a worker process and its home say to each other, and how it lies in bytes. Pure.

```
Hello -> Welcome          which versions, which run; a worker that would ask anything else is refused
Frame -> Orders           sealed lines, how it goes, what limits taught   ->   what is kept, rows, blocks, what to do
```
A message is a line of JSON, and behind it the lines of a frame as they lie in the journal: neither side parses them to
carry them. No key is ever in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from herogen_async.core import codec
from herogen_async.generation.limits import CallsWanted, Grant, Terms, Told

PROTOCOL = 1
HELD_LINES = 256  # that a worker holds at most until home has them: what a kill takes, besides what is in flight
R = TypeVar("R")


class MessageError(ValueError):
    """Bytes that are no message of this protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker `worker` is there. `version` is that of its package."""

    worker: int
    version: str
    protocol: int = PROTOCOL


@dataclass(frozen=True, slots=True)
class Welcome:
    """The run: its manifest as data, the settings that hold, and how the worker is to ask. No key.

    `refused` is why the worker may not take part; all else is empty then. `lanes` are the terms and the most calls in
    flight of each target, `rates` its prices where they are known: see `Rates`.
    """

    manifest: dict[str, Any] = field(default_factory=dict)
    base_url: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    lanes: list[LaneOrders] = field(default_factory=list)
    rates: list[tuple[float, float, float | None] | None] = field(default_factory=list)
    patience_s: float = 0.0
    is_rest: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Rows to be asked: of these the calls at `pending`, ranges of their indices.

    `earlier` is what there is of rows that are half done: lines, or what calls that are asked again need of them.
    """

    pending: list[tuple[int, int]]
    earlier: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LaneTold:
    """What the lane of one target tells, and what it could use."""

    told: Told
    want: CallsWanted


@dataclass(frozen=True, slots=True)
class LaneOrders:
    """For the lane of one target: what is granted, on which terms, and how many calls may be in flight."""

    grant: Grant
    terms: Terms
    concurrency: int


@dataclass(frozen=True, slots=True)
class Beat:
    """How it goes. `errors`, `retries` and `attempts` since the start; `latencies` are new ones, in seconds.

    `left` calls of its spans were not sent yet. `binding` is what it waits for.
    """

    in_flight: int = 0
    waiting: int = 0
    retries: int = 0
    attempts: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    left: int = 0
    binding: str | None = None
    stragglers: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame number `number` of a worker. `rows` and `failures` are lines, each with its newline.

    `before` are the rows and failures that it has delivered before these, `kept` those of them that it was told to be
    kept. `prints` are the plan's fingerprints and the model. `wants_span`: another span would be begun soon. `parked`
    is why nothing more can be asked from there. `is_last`: it ends, and gives back what it has left.
    """

    number: int
    rows: list[bytes] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)
    kept: tuple[int, int] = (0, 0)
    beat: Beat = field(default_factory=Beat)
    lanes: list[LaneTold] = field(default_factory=list)
    wants_span: bool = False
    prints: list[str] = field(default_factory=list)
    parked: dict[str, Any] | None = None
    notices: list[str] = field(default_factory=list)
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """Home's word on frame `number`. Of all that the worker has delivered, `rows` and `failures` are kept.

    `home` tells it from others of the same run: a new one has to be brought all that is not kept, once more.

    `end` is None while the worker goes on; `drain`: what is in flight is finished; `drop`: it is not; `done`: nothing
    is left.
    """

    number: int
    home: int = 0
    rows: int = 0
    failures: int = 0
    span: Span | None = None
    lanes: list[LaneOrders] = field(default_factory=list)
    is_paused: bool = False
    end: str | None = None


@dataclass(frozen=True, slots=True)
class SharedRun:
    """What `processes` workers take part in: `pending` calls are to be asked.

    `welcome` is what one is told of the run, around the orders for its lanes. `version` is that of the package,
    `prints` are the plan's fingerprints and the model: whoever has others is refused. Workers are numbered from
    `first`, so that none has the number of another home's of the run.
    """

    welcome: Callable[[list[LaneOrders]], Welcome]
    version: str
    prints: list[str]
    pending: int
    processes: int
    first: int = 1


def message_bytes(message: Hello | Welcome | Frame | Orders) -> bytes:
    """The bytes of a message."""
    if not isinstance(message, Frame):
        return codec.dumps(message) + b"\n"
    told = {name: getattr(message, name) for name in _OF_A_FRAME}
    head = codec.dumps({**told, "rows": len(message.rows), "failures": len(message.failures)})
    return b"".join((head, b"\n", *message.rows, *message.failures))


_OF_A_FRAME = ("number", "before", "kept", "beat", "lanes", "wants_span", "prints", "parked", "notices", "is_last")


def read_hello(data: bytes) -> Hello:
    """Raises MessageError."""
    said, _ = _parts(data)
    return _made(Hello, said)


def read_welcome(data: bytes) -> Welcome:
    """Raises MessageError."""
    said, _ = _parts(data)
    return _made(Welcome, {**said, "lanes": _each(_lane_orders_of, said)})


def read_frame(data: bytes) -> Frame:
    """Raises MessageError."""
    said, lines = _parts(data)
    rows, failures = said.get("rows"), said.get("failures")
    if not isinstance(rows, int) or not isinstance(failures, int) or rows + failures != len(lines):
        raise MessageError(f"{rows} rows and {failures} failures are said, and {len(lines)} lines are there")
    beat = _made(Beat, said.get("beat", {}))
    lanes = _each(_lane_told_of, said)
    return _made(Frame, {**said, "rows": lines[:rows], "failures": lines[rows:], "beat": beat, "lanes": lanes})


def read_orders(data: bytes) -> Orders:
    """Raises MessageError."""
    said, _ = _parts(data)
    span = said.get("span")
    return _made(
        Orders, {**said, "span": None if span is None else _made(Span, span), "lanes": _each(_lane_orders_of, said)}
    )


def _lane_orders_of(said: Mapping[str, Any]) -> LaneOrders:
    terms = dict(said["terms"])
    return LaneOrders(
        _made(Grant, said["grant"]), _made(Terms, {**terms, "sent": tuple(terms["sent"])}), said["concurrency"]
    )


def _lane_told_of(said: Mapping[str, Any]) -> LaneTold:
    told = dict(said["told"])
    return LaneTold(
        _made(Told, {**told, "back": _made(Grant, told["back"]), "account": tuple(told["account"])}),
        _made(CallsWanted, said["want"]),
    )


def _each(read: Callable[[Mapping[str, Any]], R], said: Mapping[str, Any]) -> list[R]:
    try:
        return [read(each) for each in said.get("lanes", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(str(error)) from error


def _made(record: Callable[..., R], said: Mapping[str, Any]) -> R:
    try:
        return record(**said)
    except TypeError as error:
        raise MessageError(str(error)) from error


def _parts(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    head, *lines = data.splitlines(keepends=True) or [b""]
    try:
        said = codec.loads_rounded(head)
    except ValueError as error:
        raise MessageError(str(error)) from error
    if not isinstance(said, dict) or not data.endswith(b"\n"):
        raise MessageError("its head is no object, or its last line has no end")
    return said, lines
