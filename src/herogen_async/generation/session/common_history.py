"""Whether runs can become one: they ask the same, of the same model, and their specs were changed in the same steps.

Pure: it looks at manifests alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import RunFolderError
from herogen_async.core.units import in_words
from herogen_async.generation.forecast.changes import differences
from herogen_async.generation.run_folder import EarlierPlan, Manifest


@dataclass(frozen=True, slots=True)
class RunToMerge:
    """A run by the name that a shell takes, and its manifest."""

    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class CommonHistory:
    """`longest` has all plans that any of the runs had; `eras_of` says of each run which of them its own ones are.

    `plans_of` has the plans of each run, by their fingerprints.
    """

    longest: Manifest
    eras_of: tuple[tuple[int, ...], ...]
    plans_of: tuple[tuple[str, ...], ...]


def common_history(runs: Sequence[RunToMerge]) -> CommonHistory:
    """What `runs` have in common. Raises RunFolderError, naming the run that doesn't belong to the others."""
    _check_requests(runs)
    _check_specs(runs)
    _check_stale(runs)
    plans = [_plans(run.manifest) for run in runs]
    longest = max(range(len(runs)), key=lambda place: len(plans[place]))
    eras = [_eras_within(plans[longest], own) for own in plans]
    for run, found in zip(runs, eras, strict=True):
        if found is None:
            raise RunFolderError(
                f"the spec of {run.name} was changed in different steps from that of {runs[longest].name}",
                fix="merge only runs whose specs were changed in the same way, one edit after the other",
            )
    return CommonHistory(runs[longest].manifest, tuple(found for found in eras if found is not None), tuple(plans))


def _plans(manifest: Manifest) -> tuple[str, ...]:
    """The plans that a run had, each as a fingerprint of all that it says, the current one last."""
    plans: Sequence[EarlierPlan | Manifest] = (*manifest.earlier, manifest)
    return tuple(fingerprint([_placeless(plan.spec), plan.endpoint, plan.model]) for plan in plans)


def _placeless(spec: dict[str, Any]) -> dict[str, Any]:
    """Without where the source lies: its content is what counts, and each machine may have it elsewhere."""
    if not isinstance(source := spec.get("source"), dict):
        return spec
    return {**spec, "source": {name: value for name, value in source.items() if name not in ("path", "home")}}


def _usual(runs: Sequence[RunToMerge], values: Sequence[Any]) -> RunToMerge:
    """The first run that has the most frequent of the values: one that differs is told against it."""
    most = Counter(values).most_common(1)[0][0]
    return runs[values.index(most)]


def _check_requests(runs: Sequence[RunToMerge]) -> None:
    asked = [(run.manifest.grid_fingerprint, run.manifest.generation_fingerprint) for run in runs]
    usual = _usual(runs, asked)
    for run in runs:
        if not run.manifest.asks_as(usual.manifest):
            raise RunFolderError(
                f"{run.name} has answers to different requests than {usual.name}: "
                f"{in_words(differences(usual.manifest, run.manifest))} changed",
                fix="merge only runs of one spec and one model; to bring it up to date: "
                f"herogen-async run SPEC --run {run.name} --extend",
            )
    weights = [(run.manifest.weights or {}).get("sha256") for run in runs]
    usual = _usual(runs, weights)
    for run, own in zip(runs, weights, strict=True):
        if own != (usual.manifest.weights or {}).get("sha256"):
            raise RunFolderError(
                f"{run.name} was answered by a different model from {usual.name}: the weights differ",
                fix="merge only runs of the same weights",
            )
    plan = usual.manifest.lineage().plan
    if (plan.grid_fingerprint, plan.generation_fingerprint) != asked[runs.index(usual)]:
        raise RunFolderError(
            f"{usual.name} has answers to different requests than its spec says now: the fingerprint changed",
            fix="use the version of herogen-async that wrote it",
        )


def _check_specs(runs: Sequence[RunToMerge]) -> None:
    """What is not requested counts, too: which rows are kept, what is taught."""
    specs = [_placeless(run.manifest.spec) for run in runs]
    usual = _usual(runs, [fingerprint(spec) for spec in specs])
    held = specs[runs.index(usual)]
    for run, spec in zip(runs, specs, strict=True):
        if others := [f"`{name}`" for name in {**held, **spec} if held.get(name) != spec.get(name)]:
            raise RunFolderError(
                f"{run.name} has a different spec from {usual.name}: {in_words(others)} changed",
                fix=f"bring it up to date, at no cost: herogen-async run SPEC --run {run.name}",
            )


def _check_stale(runs: Sequence[RunToMerge]) -> None:
    """Whether answers of earlier plans count must be one answer."""
    changed = [run for run in runs if run.manifest.earlier]
    kept = [(run.manifest.keeps_stale, tuple(run.manifest.regenerated)) for run in changed]
    if len(set(kept)) > 1:
        usual = _usual(changed, kept)
        odd = next(run for run, own in zip(changed, kept, strict=True) if own != kept[changed.index(usual)])
        raise RunFolderError(
            f"{odd.name} and {usual.name} keep different stale answers",
            fix="run the same command on both, with the same --extend or --regenerate-stale",
        )


def _eras_within(every: Sequence[str], own: Sequence[str]) -> tuple[int, ...] | None:
    """Where the plans `own` are among `every`, in the same order and from the last one on; None where they aren't."""
    found: list[int] = []
    place = len(every)
    for plan in reversed(own):
        place = next((each for each in range(place - 1, -1, -1) if every[each] == plan), -1)
        if place < 0:
            return None
        found.append(place)
    return tuple(reversed(found))
