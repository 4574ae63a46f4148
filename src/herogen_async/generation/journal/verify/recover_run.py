"""From a damaged run to a sound one: what was copied, what was lost, what to do next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import DamageError, RunFolderError, RunInUse, SpecError
from herogen_async.core.units import counted
from herogen_async.generation.journal import Known, Recovered, Remains, salvage
from herogen_async.generation.journal import replay as fold
from herogen_async.generation.journal.verify.findings import MOST_LISTED
from herogen_async.generation.run_folder import (
    Manifest,
    RunFolder,
    existing_run,
    find_run,
    is_held,
    own_bytes,
    publish,
    read_lock,
    read_manifest,
    read_remains,
)
from herogen_async.specs.plan import IndexSet, Plan


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` did. `lost` are sentences, `lost_count` of them were there to say.

    `missing` tasks below the highest that was ever asked have no answer in the copy, `missing_tasks` says which. Where
    a row has several columns they are rows, by their numbers, that lack one of their answers.
    """

    run: str
    out: str
    rows: int
    rescued: int
    doubles: int
    failures: int
    lost: tuple[str, ...]
    lost_count: int
    missing: int
    missing_tasks: str
    notices: tuple[str, ...]
    next: str
    columns: int = 1

    @property
    def exit_code(self) -> int:
        """0 nothing was lost, 4 something was."""
        return 4 if self.lost_count else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `recover --json`."""
        return {name: value for name, value in asdict(self).items() if name != "columns" or value > 1}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [*self.notices, *self.lost]
        if self.lost_count > len(self.lost):
            lines.append(f"{self.lost_count - len(self.lost):,} more losses are not listed.")
        more = f", {self.rescued:,} of them from damaged lines" if self.rescued else ""
        lines.append(f"{self.rows:,} rows -> {self.out}{more}; {self.failures:,} failures.")
        if self.doubles:
            lines.append(f"Skipped: {self.doubles:,} duplicate rows.")
        if self.missing and self.columns > 1:
            lines.append(f"Started, but incomplete: {counted(self.missing, 'row')}: {self.missing_tasks}.")
        elif self.missing:
            lines.append(f"Requested, but no answer: {counted(self.missing, 'task')}: {self.missing_tasks}.")
        lines.append("Something was lost." if self.lost_count else "Nothing was lost.")
        return lines


def recover(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, clock: Clock | None = None
) -> Recovery:
    """Copy what is sound in `run` to `out`, a new run, with its marks; `RUN-recovered` beside it when left out.

    Raises RunFolderError, RunInUse, InputError, DiskError, and DamageError when the manifest is past saving.
    """
    source = find_run(run)
    if not source.segments():
        source = existing_run(run)
    source.require_own_files()
    if is_held(source):
        raise RunInUse(
            f"{str(source.path)!r} is running", fix=f"stop it first: herogen-async ctl {source.argument} drain"
        )
    target = RunFolder(source.path.with_name(f"{source.path.name}-recovered")) if out is None else find_run(out)
    manifest, notices = _manifest(source)
    known, lock = Known(source), read_lock(source)
    try:
        copied = salvage(source, target, manifest, at=(clock or MonotonicClock()).wall(), is_proven=not notices)
    except RunFolderError as error:
        raise RunFolderError(error.message, fix="choose another place with --out, or fix that one") from error
    with contextlib.suppress(FileNotFoundError):  # a mark names its answer by checksum, and the lines are as they were
        publish(target.marks, own_bytes(source.marks))
    lineage = manifest.lineage()
    found = fold(target, lineage)
    remains = [each for each in copied.remains if each.index is None or each.index not in found.done]
    gone = [f"{damage.place} is missing." for damage in known.missing() if not known.is_accepted(damage)]
    gone += [f"{path} was cut short: {size - held:,} bytes are gone." for path, size, held in known.shortfalls()]
    first = lineage.plan.rows_asked(manifest.settings.limit, manifest.settings.part).start
    missing, which = _ranges(_missing(found, lineage.plan, first, lock.frontier))
    return Recovery(
        run=str(source.path),
        out=str(target.path),
        rows=copied.rows,
        rescued=copied.rescued,
        doubles=copied.doubles,
        failures=copied.failures,
        lost=tuple((*gone, *(_sentence(each, lineage.plan) for each in remains))[:MOST_LISTED]),
        lost_count=len(gone) + copied.damaged - len(copied.remains) + len(remains),
        missing=missing,
        missing_tasks=which,
        notices=notices,
        next=f"herogen-async resume {target.argument}",
        columns=len(lineage.plan.columns),
    )


def _missing(found: Recovered, plan: Plan, first: int, frontier: int) -> Iterator[int]:
    """The calls below `frontier`, from row number `first` on, without an answer or a failure; of several columns the
    rows that have such a call.
    """
    answered = IndexSet.union(found.done, found.failed)
    for index in found.failed:  # what builds on a call that failed was never to be asked
        place = index % plan.calls_a_row
        for follower in plan.shape.descendants(place):
            answered.add(index - place + follower)
    rows = -(-frontier // plan.calls_a_row)  # the last of them may have been begun by some of its calls alone
    missing = answered.missing(min(rows * plan.calls_a_row, plan.size), first * plan.calls_a_row)
    return (row for row, _ in groupby(index // plan.calls_a_row for index in missing))


def _manifest(source: RunFolder) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest of a run, whole or pieced together: then what to say about it."""
    try:
        if not source.is_run:
            raise DamageError(f"{str(source.manifest)!r} is missing")
        manifest = read_manifest(source)
        fresh = _fingerprinted(manifest)
        if fresh == manifest:
            return manifest, ()
        reason = f"{str(source.manifest)!r} does not match its own fingerprints"
    except (DamageError, SpecError) as error:
        reason, fresh = error.message, _fingerprinted(read_remains(source))
    return fresh, (f"{reason}: it was rebuilt, and every row matches it; check its settings.",)


def _fingerprinted(manifest: Manifest) -> Manifest:
    plan = manifest.lineage().plan
    return replace(manifest, grid_fingerprint=plan.grid_fingerprint, generation_fingerprint=plan.generation_fingerprint)


def _sentence(remains: Remains, plan: Plan) -> str:
    damage = remains.damage
    if remains.index is None:
        return f"{damage.place}: {damage.size:,} bytes are lost; their task can't be read."
    return f"{damage.place}: lost: {plan.in_words(remains.index)}."


def _ranges(indices: Iterable[int]) -> tuple[int, str]:
    """How many, and which: `3, 7-9, ...`."""
    count, ranges = 0, list[list[int]]()
    for count, index in enumerate(indices, start=1):  # noqa: B007 - the last count is the result
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        elif len(ranges) < MOST_LISTED:
            ranges.append([index, index])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    more = ["..."] if sum(last - first + 1 for first, last in ranges) < count else []
    return count, ", ".join(words + more)
