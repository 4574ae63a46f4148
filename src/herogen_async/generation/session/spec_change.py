"""A run folder and an order must mean the same questions: rows of two plans are mixed only when a person says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from herogen_async.core.errors import DiskError, RunFolderError
from herogen_async.generation.endpoint.target import EMBEDDED
from herogen_async.generation.journal import Recovered, replay
from herogen_async.generation.run_folder import (
    Manifest,
    RunFolder,
    begin_segment,
    package_versions,
    read_manifest,
    segment_number,
    write_manifest,
)
from herogen_async.generation.session.changes import differences, in_words
from herogen_async.generation.session.open_endpoint import Ready
from herogen_async.generation.session.run_request import RunRequest
from herogen_async.specs.plan import IndexSet, Plan


@dataclass(frozen=True, slots=True)
class Kept:
    """What a folder holds of the tasks of `plan`: `stale` are those that were answered by another generation alone."""

    plan: Plan
    found: Recovered
    stale_set: IndexSet

    @property
    def rows(self) -> int:
        """All that are there, whatever they answer."""
        return self.found.rows

    @property
    def kept(self) -> int:
        """Tasks with an answer that counts whatever is agreed on."""
        return len(self.found.done)

    @property
    def stale(self) -> int:
        return len(self.stale_set)

    @property
    def failed(self) -> int:
        """Tasks that were given up."""
        return len(self.found.failed)

    @property
    def new(self) -> int:
        """Tasks without an answer. The grid is not walked."""
        return self.plan.size - self.kept - self.stale - self.failed

    def counts(self) -> dict[str, int]:
        """Plain data, for events and scripts."""
        counts = {name: getattr(self, name) for name in ("kept", "new", "stale", "failed")}
        return {**counts, "unused": self.found.unused}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a folder is to be from now on. Nothing is written before `conclude`.

    `held` is what it was, None where it is new. `is_change`: other tasks are asked for, or stale ones again.
    """

    folder: RunFolder
    held: Manifest | None
    fresh: Manifest
    changes: tuple[str, ...] = ()
    is_change: bool = False

    def conclude(self) -> Manifest:
        """Write the manifest, where it differs; the journal's tails are repaired. Raises DiskError."""
        manifest = self.fresh
        if self.held is not None:
            manifest = replace(after(self.folder, self.held, manifest), keeps_stale=manifest.keeps_stale)
            if manifest == self.held:
                return manifest
        try:
            begin_segment(self.folder, manifest.first_segment)  # first: what a repair saves belongs to the old plan
            write_manifest(self.folder, manifest)
        except OSError as error:
            raise DiskError(f"{str(self.folder.manifest)!r} can't be written: {error.strerror}") from error
        return manifest


def agree(ready: Ready, plan: Plan, at: datetime) -> Agreement:
    """What the folder and the order come to; nothing is changed.

    Raises RunFolderError when the folder holds answers to other questions and the order doesn't consent to that,
    DamageError when what it holds can't be read.
    """
    fresh, folder, consent = manifest_of(ready, plan, at), ready.order.folder, ready.order.consent
    if not folder.manifest.exists():
        if folder.segments():
            raise RunFolderError(
                f"{str(folder.path)!r} holds answers but no manifest",
                fix="put its manifest.json back, or start a new run with --run NAME",
            )
        return Agreement(folder, None, fresh)
    held = read_manifest(folder)
    refuse_other_weights(folder, held, fresh)
    changes = differences(held, fresh)
    if changes and not _consents(ready.order, held, fresh):
        kept = kept_by(folder, after(folder, held, fresh))
        if kept.rows or kept.failed:
            raise _refusal(folder, changes, kept, held, fresh)
    keeps_stale = held.keeps_stale
    if consent.regenerate_stale:
        keeps_stale = False
    elif consent.extend and held.generation_fingerprint != fresh.generation_fingerprint:
        keeps_stale = True
    is_change = bool(changes) or keeps_stale != held.keeps_stale
    return Agreement(folder, held, replace(fresh, keeps_stale=keeps_stale), tuple(changes), is_change)


def told(agreement: Agreement, kept: Kept) -> str:
    """What a change comes to, in a line."""
    parts = [f"{kept.kept:,} answers are kept"] if kept.kept else []
    if kept.new:
        parts.append(f"{kept.new:,} tasks are new")
    if kept.stale and agreement.fresh.keeps_stale:
        parts.append(
            f"{kept.stale:,} answers of an earlier prompt, model or sampling stay as they are, because of --extend "
            "(--regenerate-stale asks them again)"
        )
    elif kept.stale:
        parts.append(f"{kept.stale:,} stale answers are asked again; their old rows stay in the journal, uncounted")
    if kept.found.unused:
        parts.append(f"{kept.found.unused:,} rows of cells that are no more stay there too")
    what = "; ".join(parts) or "nothing is there yet"
    return f"Changed: {in_words(agreement.changes)}. {what}." if agreement.changes else f"{what}."


def manifest_of(ready: Ready, plan: Plan, at: datetime) -> Manifest:
    """The manifest of a new run."""
    order, weights = ready.order, ready.weights
    return Manifest(
        spec=order.spec.as_dict(),
        grid_fingerprint=plan.grid_fingerprint,
        generation_fingerprint=plan.generation_fingerprint,
        endpoint=order.endpoint,
        model=ready.model,
        base_url=None if order.server is None else order.server.base_url,
        created_at=at.isoformat(),
        weights=None if weights is None else {"file": order.weights or EMBEDDED, "sha256": weights.sha256},
        settings=order.settings,
        versions=package_versions(),
    )


def after(folder: RunFolder, held: Manifest, fresh: Manifest) -> Manifest:
    """What the run in `folder` would be, were it to go on as `fresh`."""
    number = max((segment_number(path) + 1 for path in folder.segments()), default=0)
    return held.followed_by(fresh, number)


def kept_by(folder: RunFolder, manifest: Manifest) -> Kept:
    """What `folder` holds of the tasks of `manifest`. Raises DamageError."""
    lineage = replace(manifest, keeps_stale=False).lineage()
    found = replay(folder, lineage)
    stale = found.stale.minus(found.failed)  # a task that was asked again and given up is no longer to be asked
    return Kept(lineage.plan, found, stale)


def _consents(order: RunRequest, held: Manifest, fresh: Manifest) -> bool:
    """New cells are agreed to by `extend`; another generation by that, or by asking anew what it makes stale."""
    consent = order.consent
    if consent.extend:
        return True
    return consent.regenerate_stale and held.grid_fingerprint == fresh.grid_fingerprint


def refuse_other_weights(folder: RunFolder, held: Manifest, fresh: Manifest) -> None:
    """Raises RunFolderError: a key doesn't say which weights answered, their rows could never be told apart again."""
    fix = f"start a new run with --run NAME, or go on with the old one: herogen-async resume {folder.argument}"
    if (held.weights or {}).get("sha256") != (fresh.weights or {}).get("sha256"):
        if held.weights and fresh.weights:
            what = "the weights of the embedded model changed"
        else:
            was, now = ("the embedded model", "a server") if held.weights else ("a server", "the embedded model")
            what = f"the weights changed: {was} answered, and now {now} would"
        raise RunFolderError(f"{str(folder.path)!r} holds answers of another model: {what}", fix=fix)
    plan = held.lineage().plan
    if (plan.grid_fingerprint, plan.generation_fingerprint) != (held.grid_fingerprint, held.generation_fingerprint):
        raise RunFolderError(
            f"{str(folder.path)!r} holds answers to other questions than its spec asks: the generation fingerprint "
            "changed, and nothing in the spec says why",
            fix="start a new run with --run NAME, or use the version of herogen-async that wrote it",
        )


def _refusal(folder: RunFolder, changes: list[str], kept: Kept, held: Manifest, fresh: Manifest) -> RunFolderError:
    extend, again = "", ""
    if kept.stale:
        extend = f", and keeps the {kept.stale:,} stale as they are"
        flag = (
            "--regenerate-stale" if held.grid_fingerprint == fresh.grid_fingerprint else "--extend --regenerate-stale"
        )
        again = f"; `{flag}` asks the stale again too"
    given_up = f", {kept.failed:,} given up" if kept.failed else ""
    name = folder.argument
    return RunFolderError(
        f"{str(folder.path)!r} holds answers to other questions: {in_words(changes)} changed. "
        f"{kept.kept:,} answers would be kept, {kept.new:,} tasks are new, {kept.stale:,} answers are stale{given_up}",
        fix=f"what it would cost: herogen-async plan SPEC {name}. The same command with `--extend` asks what is new"
        f"{extend}{again}. Or start a new run with --run NAME; the old one goes on with: herogen-async resume {name}",
    )
