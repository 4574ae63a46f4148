"""The manifest says what the run is from now on; it is written once the journal is repaired."""

from __future__ import annotations

from dataclasses import dataclass, replace

from herogen_async.core.errors import DiskError
from herogen_async.core.units import span
from herogen_async.generation.forecast.costs import Prices, common_price
from herogen_async.generation.forecast.plan_diff import PlanDiff, change_line
from herogen_async.generation.prices import Price
from herogen_async.generation.run_folder import Manifest, RunFolder, RunLock, begin_segment, keep_source, write_manifest
from herogen_async.generation.run_request import Ready
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.repaired import Repaired
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Lineage
from herogen_async.specs.source_index.spec_cells import records_to_keep


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that is ready to be gone on with. `before` is its manifest as it was found, None where it is new."""

    ready: Ready
    prices: Prices
    lock: RunLock
    lineage: Lineage
    before: Manifest | None

    @property
    def price(self) -> Price | None:
        return common_price(self.prices)

    @property
    def folder(self) -> RunFolder:
        return self.ready.request.folder

    def with_settings(self, settings: Settings) -> Opened:
        """The same run, driven otherwise."""
        return replace(self, ready=replace(self.ready, request=replace(self.ready.request, settings=settings)))


def conclude(repaired: Repaired, notifier: Notifier) -> Opened:
    """Write what was agreed on, where it differs from what is there, and say what it comes to. Raises DiskError."""
    locked, diff = repaired.agreed.locked, repaired.agreed.diff
    # What a wrong start has sent were other questions; what another shard has sent says nothing about this one's rows.
    was, now = _rows_meant(diff)
    if diff.is_change or diff.held is None or was.start != now.start:
        locked.lock.forget_sent()
    shard = diff.fresh.settings.shard
    is_same_shard = diff.held is not None and shard == diff.held.settings.shard
    if is_same_shard and was and not (now.start <= was.start and was.stop <= now.stop):
        notifier.notice(
            f"Shard {shard} is {span(now)} now; it was {span(was)}. Another shard may request what lies outside of it "
            "again: merge shards before you change the limit or the spec."
        )
    manifest = _written(locked.folder, diff)
    if diff.is_change:
        from herogen_async.generation.forecast.kept_rows import kept_by  # noqa: PLC0415 - few runs are changed

        kept = kept_by(locked.folder, manifest)
        notifier.notice(change_line(diff, kept))
        notifier.record("changed", changes=diff.changes, keeps_stale=diff.fresh.keeps_stale, **kept.counts())
    return Opened(locked.priced.ready, locked.priced.prices, locked.lock, manifest.lineage(), diff.held)


def _rows_meant(diff: PlanDiff) -> tuple[range, range]:
    """The rows that a shard was, and those that it is; empty where it is and was all of them."""
    if diff.held is None or diff.held.settings.shard == diff.fresh.settings.shard is None:
        return range(0), range(0)
    was, now = (
        each.lineage().plan.rows_asked(each.settings.limit, each.settings.part) for each in (diff.held, diff.fresh)
    )
    return was, now


def _written(folder: RunFolder, diff: PlanDiff) -> Manifest:
    manifest = diff.fresh
    if diff.held is not None:
        from herogen_async.generation.forecast.kept_rows import followed  # noqa: PLC0415 - a new run needs none of it

        manifest = replace(
            followed(folder, diff.held, manifest), keeps_stale=manifest.keeps_stale, regenerated=manifest.regenerated
        )
        if manifest == diff.held:
            return manifest
    try:
        if "source" in manifest.spec:  # first: what is sent can be looked up, whatever comes
            cells, *earlier = (era.plan.cells for era in reversed(manifest.lineage().eras))
            keep_source(folder, records_to_keep(cells, earlier))
        begin_segment(folder, manifest.first_segment)  # first: what a repair saves belongs to the old plan
        write_manifest(folder, manifest)
    except OSError as error:
        raise DiskError(f"{str(folder.manifest)!r} can't be written: {error.strerror}") from error
    return manifest
