"""A run folder and an order must mean the same questions: rows of two plans are never mixed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from herogen_async.endpoint.target import EMBEDDED
from herogen_async.errors import DiskError, RunFolderError
from herogen_async.journal import Manifest, package_versions, read_manifest, write_manifest
from herogen_async.plan import Plan
from herogen_async.session.connect import Ready


def agree_on_manifest(ready: Ready, plan: Plan, at: datetime) -> None:
    """Write the manifest of a new run; of an old one, check that it asks the same, and note the new settings.

    Raises RunFolderError when the folder holds rows of another spec, model or kind of endpoint, DiskError when the
    manifest can't be written.
    """
    fresh = _manifest(ready, plan, at)
    folder = ready.order.folder
    if folder.manifest.exists():
        held = read_manifest(folder)
        if differences := _differences(held, fresh):
            raise RunFolderError(
                f"{str(folder.path)!r} holds answers to other questions: {' and '.join(differences)} changed",
                fix=f"start a new run with --run NAME, or go on with the old one: herogen-async resume {folder.path}",
            )
        fresh = replace(fresh, created_at=held.created_at)
        if fresh == held:
            return
    elif folder.segments():
        raise RunFolderError(
            f"{str(folder.path)!r} holds answers but no manifest",
            fix="put its manifest.json back, or start a new run with --run NAME",
        )
    try:
        write_manifest(folder, fresh)
    except OSError as error:
        raise DiskError(f"{str(folder.manifest)!r} can't be written: {error.strerror}") from error


def _manifest(ready: Ready, plan: Plan, at: datetime) -> Manifest:
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


def _differences(held: Manifest, fresh: Manifest) -> list[str]:
    found = []
    if held.grid_fingerprint != fresh.grid_fingerprint:
        found.append("the attributes or repeats")
    if (held.weights or {}).get("sha256") != (fresh.weights or {}).get("sha256"):
        found.append("the weights")
    if held.generation_fingerprint != fresh.generation_fingerprint:
        pairs = {
            "the endpoint": (held.endpoint, fresh.endpoint),
            "the model": (held.model, fresh.model),
            "the prompt": (held.spec.get("prompt"), fresh.spec["prompt"]),
            "the system text": (held.spec.get("system"), fresh.spec["system"]),
            "the sampling": (held.spec.get("sampling"), fresh.spec["sampling"]),
        }
        found += [name for name, (old, new) in pairs.items() if old != new] or ["the generation fingerprint"]
    return found
