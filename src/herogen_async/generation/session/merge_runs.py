"""`merge`: the shards of a plan, or other runs of it, as one run that is resumed, exported and verified like any other.

Kept here:
1. The order of the arguments changes nothing. Runs are taken in the order in which they were begun: a row counts as the
   oldest run has it that has all of it.
2. Only runs of the same spec, model and history become one; the others are named, with what differs.
3. What a person paid is there, and is counted once; what is missing is told.
4. What people said of answers is kept (`merged_marks`).
5. The runs are only read. A kill leaves no run, and the same command begins again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from heapq import merge as in_order
from math import fsum
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import DiskError, InputError, RunInUse
from herogen_async.core.units import counted, in_words
from herogen_async.generation.journal import CopiedParts, JournalPart, copy_parts, replay
from herogen_async.generation.journal.write.new_run import new_run, write_lines
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import (
    Manifest,
    RunFolder,
    existing_run,
    find_run,
    is_held,
    keep_source,
    package_versions,
    read_events,
    read_lock,
    read_manifest,
    record_event,
    write_manifest,
)
from herogen_async.generation.session.api import status
from herogen_async.generation.session.common_history import CommonHistory, RunToMerge, common_history
from herogen_async.generation.session.merged_marks import merged_marks
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Lineage, Plan

_MOST_NAMED = 20  # shards that are missing, or runs with a torn end
_SPARE_BYTES = 1 << 20  # on the disk, for what is no answer


@dataclass(frozen=True, slots=True)
class MergedPart:
    """A run that was merged: `rows` it was to ask, and what became of them. `torn` bytes at its end are no answer."""

    run: str
    shard: str | None
    rows: int
    done: int
    failed: int
    missing: int
    torn: int


@dataclass(frozen=True, slots=True)
class MergedRun:
    """What `merge` made. `shared` rows were in several runs; `missing_shards` are in none of them. `marks` is how many
    things people had said of answers of these runs.

    `report` is what `status` says of the new run.
    """

    run: str
    report: RunReport
    parts: tuple[MergedPart, ...]
    shared: int
    missing_shards: tuple[str, ...]
    marks: int = 0

    @property
    def missing(self) -> int:
        """Rows without an answer that have not failed either."""
        return self.report.pending

    @property
    def exit_code(self) -> int:
        """3 where rows are missing, which `resume` requests; else 1 where some have failed."""
        return 3 if self.missing else self.report.exit_code

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `merge --json`."""
        report = self.report
        return {
            "run": self.run,
            "total": report.total,
            "done": report.done,
            "failed": report.failed,
            "missing": self.missing,
            "missing_shards": list(self.missing_shards),
            "shared": self.shared,
            "marks": self.marks,
            "parts": [asdict(part) for part in self.parts],
        }

    def lines(self) -> Iterator[str]:
        """As a person reads it."""
        for part in self.parts:
            yield _part_line(part)
        for part in [each for each in self.parts if each.torn][:_MOST_NAMED]:
            yield f"{part.run} ended in a torn line: {part.torn:,} bytes were left out, and count as no answer."
        if self.shared:
            are = "row is" if self.shared == 1 else "rows are"
            yield f"{self.shared:,} {are} in several of these runs; the oldest run with the whole row counts."
        if self.marks:
            yield f"{counted(self.marks, 'mark')} of people {'is' if self.marks == 1 else 'are'} in the new run, too."
        if self.missing_shards:
            named = list(self.missing_shards[:_MOST_NAMED])
            more = len(self.missing_shards) - len(named)
            shards = "shard" if len(self.missing_shards) == 1 else "shards"
            yield f"Missing: {shards} {in_words([*named, *([f'{more:,} more'] if more else [])])}."
        report = self.report
        ends = ", ".join(_ends(report.failed, self.missing))
        yield f"{report.done:,} of {counted(report.total, 'row')} -> {self.run}{f': {ends}' if ends else ''}."


def _part_line(part: MergedPart) -> str:
    shard = "" if part.shard is None else f" (shard {part.shard})"
    done = f"{part.done:,} of {counted(part.rows, 'row')}"
    return f"{part.run}{shard}: {', '.join([done, *_ends(part.failed, part.missing)])}."


def _ends(failed: int, missing: int) -> list[str]:
    return [f"{number:,} {what}" for number, what in ((failed, "failed"), (missing, "missing")) if number]


def merge(runs: Sequence[str | os.PathLike[str]], run: str | os.PathLike[str], clock: Clock | None = None) -> MergedRun:
    """Make the run `run` of `runs`: shards of one spec, or other runs of it, in any order. They are only read.

    The new run holds all their answers; `resume` requests what is missing. Raises InputError where they are not runs
    of the same spec and model, or `run` exists; RunInUse where one is running; DamageError, DiskError.
    """
    at = (clock or MonotonicClock()).wall()
    target = find_run(run)
    read = sorted(
        ((folder, read_manifest(folder)) for folder in _folders(runs)),
        # In the order in which they were begun; the rest is for those of one moment.
        key=lambda each: (each[1].created_at, each[1].settings.part, str(each[0].path.absolute())),
    )
    manifests = [manifest for _, manifest in read]
    history = common_history([RunToMerge(folder.argument, manifest) for folder, manifest in read])
    manifest = replace(
        history.longest,
        created_at=manifests[0].created_at,
        base_url=manifests[0].base_url,
        other_urls=manifests[0].other_urls,
        settings=_settings([each.settings for each in manifests]),
        versions=package_versions(),
    )
    with new_run(target, None, at=at, option="--run") as (lock, folder):  # first: a place that is taken is told at once
        parts = _parts(read, history)
        _require_room(folder, parts)
        copied = copy_parts(parts, folder, eras=len(manifest.earlier) + 1)
        if marks := merged_marks(part.folder for part in parts):
            write_lines(folder.marks, marks)
        keep_source(folder, {path.name: path for part in reversed(parts) for path in part.folder.kept_sources()})
        write_lines(folder.events, _events(parts, at))
        names = [part.folder.argument for part in parts]
        record_event(folder, "merged", at=at, runs=names, shared=copied.shared)
        lock.charge(sum(read_lock(part.folder).charged for part in parts))
        lock.vouch(copied.mark)
        write_manifest(folder, _with_segments(manifest, copied))
    return MergedRun(
        str(target.path),
        status(target.path),
        tuple(_part(each, part, copied.torn) for each, part in zip(manifests, parts, strict=True)),
        copied.shared,
        _missing_shards([each.settings for each in manifests], parts[0].lineage.plan),
        len(marks),
    )


def _folders(runs: Sequence[str | os.PathLike[str]]) -> list[RunFolder]:
    """The folders of `runs`, none twice, and none that is being written."""
    if isinstance(runs, str | os.PathLike) or not runs:
        raise InputError("no runs to merge", fix="give the runs' folders or names: herogen-async merge RUNS --run NAME")
    folders = [existing_run(each) for each in runs]
    times = Counter(folder.path.resolve() for folder in folders)
    for folder in folders:
        if times[folder.path.resolve()] > 1:
            raise InputError(f"{str(folder.path)!r} is given twice", fix="give each run once")
        if is_held(folder):
            raise RunInUse(
                f"{str(folder.path)!r} is running",
                fix=f"wait until it has ended, or stop it: herogen-async ctl {folder.argument} drain",
            )
    return folders


def _settings(each: Sequence[Settings]) -> Settings:
    """Those of the first run, for all rows that any of them was to ask, and with the money of all."""
    limits, budgets = [own.limit for own in each], [own.budget_usd for own in each]
    return replace(
        each[0],
        shard=None,
        mirror=None,  # it has one of its own, or none
        limit=None if None in limits else max(limit for limit in limits if limit is not None),
        budget_usd=None if None in budgets else fsum(budget for budget in budgets if budget is not None),
    )


def _parts(read: Sequence[tuple[RunFolder, Manifest]], history: CommonHistory) -> list[JournalPart]:
    """The runs with what their journals come to. Raises DamageError."""
    lineages: dict[Any, Lineage] = {}  # runs of the same plans share one: the index of a source is opened once
    parts = []
    for (folder, own), eras, asked in zip(read, history.eras_of, history.plans_of, strict=True):
        begins = (*(each.first_segment for each in own.earlier), own.first_segment)
        plans = asked, begins, own.keeps_stale, tuple(own.regenerated)
        if plans not in lineages:
            lineages[plans] = own.lineage()
        parts.append(JournalPart(folder, lineages[plans], eras, replay(folder, lineages[plans])))
    return parts


def _with_segments(manifest: Manifest, copied: CopiedParts) -> Manifest:
    """`manifest` with the segments at which its plans begin; one under which nothing was written is forgotten."""
    *begins, last = copied.first_segments
    earlier = [
        replace(plan, first_segment=segment)
        for plan, segment in zip(manifest.earlier, begins, strict=True)
        if segment is not None
    ]
    return replace(manifest, earlier=earlier, first_segment=copied.mark.segment if last is None else last)


def _require_room(folder: RunFolder, parts: Sequence[JournalPart]) -> None:
    """DiskError where the answers can't fit on the disk."""
    files = [path for part in parts for path in (*part.folder.segments(), part.folder.failures) if path.exists()]
    needed, free = sum(path.stat().st_size for path in files) + _SPARE_BYTES, shutil.disk_usage(folder.path).free
    if needed > free:
        raise DiskError(
            f"the merged run takes {_megabytes(needed)}, and {_megabytes(free)} are free",
            fix="free some space, or choose a folder on another disk with --run",
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _events(parts: Sequence[JournalPart], at: datetime) -> Iterator[bytes]:
    """What happened to all of them, in order; of one that was killed its last figures, too."""

    def of_one(folder: RunFolder) -> Iterator[dict[str, Any]]:
        yield from read_events(folder)
        if live := read_lock(folder).live:
            yield {"event": "died", "at": at.isoformat(), **live}

    every = in_order(*(of_one(part.folder) for part in parts), key=lambda event: str(event.get("at", "")))
    return (codec.dumps(event) + b"\n" for event in every)


def _part(manifest: Manifest, part: JournalPart, torn: Mapping[Path, int]) -> MergedPart:
    settings, found, plan = manifest.settings, part.found, part.lineage.plan
    asked = plan.rows_asked(settings.limit, settings.part)
    calls = plan.calls_of(asked)
    done = found.done.groups(plan.calls_a_row, calls.stop, calls.start)[0]
    failed = found.failed.groups(plan.calls_a_row, calls.stop, calls.start)[1]
    return MergedPart(
        str(part.folder.path),
        settings.shard,
        rows=found.rows_in_all(asked),
        done=found.rows_done,
        failed=found.rows_failed,
        missing=0 if plan.spec.want is not None else len(asked) - done - failed,
        torn=sum(size for path, size in torn.items() if path.parent == part.folder.path),
    )


def _missing_shards(each: Sequence[Settings], plan: Plan) -> tuple[str, ...]:
    """The shards that none of the runs is, where all are shards of the same rows."""
    if any(own.shard is None for own in each) or len({(own.part[1], own.limit) for own in each}) > 1:
        return ()
    there, number = {own.part[0] for own in each}, each[0].part[1]
    return tuple(
        f"{shard}/{number}"
        for shard in range(1, number + 1)
        if shard not in there and plan.rows_asked(each[0].limit, (shard, number))
    )
