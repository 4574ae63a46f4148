"""Runs of several columns of which durable bytes change: what still counts, and what is asked again because of it.

A `RottenColumns` is a seed: the sessions, edits and crashes of a `ColumnScenario`, and then some bytes of a segment
change. Checked is:

- the readers name the damage, and no run goes on over it;
- once it is accepted, what counts is what `ColumnModel` says of the lines that are left: with an answer go those that
  were made from it, and nothing else is asked again;
- a copy that `recover` makes counts the same, and a row that is whole inside damaged bytes with it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from herogen_async.core.errors import DamageError
from herogen_async.generation.journal import Damage, accept_damage, find_damage, replay, salvage, scan
from herogen_async.generation.run_folder import RunFolder, RunLock, read_manifest
from herogen_async.generation.session.selection import to_ask
from support.column_crashes import ColumnScenario
from support.column_histories import call_of
from support.column_model import Written
from support.crash_harness import JOURNAL, START, Violation


class RottenColumns(ColumnScenario):
    """One seed's sessions, edits and crashes, and bytes that change after them."""

    def run(self) -> int:
        """How many crashes there were, all of them survived, and the rot found; or Violation."""
        crashes = super().run()
        names = [name for name, data in self.disk.content().items() if JOURNAL.fullmatch(name) and data]
        rows = [name for name in names if name.startswith("rows")]
        if rows:
            self._rot(self.random.choice(rows))
            with tempfile.TemporaryDirectory() as place:
                self.folder = RunFolder(Path(place) / "r")
                self.folder.create()
                self.copy()
                self.history.describe(self.folder)
                if (mark := self._marks[-1]) is not None:  # else a damaged end would be taken for a torn one
                    lock = RunLock.acquire(self.folder, "now")
                    lock.vouch(mark._replace(in_doubt=0))
                    lock.release()
                self._check_rot(Path(place))
        return crashes

    def _rot(self, name: str) -> None:
        random, data = self.random, self.disk.content()[name]
        # Not at the very end: what lacks its end there is a torn line, and no damage.
        start = random.randrange(len(data) - 1)
        end = min(start + random.choice((1, 3, 64, 400)), len(data) - 1)
        fresh = bytearray(random.randbytes(end - start))
        fresh[0] = data[start] ^ 1 << random.randrange(8)
        self.disk.rot(name, start, bytes(fresh))

    def _check_rot(self, place: Path) -> None:
        lineage = self.history.lineage()
        damage = find_damage(self.folder)
        if not damage:
            raise Violation("bytes have changed, and no reader says so")
        try:
            replay(self.folder, lineage)
        except DamageError:
            pass
        else:
            raise Violation("a run goes on over damage")
        copy = RunFolder(place / "copy")
        salvage(self.folder, copy, read_manifest(self.folder), at=START, is_proven=True)
        accept_damage(self.folder, damage)
        for folder in (self.folder, copy):
            self._check_counts(folder)

    def _check_counts(self, folder: RunFolder) -> None:
        plan = self.history.plan
        counting = self.history.model().counting(_sound(folder)).keys()
        found = replay(folder, self.history.lineage())
        done = {call_of(plan, index) for index in found.done}
        if done != counting:
            raise Violation(f"{folder.path.name}: counted is {done ^ counting} more or less than should be")
        asked = {call_of(plan, index) for index in to_ask(plan, found, list(found.failed), plan.rows_asked()).indices()}
        if asked != {call_of(plan, index) for index in range(plan.size)} - counting:
            raise Violation(f"{folder.path.name}: {asked} are asked")


def _sound(folder: RunFolder) -> list[Written]:
    return [
        Written(int(path.name[5:10]), line.record)
        for path in folder.segments()
        for line in scan(path)
        if not isinstance(line, Damage)
    ]
