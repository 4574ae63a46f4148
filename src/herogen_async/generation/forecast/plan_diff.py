"""What a run's folder and a request come to: kept, new and stale, and what a person has to agree to first. Pure.

Rows of two plans are mixed only when a person says so (P7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from herogen_async.core.errors import RunFolderError
from herogen_async.core.units import counted, in_words
from herogen_async.generation.run_folder import Manifest, RunFolder
from herogen_async.generation.run_request import Consent

if TYPE_CHECKING:
    from herogen_async.generation.forecast.kept_calls import Kept


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What a folder is to be from now on. `held` is what it was, None where it is new.

    `changes` says in words what of the questions differs. `is_change`: other tasks are asked for, or stale ones again.
    `is_agreed`: nobody needs to be asked, unless answers are there. `asks_more`: there are calls that the run had
    nothing like. `is_form`: the forms of answers differ and nothing else, so that an answer is asked for again only
    where it does not fit.
    """

    held: Manifest | None
    fresh: Manifest
    changes: tuple[str, ...] = ()
    is_change: bool = False
    is_agreed: bool = True
    asks_more: bool = False
    is_form: bool = False


def plan_diff(held: Manifest | None, fresh: Manifest, consent: Consent) -> PlanDiff:
    """What `held` and `fresh` differ in, and whether `consent` covers it."""
    if held is None:
        return PlanDiff(None, fresh)
    from herogen_async.generation.forecast.changes import differences  # noqa: PLC0415 - a new run needs none of it

    changes = differences(held, fresh)
    keeps_stale, regenerated = _kept_stale(held, fresh, consent)
    asks_more = bool(changes) and _asks_more(held, fresh)
    return PlanDiff(
        held,
        replace(fresh, keeps_stale=keeps_stale, regenerated=regenerated),
        tuple(changes),
        is_change=bool(changes) or (keeps_stale, regenerated) != (held.keeps_stale, held.regenerated),
        is_agreed=not changes or _consents(consent, held, fresh, asks_more=asks_more),
        asks_more=asks_more,
        is_form=bool(changes) and _asks_the_same(held, fresh, whatever_forms=True),
    )


def _kept_stale(held: Manifest, fresh: Manifest, consent: Consent) -> tuple[bool, list[str]]:
    """Whether stale answers count from now on, and the columns whose don't."""
    is_other = held.generation_fingerprint != fresh.generation_fingerprint
    regenerated = list(_as_called_now(held, fresh))
    if consent.regenerate_stale and consent.columns:
        return True, sorted({*regenerated, *consent.columns})
    if consent.regenerate_stale:
        return False, []
    return held.keeps_stale or (consent.extend and is_other), regenerated


def _as_called_now(held: Manifest, fresh: Manifest) -> Iterator[str]:
    """The columns that were regenerated and ask the same still, whatever they are called."""
    if held.regenerated:
        now = {each.fingerprint: each.name for each in fresh.lineage().plan.columns}
        for each in held.lineage().plan.columns:
            if each.name in held.regenerated and each.fingerprint in now:
                yield now[each.fingerprint]


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


def refusal(folder: RunFolder, diff: PlanDiff, kept: Kept) -> RunFolderError:
    """What a person reads who has not agreed to a change yet: what it comes to, and what to say to agree."""
    extend, again, calls = "", "", kept.all_calls
    unfit = len(kept.found.unfit.minus(kept.left_out))  # no change keeps these
    if unfit:
        extend = f" and the {unfit:,} that no longer fit their form"
    if calls.stale > unfit:
        extend += f", and keeps the {calls.stale - unfit:,} stale ones"
        flag = "--extend --regenerate-stale" if diff.asks_more else "--regenerate-stale"
        again = f"; `{flag}` also requests the stale ones again"
        if len(kept.plan.columns) > 1:
            again += " (`--column NAME`: of one column, and what builds on it)"
    given_up = f", {calls.failed:,} failed" if calls.failed else ""
    name, each = folder.argument, _by_column(kept)
    what = "task" if kept.plan.calls_a_row == 1 else "request"
    return RunFolderError(
        f"{str(folder.path)!r} has answers to different requests: {in_words(diff.changes)} changed. "
        f"{counted(calls.kept, 'answer')} would be kept, {_are(calls.new, what)} new{each['new']}, "
        f"{_are(calls.stale, 'answer')} stale{each['stale']}{given_up}",
        fix=f"see the cost: herogen-async plan SPEC {name}. The same command with `--extend` requests what is new"
        f"{extend}{again}. Or start a new run with --run NAME; continue the old one: herogen-async resume {name}",
    )


def _are(number: int, what: str) -> str:
    """`1 task is`, `2 tasks are`."""
    return f"{counted(number, what)} {'is' if number == 1 else 'are'}"


def change_line(diff: PlanDiff, kept: Kept) -> str:
    """What a change comes to, in a line."""
    calls, each = kept.all_calls, _by_column(kept)
    parts = [f"{_are(calls.kept, 'answer')} kept"] if calls.kept else []
    if calls.new:
        parts.append(f"{_are(calls.new, 'task' if kept.plan.calls_a_row == 1 else 'request')} new{each['new']}")
    if left := calls.stale - calls.stale_asked:
        parts.append(
            f"{left:,} answers{each['stale_left']} of an earlier prompt, model or sampling stay, because of --extend "
            "(--regenerate-stale requests them again)"
        )
    if calls.stale_asked:
        parts.append(
            f"{calls.stale_asked:,} stale answers{each['stale_asked']} are requested again; "
            "their old rows stay in the journal, uncounted"
        )
    if kept.found.unused:
        parts.append(f"{kept.found.unused:,} rows of removed cells stay there too")
    what = "; ".join(parts) or "no answers yet"
    return f"Changed: {in_words(diff.changes)}. {what}." if diff.changes else f"{what}."


def _by_column(kept: Kept) -> dict[str, str]:
    """` (12 of title, 3 of verdict)` for each count that has a part of several columns; else nothing."""
    found = dict.fromkeys(("new", "stale", "stale_left", "stale_asked"), "")
    if kept.plan.calls_a_row == 1:
        return found
    columns = kept.by_column(None)
    for count in found:
        parts = [
            f"{number:,} of {name}"
            for name, calls in columns.items()
            if (number := calls.stale - calls.stale_asked if count == "stale_left" else getattr(calls, count))
        ]
        found[count] = f" ({', '.join(parts)})" if parts else ""
    return found


def _consents(consent: Consent, held: Manifest, fresh: Manifest, *, asks_more: bool) -> bool:
    """Whether a person has agreed, or need not be asked.

    What is new is agreed to by `extend`; another generation by that, or by asking anew what it makes stale. Where no
    call is new and no answer stale, nothing is to be paid.
    """
    return consent.extend or (consent.regenerate_stale and not asks_more) or _asks_the_same(held, fresh)


def _asks_more(held: Manifest, fresh: Manifest) -> bool:
    """Whether there are other cells, or calls that the run had nothing like."""
    if held.grid_fingerprint != fresh.grid_fingerprint:
        return True
    before, after = held.lineage().plan.columns, fresh.lineage().plan.columns
    if len(before) == len(after) == 1:
        return after[0].samples > before[0].samples
    samples = {each.fingerprint: each.samples for each in before} | {each.name: each.samples for each in before}
    return any(each.samples > samples.get(each.fingerprint, samples.get(each.name, 0)) for each in after)


def _asks_the_same(held: Manifest, fresh: Manifest, *, whatever_forms: bool = False) -> bool:
    """Whether all that is asked from now on was asked before: columns were removed, reordered or renamed alone."""
    if held.grid_fingerprint != fresh.grid_fingerprint or not (held.spec.get("columns") or fresh.spec.get("columns")):
        return False
    before = {each.fingerprint: each for each in held.lineage().plan.columns}
    return all(
        (old := before.get(each.fingerprint)) is not None
        and old.samples >= each.samples
        and (old.when and old.when.fingerprint) == (each.when and each.when.fingerprint)
        and (whatever_forms or each.form == old.form)
        for each in fresh.lineage().plan.columns
    )
