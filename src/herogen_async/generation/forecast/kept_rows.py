"""What a run's folder holds, read for a forecast: nothing is written, and no lock is taken."""

from __future__ import annotations

from dataclasses import replace

from herogen_async.generation.forecast.kept_calls import Kept, settled_calls
from herogen_async.generation.journal import replay
from herogen_async.generation.run_folder import Manifest, RunFolder, segment_number
from herogen_async.specs.plan import IndexSet, Lineage


def followed(folder: RunFolder, held: Manifest, fresh: Manifest) -> Manifest:
    """What the run in `folder` would be, were it to go on as `fresh`."""
    number = max((segment_number(path) + 1 for path in folder.segments()), default=0)
    return held.followed_by(fresh, number)


def kept_by(folder: RunFolder, manifest: Manifest) -> Kept:
    """What `folder` holds of the calls of `manifest`, which says what a run would keep of it. Raises DamageError."""
    lineage = _lineage(manifest, keeps_stale=False)
    plan, found = lineage.plan, replay(folder, lineage)
    settled, settings = settled_calls(plan, found), manifest.settings
    meant = plan.rows_asked() if settings.shard is None else plan.rows_asked(settings.limit, settings.part)
    unfit = found.unfit.minus(settled)  # no change keeps them
    if not (len(found.stale) or found.outdated):
        return Kept(plan, found, unfit, settled, meant)
    # A stale call that was asked again and failed is no longer to be asked.
    if plan.calls_a_row == 1:
        stale = found.stale.minus(settled)
        keeps = manifest.keeps_stale and not manifest.regenerated
        left_out = IndexSet.union(settled, stale) if keeps else settled
        return Kept(plan, found, IndexSet.union(stale, unfit), left_out, meant)
    # What was made from a stale answer counts where that does: only a second look can tell.
    keeping = replay(folder, _lineage(manifest, keeps_stale=True))
    stale = IndexSet.union(keeping.done.minus(settled), unfit)
    if not manifest.keeps_stale:
        return Kept(plan, found, stale, settled, meant)
    going_on = replay(folder, manifest.lineage()) if manifest.regenerated else keeping
    return Kept(plan, found, stale, settled_calls(plan, going_on), meant)


def _lineage(manifest: Manifest, *, keeps_stale: bool) -> Lineage:
    return replace(manifest, keeps_stale=keeps_stale, regenerated=[]).lineage()
