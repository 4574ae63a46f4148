"""A session for code that is not async: a loop of its own, signals, and a notebook's Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading

from herogen_async.core.errors import Interrupted
from herogen_async.core.event_loop import handling, quickest_loop
from herogen_async.generation.engine import tuned_for_throughput
from herogen_async.generation.report import RunReport
from herogen_async.generation.session.session import Session

_DRAIN = (signal.SIGTERM, signal.SIGHUP)  # they come in pairs when a terminal goes: only Ctrl-C asks twice


def run_to_end(session: Session) -> RunReport:
    """Run `session` on a loop of its own; where a loop runs already, in a thread of its own.

    Ctrl-C drains, a second one drops what is in flight, SIGTERM and SIGHUP drain; the handlers that were there before
    are put back. Raises Interrupted when it was stopped before anything was asked.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _Runner(session).run()
    return _run_in_thread(session)


class _Runner:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.loop: asyncio.AbstractEventLoop | None = None
        self._presses = 0

    def run(self) -> RunReport:
        with tuned_for_throughput(), asyncio.Runner(loop_factory=quickest_loop) as runner:
            self.loop = runner.get_loop()
            # Taken on the loop, so that they act between two turns, and never in the middle of one.
            handlers = {signal.SIGINT: self.pressed, **dict.fromkeys(_DRAIN, self.session.stop)}
            with handling(self.loop, handlers):
                try:
                    return runner.run(self.session.run())
                except (asyncio.CancelledError, KeyboardInterrupt):
                    raise Interrupted("interrupted before any request was sent", fix="run the command again") from None

    def pressed(self) -> None:
        """One Ctrl-C, on the loop."""
        self._presses += 1
        (self.session.stop if self._presses == 1 else self.session.cancel)()


def _run_in_thread(session: Session) -> RunReport:
    runner = _Runner(session)
    outcome: list[RunReport | BaseException] = []
    ended = threading.Event()  # not `join`: interrupted once, it takes the thread for dead

    def work() -> None:
        try:
            outcome.append(runner.run())
        except BaseException as error:
            outcome.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="herogen-run").start()
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt:  # a notebook's stop button
            if runner.loop is not None:
                # On the run's own loop: this thread is the notebook's.
                runner.loop.call_soon_threadsafe(runner.pressed)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
