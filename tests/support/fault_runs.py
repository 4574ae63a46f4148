"""What the fault catalogue shares: whole runs in hasty time against a server in trouble, and what must hold after each.

A run of the catalogue is a real one: its own session, sockets, files and threads. Only its loop's time is `SPEED` times
as fast, so that waits of seconds and deadlines of `DEADLINE_S` cost nobody's patience.
"""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import herogen_async
from herogen_async.core.clock import MonotonicClock
from herogen_async.generation.journal import read_failures, read_rows
from herogen_async.generation.report import RunReport
from herogen_async.generation.report.figure import figures
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_request import new_request
from herogen_async.generation.session import Session, Watch
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import assert_exact_grid, small_spec

SPEED = 20.0
DEADLINE_S = 8.0  # of a call: 0.4 s of real time
SLACK_S = 2.0  # of real time, for a machine that does other things as well
KEY = "sk-canary-5e1f07c3"
SPEC = small_spec(values=5, repeats=1)
# The same rows, with two columns beside the prompt's: who meets trouble meets it with each of them.
THREE_COLUMNS = SPEC.replace(
    columns={
        "solution": {"prompt": "solve [{response_txt}]"},
        "verdict": {"prompt": "grade [{response_txt}] [{solution}]"},
    }
)
ALWAYS = "a 22-year-old man"  # the row that meets the trouble each time
ONCE = tuple(f"a {age}-year-old woman" for age in (22, 23, 24))  # those that meet it the first time

figures(RunReport)  # now: kept from the first report on, it is nothing that a run leaves


class _HastySelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout and timeout / self._speed)


class HastyLoop(asyncio.SelectorEventLoop):
    """A loop with sockets and threads on which a second takes `1 / speed`; `skip` lets time go by in an instant."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._skipped_s = 0.0
        self.blocks_s: list[float] = []  # for how long the loop is blocked in the middle of the next connects
        super().__init__(_HastySelector(speed))

    def time(self) -> float:
        return time.monotonic() * self._speed + self._skipped_s

    def skip(self, seconds: float) -> None:
        """What a process sees that was stopped for so long."""
        self._skipped_s += seconds

    async def sock_connect(self, sock: Any, address: Any) -> None:
        if self.blocks_s:
            self.skip(self.blocks_s.pop())
        await super().sock_connect(sock, address)

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """Those that would still go off."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [timer for timer in scheduled if not timer.cancelled()]


class HastyClock:
    """The clock of a HastyLoop; `wall_step_s` is what somebody adds to the time of day."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self.wall_step_s = 0.0

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now() + self.wall_step_s)

    busy_s = staticmethod(MonotonicClock.busy_s)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, after so many seconds of its own time; `failed` are the rows given up, by class."""

    report: RunReport
    took_s: float
    failed: Counter[str]

    @property
    def counts(self) -> tuple[str, int, int]:
        return self.report.state, self.report.done, self.report.failed


Meanwhile = Callable[[HastyLoop, HastyClock], Coroutine[Any, Any, None]]


def ask(
    folder: Path,
    url: str,
    *,
    concurrency: int = 4,
    deadline_s: float = DEADLINE_S,
    max_attempts: int = 3,
    speed: float = SPEED,
    spec: Spec = SPEC,
    watch: Watch | None = None,
    meanwhile: Meanwhile | None = None,
) -> Ended:
    """One run of `spec` to its end, with everything checked that holds after any fault."""
    settings = Settings(
        concurrency=concurrency, timeout_s=deadline_s, min_timeout_s=deadline_s, max_attempts=max_attempts
    )

    async def main() -> tuple[RunReport, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        clock = HastyClock(loop)
        order = new_request(
            spec,
            run=folder,
            base_url=url,
            endpoint=None,
            model="m",
            api_key=KEY,
            timeout_s=None,
            settings=settings,
        )
        beside = asyncio.create_task(meanwhile(loop, clock)) if meanwhile else None
        started_s = loop.time()
        report = await Session(order, watch or Watch(), clock=clock).run()
        took_s = loop.time() - started_s
        if beside is not None:
            await beside
        assert {asyncio.current_task()} == asyncio.all_tasks(), "a task outlives the run"
        assert [] == loop.pending_timers(), "a timer outlives the run"
        return report, took_s

    def run() -> tuple[RunReport, float]:
        with asyncio.Runner(loop_factory=lambda: HastyLoop(speed)) as runner:
            return runner.run(main())

    report, took_s = leaving_nothing(run)
    return Ended(report, took_s, _checked(folder, report, 1 + len(spec.columns)))


def leaving_nothing(run: Callable[[], Any]) -> Any:
    """What `run` returns. Descriptors, threads and this package's objects are as many afterwards as before."""
    gc.freeze()  # what there is already need not be looked through again
    try:
        files, threads = _open_files(), threading.active_count()
        found = run()
        until = time.monotonic() + 10
        while (_open_files() > files or threading.active_count() > threads) and time.monotonic() < until:
            time.sleep(0.001)  # the server notices a moment later that a connection is gone
        assert _open_files() <= files, "a descriptor leaked"
        assert threading.active_count() <= threads, f"a thread leaked: {threading.enumerate()}"
        gc.collect()
        ours = Counter(type(each).__qualname__ for each in gc.get_objects() if _is_ours(each))
        ours -= Counter({"RunReport": 1, "Straggler": 5})  # what was returned
        assert {} == ours, f"objects outlive the run: {ours}"
        return found
    finally:
        gc.unfreeze()


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are enough


def _is_ours(each: object) -> bool:
    return type(each).__module__.startswith("herogen_async.") and not isinstance(each, type)


def _checked(folder: Path, report: RunReport, columns: int) -> Counter[str]:
    """Every key once, as a row or as a failure with its class; the report says the same; the key is nowhere."""
    rows = [line.record["key"] for line in read_rows(RunFolder(folder))]
    failures = {record["key"]: str(record["kind"]) for record in read_failures(RunFolder(folder))}
    assert len(rows) == len(set(rows)), "a key is there twice"
    assert not failures.keys() & set(rows), "a key is a row and a failure"
    lines = Counter(line.record["index"] // columns for line in read_rows(RunFolder(folder)))
    done = sum(count == columns for count in lines.values())
    assert (report.done, report.failed) == (done, len(failures))
    if report.state in ("done", "failed_rows"):
        assert report.total == done + len(failures), "a key is missing"
    else:
        assert report.reason
    assert KEY.encode() not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return Counter(failures.values())


def heal(folder: Path, server: FakeServer, columns: int = 1) -> None:
    """The trouble is over: one `resume` that also asks for what was given up makes the grid exact."""
    server.behaviour = answer
    server.at_connect = None
    report = herogen_async.resume(folder, retry_failed=True, api_key=KEY)
    assert ("done", 10, 0) == (report.state, report.done, report.failed), report.reason
    if columns == 1:
        assert_exact_grid(folder, SPEC)
    else:
        assert set(range(10 * columns)) == {line.record["index"] for line in read_rows(RunFolder(folder))}
        assert [10 * columns] == [len(list(read_rows(RunFolder(folder))))]


class Trouble:
    """A server's behaviour: the row ALWAYS gets `reply` each time, the rows ONCE the first time, the others answers."""

    def __init__(self, reply: Callable[[Asked], Reply]) -> None:
        self.reply = reply
        self.asked: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Reply:
        self.asked[asked.prompt] += 1
        once = self.asked[asked.prompt] == 1 and any(words in asked.prompt for words in ONCE)
        return self.reply(asked) if once or ALWAYS in asked.prompt else answer(asked)
