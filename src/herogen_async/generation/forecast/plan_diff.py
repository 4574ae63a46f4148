"""What a run's folder and a request come to: kept, new and stale, and what a person has to agree to first. Pure.

Rows of two plans are mixed only when a person says so (P7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from herogen_async.core.errors import RunFolderError
from herogen_async.generation.forecast.changes import differences, in_words
from herogen_async.generation.journal import Recovered
from herogen_async.generation.run_folder import Manifest, RunFolder
from herogen_async.generation.run_request import Consent
from herogen_async.specs.plan import IndexSet, Lineage, Plan


@dataclass(frozen=True, slots=True)
class Kept:
    """What a folder holds of the tasks of `plan`: `stale` are those that were answered by another generation alone."""

    plan: Plan
    found: Recovered
    stale_set: IndexSet

    @classmethod
    def of(cls, lineage: Lineage, found: Recovered) -> Kept:
        """Of a journal that was read with `lineage`, which must not keep what is stale."""
        # A stale task that was asked again and failed is no longer to be asked.
        return cls(lineage.plan, found, found.stale.minus(found.failed))

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
        """Tasks that failed."""
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
class PlanDiff:
    """What a folder is to be from now on. `held` is what it was, None where it is new.

    `changes` says in words what of the questions differs. `is_change`: other tasks are asked for, or stale ones again.
    `is_agreed`: nobody needs to be asked, unless answers are there.
    """

    held: Manifest | None
    fresh: Manifest
    changes: tuple[str, ...] = ()
    is_change: bool = False
    is_agreed: bool = True


def plan_diff(held: Manifest | None, fresh: Manifest, consent: Consent) -> PlanDiff:
    """What `held` and `fresh` differ in, and whether `consent` covers it."""
    if held is None:
        return PlanDiff(None, fresh)
    changes = differences(held, fresh)
    keeps_stale, regenerated = _kept_stale(held, fresh, consent)
    return PlanDiff(
        held,
        replace(fresh, keeps_stale=keeps_stale, regenerated=regenerated),
        tuple(changes),
        is_change=bool(changes) or (keeps_stale, regenerated) != (held.keeps_stale, held.regenerated),
        is_agreed=not changes or _consents(consent, held, fresh),
    )


def _kept_stale(held: Manifest, fresh: Manifest, consent: Consent) -> tuple[bool, list[str]]:
    """Whether stale answers count from now on, and the columns whose don't."""
    is_other = held.generation_fingerprint != fresh.generation_fingerprint
    if consent.regenerate_stale and consent.columns:
        return True, sorted({*held.regenerated, *consent.columns})
    if consent.regenerate_stale:
        return False, []
    if consent.extend and is_other:
        now = {each.name: each.fingerprint for each in fresh.lineage().plan.columns}
        was = {each.name: each.fingerprint for each in held.lineage().plan.columns} if held.regenerated else {}
        return True, [name for name in held.regenerated if name in now and now[name] == was.get(name)]
    return held.keeps_stale, held.regenerated


def refuse_other_weights(folder: RunFolder, held: Manifest, fresh: Manifest) -> None:
    """Raises RunFolderError: a key doesn't say which weights answered, their rows could never be told apart again."""
    fix = f"start a new run with --run NAME, or continue the old one: herogen-async resume {folder.argument}"
    if (held.weights or {}).get("sha256") != (fresh.weights or {}).get("sha256"):
        if held.weights and fresh.weights:
            what = "the weights of the embedded model changed"
        else:
            was, now = ("the embedded model", "a server") if held.weights else ("a server", "the embedded model")
            what = f"the weights changed: {was} answered before, this command would use {now} instead"
        raise RunFolderError(f"{str(folder.path)!r} has answers from another model: {what}", fix=fix)
    plan = held.lineage().plan
    if (plan.grid_fingerprint, plan.generation_fingerprint) != (held.grid_fingerprint, held.generation_fingerprint):
        raise RunFolderError(
            f"{str(folder.path)!r} has answers to different requests: the generation fingerprint "
            "changed, although the spec did not",
            fix="start a new run with --run NAME, or use the version of herogen-async that wrote it",
        )


def refusal(folder: RunFolder, changes: Sequence[str], kept: Kept, *, is_other_grid: bool) -> RunFolderError:
    """What a person reads who has not agreed to a change yet: what it comes to, and what to say to agree."""
    extend, again = "", ""
    if kept.stale:
        extend = f", and keeps the {kept.stale:,} stale ones"
        flag = "--extend --regenerate-stale" if is_other_grid else "--regenerate-stale"
        again = f"; `{flag}` also requests the stale ones again"
    given_up = f", {kept.failed:,} failed" if kept.failed else ""
    name = folder.argument
    return RunFolderError(
        f"{str(folder.path)!r} has answers to different requests: {in_words(changes)} changed. "
        f"{kept.kept:,} answers would be kept, {kept.new:,} tasks are new, {kept.stale:,} answers are stale{given_up}",
        fix=f"see the cost: herogen-async plan SPEC {name}. The same command with `--extend` requests what is new"
        f"{extend}{again}. Or start a new run with --run NAME; continue the old one: herogen-async resume {name}",
    )


def change_line(diff: PlanDiff, kept: Kept) -> str:
    """What a change comes to, in a line."""
    parts = [f"{kept.kept:,} answers are kept"] if kept.kept else []
    if kept.new:
        parts.append(f"{kept.new:,} tasks are new")
    if kept.stale and diff.fresh.keeps_stale:
        parts.append(
            f"{kept.stale:,} answers of an earlier prompt, model or sampling stay, because of --extend "
            "(--regenerate-stale requests them again)"
        )
    elif kept.stale:
        parts.append(f"{kept.stale:,} stale answers are requested again; their old rows stay in the journal, uncounted")
    if kept.found.unused:
        parts.append(f"{kept.found.unused:,} rows of removed cells stay there too")
    what = "; ".join(parts) or "no answers yet"
    return f"Changed: {in_words(diff.changes)}. {what}." if diff.changes else f"{what}."


def _consents(consent: Consent, held: Manifest, fresh: Manifest) -> bool:
    """New cells are agreed to by `extend`; another generation by that, or by asking anew what it makes stale."""
    return consent.extend or (consent.regenerate_stale and held.grid_fingerprint == fresh.grid_fingerprint)
