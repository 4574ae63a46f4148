"""What a run's folder holds, read for a forecast: nothing is written, and no lock is taken."""

from __future__ import annotations

from dataclasses import replace

from herogen_async.generation.forecast.plan_diff import Kept
from herogen_async.generation.journal import replay
from herogen_async.generation.run_folder import Manifest, RunFolder, segment_number


def followed(folder: RunFolder, held: Manifest, fresh: Manifest) -> Manifest:
    """What the run in `folder` would be, were it to go on as `fresh`."""
    number = max((segment_number(path) + 1 for path in folder.segments()), default=0)
    return held.followed_by(fresh, number)


def kept_by(folder: RunFolder, manifest: Manifest) -> Kept:
    """What `folder` holds of the tasks of `manifest`. Raises DamageError."""
    lineage = replace(manifest, keeps_stale=False).lineage()
    return Kept.of(lineage, replay(folder, lineage))
