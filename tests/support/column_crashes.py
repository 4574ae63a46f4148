"""Sessions of runs of several columns on a disk that crashes: what is asked, of what, and what is left at the end.

A `ColumnScenario` is a seed, as a `Scenario` of `crash_harness` is: the same disk, repairs and checks. But here a
session reads what is there with the product's own `replay`, asks what `to_ask` wants with the product's own `OpenRows`,
and answers come in any order, or fail; between two sessions the spec may be edited. Checked is, besides:

- what the journal comes to is what `ColumnModel` says, which knows none of the product's code;
- a call that is answered or skipped is not asked again, and none is asked twice in a session (P10), nor is one of which
  an answer is there that counts by what the session has decided;
- a call is asked with the texts of the answers that count, and its line names these;
- at the end, without a fault, nothing is left to ask, and each answer was made from the ones that count beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine import Counters
from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
from herogen_async.generation.journal import (
    LinePlaces,
    MemoryJournal,
    Reusable,
    attempt_of,
    failure_line,
    replay,
    row_line,
)
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.write.store import Batch
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.session.column_counts import column_counts
from herogen_async.generation.session.selection import to_ask
from herogen_async.specs.plan import Call
from herogen_async.specs.spec import Spec
from support.column_histories import QUESTION, REWRITTEN, SAMPLED, SOLUTION, THREE, History, call_of, spec_of
from support.column_model import CallOf, Written
from support.crash_harness import FOLDER, JOURNAL, START, TRIES, Key, Scenario, Session, Violation, _known
from support.simulated_disk import SimulatedDisk

IN_FLIGHT = 4
GRIDS = ({"level": ["easy", "hard"], "topic": ["sums"]}, {"topic": ["sums"], "level": ["hard", "easy", "new"]})
NOT_GOOD = {**REWRITTEN["rewrite"], "when": "verdict != 'good'"}
TITLE = {"prompt": "title [{final|solution}]"}
# What one spec is edited to another: what builds on what is edited is asked again where a person agrees to that.
EDITS: tuple[dict[str, Any], ...] = (
    THREE,
    {**THREE, "question": {"prompt": "please ask {level} {topic}"}},
    {**THREE, "verdict": {"prompt": "judge [{question}] [{solution}]"}},
    {"question": QUESTION, "solution": SOLUTION},
    SAMPLED,
    REWRITTEN,
    {**REWRITTEN, "question": {"prompt": "please ask {level} {topic}"}},
    {**REWRITTEN, "rewrite": NOT_GOOD},
    {**REWRITTEN, "rewrite": NOT_GOOD, "final": {"prompt": "print [{rewrite|solution}] [{verdict}]"}, "title": TITLE},
    {**REWRITTEN, "rewrite": NOT_GOOD, "final": {**REWRITTEN["final"], "when": "verdict == 'good'"}, "title": TITLE},
)


@cache
def _spec(shape: int, grid: int) -> Spec:
    return spec_of(EDITS[shape], GRIDS[grid])


class _Clock:
    """No two moments are the same."""

    def __init__(self) -> None:
        self._moments = 0

    def now(self) -> float:
        return float(self._moments)

    def wall(self) -> datetime:
        self._moments += 1
        return START + timedelta(milliseconds=self._moments)

    def busy_s(self) -> float:
        return 0.0


class ColumnScenario(Scenario):
    """One seed's sessions, edits and crashes; the last session meets no fault, and is not interrupted."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        random = self.random
        self.disk = SimulatedDisk(random, random.choice((128, 512)))
        self.segment_bytes = random.choice((1500, 6000, 1 << 30))
        self.history = History(_spec(random.randrange(len(EDITS)), 0))
        self.clock = _Clock()
        self.is_last = False
        self._keys = 0

    def run(self) -> int:
        """How many crashes there were, all of them survived; or Violation."""
        with tempfile.TemporaryDirectory() as place:
            self.folder = RunFolder(Path(place))
            return super().run()

    def keyed(self, kind: str, line: bytes) -> Key:
        """A line that the disk's checks know from now on."""
        self._keys += 1
        key = kind, self._keys
        _known[line[:-1]] = key, 0
        return key

    def written(self) -> list[Written]:
        """The lines that are there now, in order."""
        return [
            Written(int(name[5:10]), codec.loads(line))
            for name, data in sorted(self.disk.content().items())
            if JOURNAL.fullmatch(name) and name.startswith("rows")
            for line in data.splitlines()
        ]

    def copy(self) -> None:
        """The journal as it is now, for the readers of real files."""
        for path in self.folder.path.iterdir():
            path.unlink()
        for name, data in self.disk.content().items():
            if JOURNAL.fullmatch(name):
                (self.folder.path / name).write_bytes(data)

    def _sessions(self) -> Iterator[ColumnSession]:
        for _ in range(self.random.randint(2, 5)):
            self._edit()
            yield ColumnSession(self)
        self.is_last = True
        last = ColumnSession(self)
        yield last
        if not last.ended:
            raise Violation("a session without a fault did not end")
        last.check_end()

    def _plan_faults(self) -> None:
        if not self.is_last:
            super()._plan_faults()

    def _edit(self) -> None:
        """The spec may be another one from now on."""
        random = self.random
        if random.random() < 0.5:
            return
        spec = _spec(random.randrange(len(EDITS)), random.choice((0, 0, 1)))
        names = [name for name in self.disk.content() if JOURNAL.fullmatch(name) and name.startswith("rows")]
        if not names:  # a plan that no segment was written under is forgotten
            self.history = History(spec)
            return
        # A new plan begins behind all that is there, as `begin_segment` does it.
        self.history.segment = max(int(name[5:10]) for name in names)
        eras = len(self.history.plans)
        keeps_stale = random.random() < 0.4
        regenerated = ("question",) if keeps_stale and random.random() < 0.3 else ()
        self.history.edit(spec, keeps_stale=keeps_stale, regenerated=regenerated)
        if len(self.history.plans) > eras:
            path = FOLDER.segment(self.history.segment)
            self.disk.close(self.disk.open(path))
            self.disk.sync_names(FOLDER.path)


class ColumnSession(Session):
    """One process that asks and writes, until it ends or crashes."""

    def __init__(self, scenario: ColumnScenario) -> None:
        super().__init__(scenario)
        self._of = scenario
        self._random = scenario.random
        self._plan = plan = scenario.history.plan
        self._lines: list[tuple[str, bytes]] = []
        self._before, self._handed = scenario.written(), list[dict[str, Any]]()
        self._answers: dict[CallOf, Mapping[str, Any]] = scenario.history.model().counting(self._before)
        self._asked: set[int] = set()
        scenario.copy()
        places = LinePlaces(of=frozenset(place for place, each in enumerate(plan.shape.children) if each))
        self._found = replay(scenario.folder, scenario.history.lineage(), places)
        self._check_found()
        again = [index for index in self._found.failed if self._random.random() < 0.3 or scenario.is_last]
        self._wanted = to_ask(plan, self._found, again, plan.rows_asked())
        self._reader = LineReader(scenario.folder, places)
        journal = MemoryJournal(keeps=False)
        journal.add_rows = self._add_rows  # type: ignore[method-assign]
        journal.failure = lambda line: self._lines.append(("failure", line))  # type: ignore[method-assign]
        self._journal = journal
        self._columns = column_counts(plan, self._found, rows=plan.rows_asked())
        counters = Counters(total=plan.rows, columns=self._columns)
        self._rows = OpenRows(
            plan, self._found, self._earlier, journal=journal, counters=counters, clock=scenario.clock
        )
        self._new = self._rows.begin(self._wanted.indices())
        self._queue: list[Call] = []
        self._out: list[Call] = []

    def run(self) -> None:
        """Until all is asked, or something stops it."""
        with self._reader:
            super().run()

    def check_end(self) -> None:
        """Nothing is left to ask, and each answer was made from those that count beside it."""
        scenario = self._of
        counting = scenario.history.model().counting(scenario.written())
        scenario.copy()
        found = replay(scenario.folder, scenario.history.lineage())
        if to_ask(self._plan, found, (), self._plan.rows_asked()).count:
            raise Violation("calls are left to be asked")
        for index in found.failed:
            raise Violation(f"call {index} failed in a session that nothing failed in")
        for index in range(self._plan.size):
            call = call_of(self._plan, index)
            line = counting.get(call)
            if line is None:
                raise Violation(f"{call} has no line that counts")
            # An answer to an earlier question that is kept was asked as that was.
            if "skipped" not in line and line["key"] == self._plan.key(index):
                self._check_made(call, line["prompt"], line.get("from", ()), counting)

    # -- what is asked ---------------------------------------------------------------------------------------------

    def _check_found(self) -> None:
        done = {call_of(self._plan, index) for index in self._found.done}
        if done != self._answers.keys():
            raise Violation(f"P6: counted is {done ^ self._answers.keys()} more or less than should be")
        skipped = {call_of(self._plan, index) for index in self._found.skipped}
        if skipped != {call for call, line in self._answers.items() if "skipped" in line}:
            raise Violation(f"P6: taken for skipped are {skipped}")

    def _earlier(self, index: int, reusable: Reusable | None) -> JournaledAnswer:
        if reusable is None:
            row = self._reader.row(index)
        else:
            row = self._reader.row_at(reusable.segment, reusable.offset)
            self._answers = {**self._answers, call_of(self._plan, index): row}
        return JournaledAnswer(row["response_txt"], row["crc"])

    def _fill(self) -> None:
        """Ask until IN_FLIGHT are out."""
        while len(self._out) < IN_FLIGHT:
            if not self._queue:
                calls = next(self._new, None)
                if calls is None:
                    return
                self._queue += calls
                continue
            call = self._queue.pop(0)
            self._check_asked(call)
            self._out.append(call)

    def _check_asked(self, call: Call) -> None:
        what = call_of(self._plan, call.index)
        if what in self._answers:
            raise Violation(f"P10: {what} is answered, and asked again")
        if call.index in self._asked:
            raise Violation(f"P10: {what} is asked twice in a session")
        self._asked.add(call.index)
        self._check_needed(what)
        self._check_made(what, call.prompt, call.built_on, self._answers)

    def _check_needed(self, what: CallOf) -> None:
        """No line that is there answers it: also none that didn't count before this session decided something."""
        if any(line.record["cell"] == dict(what.cell) for line in self._before):
            here = [Written(self._of.history.segment, record) for record in self._handed]
            if what in self._of.history.model().counting([*self._before, *here]):
                raise Violation(f"P10: {what} is asked again, and an answer made from the same is there")

    def _check_made(
        self, what: CallOf, prompt: str, built_on: Sequence[str], counting: Mapping[CallOf, Mapping[str, Any]]
    ) -> None:
        wanted, used = self._of.history.model().prompt(what, counting)
        if wanted != prompt:
            raise Violation(f"{what} is asked as {prompt!r}, not as {wanted!r}")
        if self._as_counted(used) != self._as_counted(built_on):
            raise Violation(f"{what} is made from {used}, and its line names {built_on}")

    def _as_counted(self, seals: Iterable[str]) -> set[str]:
        """Lines that skip one call are alike."""
        skips = {
            line["crc"]: line["key"]
            for line in [*(each.record for each in self._before), *self._handed]
            if "skipped" in line
        }
        return {skips.get(seal, seal) for seal in seals}

    # -- what comes of it --------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        """One of those that are out is answered, or fails."""
        call = self._out.pop(self._random.randrange(len(self._out)))
        at = self._of.clock.wall()
        if self._random.random() < 0.07 and not self._of.is_last:
            self._journal.failure(failure_line(call, [attempt_of(EndpointError("no"), at)], at=at))
            self._rows.failed(call)
            return
        text = self._random.choice(("good", "bad")) if call.column == "verdict" else f"<{call.column} {at.microsecond}>"
        completion = Completion(text, "stop", "m", {"total_tokens": 1}, "r")
        line = row_line(call, completion, attempts=1, latency_ms=1.0, at=at)
        self._journal.add_rows((line,))
        self._queue[:0] = self._rows.answered([(call, completion, line)])

    def _add_rows(self, lines: Sequence[bytes]) -> None:
        """Lines are in the journal's hands: from here on others may be made from them."""
        for line in lines:
            self._lines.append(("row", line))
            record = codec.loads(line)
            self._handed.append(record)
            self._answers = {**self._answers, call_of(self._plan, record["index"]): record}

    def _batch(self) -> Batch:
        batch = Batch()
        for kind, line in self._lines:
            self._given[kind].append(self._of.keyed(kind, line))
            (batch.rows if kind == "row" else batch.failures).append(line)
        self._lines.clear()
        return batch

    def _write(self) -> None:
        """Some answers come, and their lines are written; when the disk refuses for too long, the session gives up."""
        batch = Batch()
        for _ in range(self._random.randint(1, 4)):
            self._fill()
            if self._out:
                self._answer()
            fresh = self._batch()
            batch.rows += fresh.rows
            batch.failures += fresh.failures
        for _ in range(TRIES):
            try:
                self._store.write(batch)
            except OSError:
                self._acknowledge()
            else:
                self._acknowledge()
                return
        self._gave_up = True

    def _end(self) -> bool:
        while self._of.is_last and (self._out or self._queue or self._lines or self._has_more()):
            self._write()
        return super()._end()

    def _has_more(self) -> bool:
        self._fill()
        return bool(self._out or self._lines)
