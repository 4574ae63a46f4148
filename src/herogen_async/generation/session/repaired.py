"""The journal's torn tails, cut before anything is written behind them (P3); damage, where a person accepts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from herogen_async.core.errors import DiskError
from herogen_async.generation.journal import Known, TornTail, repair_tails
from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.generation.session.agreement import Agreed
from herogen_async.generation.session.notifier import Notifier


@dataclass(frozen=True, slots=True)
class Repaired:
    """A run whose journal may be appended to."""

    agreed: Agreed


def repair(agreed: Agreed, notifier: Notifier, at: datetime, *, requeues_damaged: bool) -> Repaired:
    """Cut the tails, and say so; before the manifest is written, a new plan begins behind all that is there.

    Raises DiskError, DamageError.
    """
    folder = agreed.locked.folder
    _tell_shortfall(folder, notifier)
    for torn in _cut_tails(folder, agreed.locked.lock, at):
        saved = f"; {torn.saved:,} complete lines after it were kept" if torn.saved else ""
        notifier.notice(
            f"{torn.path.name} ended in a torn line: {torn.cut:,} bytes were cut off and kept in "
            f"{torn.kept_in.name}{saved}."
        )
        notifier.record("tail_cut", file=torn.path.name, bytes=torn.cut, saved=torn.saved)
    if requeues_damaged:
        from herogen_async.generation.session.accept_damage import requeue_damaged  # noqa: PLC0415 - few runs have any

        requeue_damaged(folder, notifier.notice, notifier.record)
    return Repaired(agreed)


def _cut_tails(folder: RunFolder, lock: RunLock, at: datetime) -> list[TornTail]:
    try:
        torn, mark = repair_tails(folder, at, lock.mark)
    except DiskError:
        if lock.mark is not None:
            lock.vouch(lock.mark._replace(in_doubt=1))  # a sync may be among what was refused
        raise
    lock.vouch(mark)
    lock.sync(folder)
    return torn


def _tell_shortfall(folder: RunFolder, notifier: Notifier) -> None:
    for path, durable, held in Known(folder, ()).shortfalls():
        notifier.notice(
            f"{path.name} is {durable - held:,} bytes shorter than it was: another program cut it. What is "
            "missing is requested again; if there is a copy, stop now and put it back."
        )
        notifier.record("cut_off", file=path.name, bytes=durable - held)
