"""`--requeue-damaged`: damage is accepted, told, and from then on passed over; what it held is asked again."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.core.errors import DiskError
from herogen_async.generation.journal import accept_damage, find_damage
from herogen_async.generation.run_folder import RunFolder

_TOLD = 5  # lines; a person who has more to look at takes `verify`


def requeue_damaged(folder: RunFolder, notice: Callable[[str], None], record: Callable[..., None]) -> None:
    """Accept all the damage there is in `folder`. For the lock's holder, once the tails are repaired."""
    damage = find_damage(folder)
    if not damage:
        return
    try:
        accept_damage(folder, damage)
    except OSError as error:
        raise DiskError(
            f"{str(folder.damage)!r} can't be written: {error.strerror}", fix="free some space, then try again"
        ) from error
    for each in damage[:_TOLD]:
        what = "is missing: what it held" if each.line == 0 else "is damaged: what it held"
        notice(f"{each.place} {what} is requested again.")
    if len(damage) > _TOLD:
        notice(f"{len(damage) - _TOLD} more damaged lines are skipped: herogen-async verify {folder.argument}")
    record("damage_accepted", lines=len(damage), places=[each.place for each in damage[:_TOLD]])
