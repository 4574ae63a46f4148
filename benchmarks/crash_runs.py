"""Runs that are made to crash: a real run in a forked child, its server beside it, and what it told before it died.

The child is forked from a process that has imported everything and run once: a start costs 0.1 s instead of 1.3 s, and
that makes a thousand kills a matter of minutes. Its server runs in the same process, in a thread, and dies with it.
What was asked and acknowledged is counted in a page of memory that is shared with the parent, and survives the child.
Needs the packages of the [test] extra.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import herogen_async
from herogen_async.core.errors import HerogenError
from herogen_async.generation.engine.engine import Engine
from herogen_async.generation.journal import Line, read_rows, scan
from herogen_async.generation.journal import Written as Counted
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.column_histories import asked_of, call_of, plan_of
from support.column_model import ColumnModel, Written
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import NO_KEYS, assert_exact_grid, small_spec

TRACEBACK = 70  # exit code of a child that ended with an exception that is none of this package's
_HISTORY = 1 << 17  # bytes of the page that hold (acknowledged, when), 16 each, over and over
_NUMBERS = 4


COLUMNS = {
    "question": {"prompt": "Describe a {age}-year-old {gender}."},  # as `small_spec` asks it
    "solution": {"prompt": "Solve [{question}]."},
    "critique": {"prompt": "What is wrong with [{solution}] as an answer to [{question}]?"},
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What is run: `values` x 2 x `repeats` rows, of one call each or of three columns that build on each other."""

    values: int
    repeats: int
    concurrency: int = 16
    delay_s: float = 0.002
    durability: str = "periodic"
    has_columns: bool = False

    @property
    def spec(self) -> Spec:
        spec = small_spec(values=self.values, repeats=self.repeats)
        if not self.has_columns:
            return spec
        return Spec(name=spec.name, attributes=spec.attributes, repeats=spec.repeats, columns=COLUMNS)

    @property
    def calls_a_row(self) -> int:
        return len(COLUMNS) if self.has_columns else 1

    @property
    def calls(self) -> int:
        return self.values * 2 * self.repeats * self.calls_a_row


class Page:
    """What one folder's children have asked and acknowledged; it outlives them."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE + _HISTORY)
        self._numbers = memoryview(self._memory).cast("Q")

    @property
    def asked(self) -> int:
        """Requests that a server has seen."""
        return self._numbers[0]

    @property
    def acknowledged(self) -> int:
        """Rows that the last child counted as done, those that it found included."""
        return self._numbers[1]

    def ask(self) -> None:
        self._numbers[0] += 1

    def acknowledge(self, rows: int) -> None:
        slot = _NUMBERS + 2 * (self._numbers[2] % (_HISTORY // 16))
        self._numbers[slot], self._numbers[slot + 1] = rows, time.monotonic_ns()
        self._numbers[2] += 1
        self._numbers[1] = rows

    def age_s(self, rows: int, now_ns: int) -> float:
        """How long ago the row after the first `rows` was acknowledged."""
        noted = min(self._numbers[2], _HISTORY // 16)
        times = [self._numbers[_NUMBERS + 2 * at + 1] for at in range(noted) if self._numbers[_NUMBERS + 2 * at] > rows]
        return (now_ns - min(times)) / 1e9 if times else 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: `code` is its exit code, or minus the signal; `said` its error, if any."""

    code: int
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Child:
    """A run in a process of its own. It begins once `go` was called."""

    def __init__(self, folder: Path, shape: Shape, page: Page, *, refuses: bool = False, **options: Any) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        waiting, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = TRACEBACK
            try:
                os.close(self._go)
                os.read(waiting, 1)
                code = _run(folder, shape, page, refuses=refuses, **options)
            except HerogenError as failed:
                os.write(self._said.fileno(), f"{failed} ({failed.fix})".encode())
                code = failed.exit_code
            except BaseException:
                os.write(self._said.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        os.close(waiting)

    def go(self) -> None:
        os.close(self._go)

    def signal(self, number: signal.Signals) -> None:
        """Send it, unless the child has ended."""
        os.kill(self.pid, number)  # not reaped before `end`: the id is still its own

    def end(self, limit_s: float = 120.0) -> Ended:
        """Wait for it. A child that takes longer hangs: it is killed, and that is told."""
        deadline = time.monotonic() + limit_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return Ended(TRACEBACK, f"it hung for {limit_s:.0f} s")
            time.sleep(0.002)
        self._said.seek(0)
        with self._said as file:
            return Ended(os.waitstatus_to_exitcode(status), file.read().decode(errors="replace"))


def warm_up() -> None:
    """Import all that a run imports, by one run. Afterwards this process has one thread, and may fork."""
    for name in NO_KEYS:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="herogen-crash-") as folder, FakeServer() as server:
        herogen_async.run(small_spec(values=1, repeats=1), run=Path(folder) / "r", base_url=server.url, model="m")


def run_to_end(folder: Path, shape: Shape, page: Page, **options: Any) -> Ended:
    """Go on with the run in `folder` until it ends by itself."""
    child = Child(folder, shape, page, **options)
    child.go()
    return child.end()


def sound_keys(folder: Path) -> list[str]:
    """The keys of the rows on disk, in writing order; none where there is no run yet."""
    lines = (line for path in RunFolder(folder).segments() for line in scan(path))
    return [line.record["key"] for line in lines if isinstance(line, Line)]


def whole_rows(folder: Path, shape: Shape) -> int:
    """How many rows have a line on disk for each of their calls."""
    indices = {
        line.record["index"] for path in RunFolder(folder).segments() for line in scan(path) if isinstance(line, Line)
    }
    rows = Counter(index // shape.calls_a_row for index in indices)
    return sum(count == shape.calls_a_row for count in rows.values())


def faults_of_finished(folder: Path, shape: Shape, ended: Ended) -> Iterator[str]:
    """What is wrong with a run that went to its end after a crash."""
    if ended.code != 0:
        yield f"the resume ended with {ended.code}: {ended.said.strip()[-2000:]}"
        return
    try:
        (assert_exact_columns if shape.has_columns else assert_exact_grid)(folder, shape.spec)
    except (AssertionError, HerogenError) as wrong:
        yield f"not the exact grid: {wrong}"


def assert_exact_columns(folder: Path, spec: Spec) -> None:
    """Each call of `spec` has one line that counts, made from those that count beside it, as `ColumnModel` says."""
    plan = plan_of(spec)
    model = ColumnModel([asked_of(plan)])
    lines = [Written(0, line.record) for line in read_rows(RunFolder(folder))]
    counting = model.counting(lines)
    assert {call_of(plan, index) for index in range(plan.size)} == counting.keys()
    for call, line in counting.items():
        prompt, built_on = model.prompt(call, counting)
        assert (prompt, sorted(built_on)) == (line["prompt"], sorted(line.get("from", ())))
        assert f"An answer to: {prompt}" == line["response_txt"]


def _run(folder: Path, shape: Shape, page: Page, *, refuses: bool, **options: Any) -> int:
    _note_acknowledged(page)
    refused = f"Describe a {20 + shape.values - 1}-year-old woman."

    def behaviour(asked: Asked) -> Reply:
        page.ask()
        if refuses and asked.prompt == refused:
            return error(400, "invalid_prompt", "not that")
        return answer(asked, delay_s=shape.delay_s)

    start: Callable[..., herogen_async.RunReport] = herogen_async.run
    arguments: dict[str, Any] = {"run": folder, "concurrency": shape.concurrency, "durability": shape.durability}
    with FakeServer(behaviour) as server:
        report = start(shape.spec, base_url=server.url, model="m", **arguments, **options)
        if report.state == "failed_rows" and not refuses:
            report = herogen_async.resume(folder, retry_failed=True)
    if report.reason:
        print(report.reason, file=sys.stderr)
    return report.exit_code


def _note_acknowledged(page: Page) -> None:
    """Every acknowledgement as it is made: the display hears of them only a few times a second."""
    tell = Engine._written

    def told(engine: Engine, written: Counted) -> None:
        tell(engine, written)
        page.acknowledge(engine.counters.done)

    Engine._written = told  # type: ignore[method-assign]
