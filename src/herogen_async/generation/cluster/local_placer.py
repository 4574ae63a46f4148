"""Workers on this machine: direct children of the run's process, one pipe each.

Kept here:
1. A child has its own end of its own pipe, and no other: whichever process ends, the other side of its pipe knows.
2. Keys go to a child by its environment alone, never by its arguments.
3. Ctrl-C in the terminal is home's: children are in sessions of their own, and are told what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, Pipe

from herogen_async.generation.cluster.link import Hub, Placer

GRACE_S = 2.0  # for workers that have said all, to end by themselves
_PYTHON = [sys.executable or "python", "-P", "-m"]


@dataclass(slots=True)
class _Child:
    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection[bytes, bytes]
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Future[bytes] | None = None  # that its thread waits for

    def end(self) -> None:
        """End it, whatever it does; its thread waits for nothing more."""
        if not self.is_gone.is_set():
            self.process.kill()
        if self.reply is not None:
            self.reply.cancel()


class LocalPlacer(Placer):
    """Starts `program` as the workers of `hub`, in `environment`. Made and closed on the loop that `hub` is on."""

    def __init__(self, hub: Hub, program: str, environment: Mapping[str, str]) -> None:
        self._hub = hub
        self._program = program
        self._environment = dict(environment)
        self._loop = asyncio.get_running_loop()
        self._children: list[_Child] = []

    def start(self, worker: int) -> None:
        ours, theirs = Pipe()
        with theirs:
            descriptor = theirs.fileno()
            try:
                process = subprocess.Popen(  # noqa: S603 - a module of this package
                    [*_PYTHON, self._program, str(worker), str(descriptor)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # that of `run --json` is the report's
                    env=self._environment,
                    pass_fds=(descriptor,),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        child = _Child(worker, process, ours)
        self._children.append(child)
        threading.Thread(target=self._serve, args=(child,), name=f"worker-{worker}", daemon=True).start()

    async def close(self) -> None:
        try:
            async with asyncio.timeout(GRACE_S):
                for child in self._children:
                    await child.is_gone.wait()
        except TimeoutError:
            pass
        finally:
            for child in self._children:
                child.end()
        for child in self._children:
            await child.is_gone.wait()

    def _serve(self, child: _Child) -> None:
        """In a thread of its own: what a worker says is taken to the loop, and what it is told back."""
        hub, number = self._hub, child.number
        try:
            message = child.pipe.recv_bytes()
            child.pipe.send_bytes(self._on_loop(child, lambda reply: reply(hub.hello(number, message))))
            while True:
                frame = child.pipe.recv_bytes()
                child.pipe.send_bytes(self._on_loop(child, partial(hub.exchange, number, frame)))
        except (EOFError, OSError, RuntimeError, CancelledError):  # its end, that of the loop, or `close`
            pass
        finally:
            child.pipe.close()
            how = _how_it_ended(child.process.wait())
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._is_gone, child, how)

    def _on_loop(self, child: _Child, ask: Callable[[Callable[[bytes], None]], None]) -> bytes:
        """What `ask` gets as its reply, on the loop."""
        child.reply = reply = Future[bytes]()
        self._loop.call_soon_threadsafe(ask, lambda said: None if reply.done() else reply.set_result(said))
        return reply.result()

    def _is_gone(self, child: _Child, how: str) -> None:
        child.is_gone.set()
        self._hub.ended(child.number, how)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"signal {-code}"
