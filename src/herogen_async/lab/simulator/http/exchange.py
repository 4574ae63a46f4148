"""One question over HTTP: from its arrival to its last byte, with the fault that it meets. Timers, no tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from herogen_async.core.clock import Clock
from herogen_async.core.http1 import LAST_CHUNK, chunk
from herogen_async.lab.simulator.completions.request_parsing import ParsedRequest
from herogen_async.lab.simulator.completions.responses import (
    Label,
    completion_body,
    error_body,
    spoilt_body,
    spoilt_events,
    stream_events,
)
from herogen_async.lab.simulator.completions.simulation import Fate, Simulation
from herogen_async.lab.simulator.faults import AT_WORK, SLOW_BODY_PIECES, SLOW_BODY_S, SPOILT, Refusal
from herogen_async.lab.simulator.http.connection import Connection
from herogen_async.lab.simulator.limits.dialect import limit_headers, retry_headers

_CUT_S = 0.02  # between half a body and the reset: a reset overtakes what was not sent yet


class ExchangeServer(Protocol):
    """What an exchange needs of its server."""

    simulation: Simulation
    clock: Clock
    loop: asyncio.AbstractEventLoop

    def next_name(self) -> str: ...
    def date(self) -> tuple[datetime, str]: ...


class Exchange:
    """`begin` it once; `abandon` it when the client went away."""

    __slots__ = ("_asked", "_connection", "_fate", "_has_slot", "_old", "_over", "_server", "_timer")

    _fate: Fate

    def __init__(self, asked: ParsedRequest, connection: Connection, server: ExchangeServer, *, old: bool) -> None:
        self._asked = asked
        self._connection = connection
        self._server = server
        self._old = old  # HTTP/1.0 knows no chunks
        self._timer: asyncio.TimerHandle | None = None
        self._has_slot = False
        self._over = False

    def begin(self) -> None:
        """The request arrived."""
        self._after(self._server.simulation.arrived(self._server.clock.now()), self._judge)

    def abandon(self) -> None:
        """The client went away: whatever is at work or waits for it stops."""
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        simulation = self._server.simulation
        simulation.tally.abandoned += 1
        simulation.slots.withdraw(self)
        self._end()

    def _judge(self) -> None:
        simulation = self._server.simulation
        self._fate = fate = simulation.judge(self._server.clock.now(), self._asked.question)
        if fate.refusal is not None:
            self._refuse(fate.refusal)
        elif fate.fault != "hang":
            simulation.slots.enter(self, self._work)

    def _work(self) -> None:
        self._has_slot = True
        self._after(self._fate.first_s if self._paced() else self._fate.work_s, self._worked)

    def _worked(self) -> None:
        fault = self._fate.fault
        if not self._paced():
            self._leave_slot()
            self._settle()
        if fault in AT_WORK:
            self._refuse(AT_WORK[fault])
        elif fault == "reset":
            self._end()
            self._connection.reset()
        else:
            head, parts = self._message()
            self._send(head, parts)

    def _message(self) -> tuple[bytes, list[bytes]]:
        """The head of the answer, and its body in the parts in which it will be sent."""
        fate, asked, fault = self._fate, self._asked, self._fate.fault
        told = fate.answer
        assert told is not None
        headers, created = self._headers()
        label = Label(
            asked.chat,
            asked.model,
            self._server.next_name(),
            created,
            usage=fault != "no_usage",
            reasoning=self._server.simulation.policy.reasoning,
        )
        headers += f"x-request-id: {label.name}\r\n"
        if not asked.stream or fault == "html":
            kind = "text/html" if fault == "html" else "application/json"
            spoilt = fault is not None and fault in SPOILT
            body = spoilt_body(fault or "", told, label) if spoilt else completion_body(told, label)
            head = f"{headers}content-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            return self._connection.head(200, head), [body]
        events = stream_events(told, label, include_usage=asked.include_usage)
        if fault is not None and fault in SPOILT:
            events = spoilt_events(fault, events)
        headers += "content-type: text/event-stream\r\ncache-control: no-cache\r\n"
        if not self._old:
            headers += "transfer-encoding: chunked\r\n"
            events = [*map(chunk, events), LAST_CHUNK]
        return self._connection.head(200, headers), events

    def _send(self, head: bytes, parts: list[bytes]) -> None:
        fault = self._fate.fault
        if fault == "cut":
            body = b"".join(parts)
            self._connection.write(head + body[: len(body) // 2])
            self._after(_CUT_S, self._cut)
        elif fault == "slow_body":
            body = b"".join(parts)
            size = -(-len(body) // SLOW_BODY_PIECES)
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            self._connection.write(head)
            self._send_slowly(pieces, 0, SLOW_BODY_S / len(pieces))
        elif self._paced():
            self._connection.write(head)
            self._send_slowly(parts, 0, self._fate.token_s)
        else:
            self._connection.write(head + b"".join(parts))
            self._finish()

    def _send_slowly(self, parts: list[bytes], number: int, pause_s: float) -> None:
        self._connection.write(parts[number])
        if number + 1 == len(parts):
            self._finish()
        else:
            self._after(pause_s, lambda: self._send_slowly(parts, number + 1, pause_s))

    def _cut(self) -> None:
        self._end()
        self._connection.reset()

    def _refuse(self, refusal: Refusal) -> None:
        fate, policy = self._fate, self._server.simulation.policy
        headers, _ = self._headers()
        if not fate.verdict.accepted:
            wall, _ = self._server.date()
            headers += retry_headers(policy.headers, policy.retry_after, fate.verdict.wait_s, wall)
        headers += f"x-request-id: {self._server.next_name()}\r\ncontent-type: application/json\r\n"
        self._end()
        self._connection.respond(refusal.status, headers, error_body(refusal))

    def _headers(self) -> tuple[str, int]:
        """(what every answer to a question carries, its time in seconds since 1970)."""
        wall, date = self._server.date()
        lines = limit_headers(self._server.simulation.policy.headers, self._fate.readings, wall)
        return date + lines, int(wall.timestamp())

    def _paced(self) -> bool:
        """Whether the answer comes token by token, at the pace at which it is made."""
        return self._asked.stream and self._fate.token_s > 0 and self._fate.fault in (None, "no_usage")

    def _finish(self) -> None:
        if self._paced():
            self._settle()
        self._server.simulation.answered(self._fate)
        self._end()
        self._connection.finish()

    def _end(self) -> None:
        self._over = True
        self._leave_slot()
        self._server.simulation.tally.left()

    def _leave_slot(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._server.simulation.slots.leave()

    def _settle(self) -> None:
        self._server.simulation.worked(self._server.clock.now(), self._fate)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        """`then`, that much later; at once when it is now."""
        if seconds > 0:
            self._timer = self._server.loop.call_later(seconds, then)
        else:
            then()
