"""pyreqwest's own thread, when the process ends.

It outlives every client, nothing ends it, and it wakes Python's event loops through Python. Is it still in there when
the interpreter goes (the last call's waker has not returned yet, on a machine that is busy), it is ended in the middle
of Rust code, and the process with it: SIGABRT after the last word. So before the interpreter goes, the thread is
given one more loop to wake, which never returns: what waits for a lock touches nothing any more.

Invariant: who reads `is_parked` as true, holding the interpreter's lock, knows that the thread has given that lock up
for good. Between the assignment and the lock's own wait the interpreter has no point at which threads take turns.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any, cast

from pyreqwest.client import ClientBuilder

_TRIES = 20  # a wake-up may come before the call waits for it, and is lost then
_LOOKS = 100  # for each try, a millisecond apart: two seconds in all, on a machine that is busy
_A_LOOK_S = 0.001


@cache
def park_at_exit() -> None:
    """See to it, once a process, that pyreqwest's thread is out of the way when the interpreter goes."""
    atexit.register(_park)


class _LastLoop:
    """As much of an event loop as a call needs that waits; whoever wakes it stays there."""

    def __init__(self) -> None:
        self.is_parked = False
        self._never = threading.Lock()
        self._never.acquire()

    def create_future(self) -> Iterator[None]:
        return iter((None,))

    def call_soon_threadsafe(self, *_: object) -> None:
        wait_forever = self._never.acquire
        self.is_parked = True  # see the invariant: nothing may stand between this line and the next
        wait_forever()


_last_loop = _LastLoop()  # outlives the interpreter's modules in the thread's own frame


def _park() -> None:
    """Ask something that nobody answers, so that the thread has to say so. What can't be done is left undone."""
    with contextlib.suppress(Exception), socket.create_server(("127.0.0.1", 0)) as silent:
        # No certificates are asked for, and reading the system's would take 10 ms.
        client = ClientBuilder().no_proxy().danger_accept_invalid_certs(True).runtime_multithreaded(False).build()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        waiting = []
        for _ in range(_TRIES):
            call = client.request("GET", url).timeout(timedelta(milliseconds=1)).build().send()
            waiting.append(call)
            _begin(call)
            if _is_parked_soon():
                return


def _begin(call: Any) -> None:
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, _last_loop))
    try:
        with contextlib.suppress(Exception):  # it was over before it had to wait
            call.send(None)
    finally:
        asyncio._set_running_loop(before)


def _is_parked_soon() -> bool:
    nobody_tells = threading.Event()
    for _ in range(_LOOKS):
        if _last_loop.is_parked:
            return True
        nobody_tells.wait(_A_LOOK_S)  # gives the interpreter's lock away, which the thread may be waiting for
    return _last_loop.is_parked
