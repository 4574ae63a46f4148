"""A run folder and a request must mean the same questions: rows of two plans are mixed only when a person says so (P7).

Nothing is changed here: what is refused leaves everything as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from herogen_async.core.errors import RunFolderError
from herogen_async.generation.forecast.plan_diff import PlanDiff, plan_diff, refusal, refuse_other_weights
from herogen_async.generation.run_folder import Manifest, RunFolder, read_manifest
from herogen_async.generation.run_request import manifest_of
from herogen_async.generation.session.locked import Locked

if TYPE_CHECKING:
    from herogen_async.generation.forecast.kept_calls import Kept


@dataclass(frozen=True, slots=True)
class Agreed:
    """A locked run that may go on as `diff` says."""

    locked: Locked
    diff: PlanDiff


def agree(locked: Locked, at: datetime) -> Agreed:
    """What the folder and the request come to.

    Raises RunFolderError when the folder holds answers to other questions and the request doesn't consent to that,
    DamageError when what it holds can't be read.
    """
    folder, ready, plan = locked.folder, locked.priced.ready, locked.priced.plan
    held, fresh = _held(folder), manifest_of(ready, plan, at)
    if held is None:
        return Agreed(locked, PlanDiff(None, fresh))
    # A new run loads none of it.
    from herogen_async.generation.forecast.changes import differences  # noqa: PLC0415
    from herogen_async.generation.forecast.kept_rows import followed, kept_by  # noqa: PLC0415

    if differences(held, fresh) and not folder.has_lines:
        return Agreed(locked, PlanDiff(None, fresh))  # a wrong start, of which nothing came: its name is free
    refuse_other_weights(folder, held, fresh)
    diff = plan_diff(held, fresh, ready.request.consent)
    if not diff.is_agreed:
        kept = kept_by(folder, followed(folder, held, fresh))
        is_free = diff.is_form and _asks_no_more(folder, held, kept)
        if (kept.rows or len(kept.found.failed)) and not is_free:
            raise refusal(folder, diff, kept)
    return Agreed(locked, diff)


def _asks_no_more(folder: RunFolder, held: Manifest, kept: Kept) -> bool:
    """Whether a run with other forms asks nothing that it would not have asked as it was."""
    from herogen_async.generation.forecast.kept_rows import kept_by  # noqa: PLC0415 - as above

    now, before = kept.all_calls, kept_by(folder, held).all_calls
    return not now.stale and now.new <= before.new


def _held(folder: RunFolder) -> Manifest | None:
    if folder.is_run:
        return read_manifest(folder)
    if folder.segments():
        raise RunFolderError(
            f"{str(folder.path)!r} has answers but no manifest",
            fix="put its manifest.json back, or start a new run with --run NAME",
        )
    return None
