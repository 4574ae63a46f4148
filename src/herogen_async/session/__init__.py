"""Run, resume and look at runs: what the command line is a thin shell of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from herogen_async.endpoint.target import ApiKey
from herogen_async.engine import tuned_for_throughput
from herogen_async.journal import Settings, existing_run, is_held, read_events, read_lock, read_manifest, recover
from herogen_async.plan import Plan
from herogen_async.report import RunReport, folded_report
from herogen_async.session.history import fold_history
from herogen_async.session.order import changed_settings, new_order, order_from
from herogen_async.session.session import Session, Watch
from herogen_async.spec import Spec

__all__ = ["Session", "Watch", "aresume", "arun", "resume", "run", "status"]

Path = str | os.PathLike[str]


async def arun(  # noqa: PLR0913 - the options of `run`, all by keyword
    spec: Spec | Path | None = None,
    *,
    run: Path | None = None,
    base_url: str | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    api_key: ApiKey | None = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    limit: int | None = None,
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> RunReport:
    """Run `spec` (a Spec, a file, None for the built-in one), or go on with it where `run` holds answers already.

    `run` is a folder, or a name below `runs/`; left out, the spec's name. With no `base_url` and no key (argument or
    OPENAI_API_KEY) the embedded model answers. `rpm` and `tpm` are requests and tokens a minute, `limit` stops after
    that many tasks of the grid, `timeout_s` is for one request. Returns when all is answered or given up, or when it
    was stopped or parked: `report.state` says which. Raises InputError, LocalModelError, DiskError, DamageError.
    """
    settings = Settings(concurrency=concurrency, rpm=rpm, tpm=tpm, limit=limit)
    if timeout_s is not None:
        settings = replace(settings, timeout_s=timeout_s)
    order = new_order(
        spec, run=run, base_url=base_url, endpoint=endpoint, model=model, api_key=api_key, settings=settings
    )
    watch = watch or Watch()
    for notice in order.notices:
        watch.on_notice(notice)
    return await Session(order, watch).run()


async def aresume(
    run: Path,
    *,
    concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout_s: float | None = None,
    retry_failed: bool = False,
    api_key: ApiKey | None = None,
    watch: Watch | None = None,
) -> RunReport:
    """Go on with the run in `run`, as its manifest says, but for the settings that are given.

    `retry_failed` asks also for the tasks that were given up. Raises as `arun`.
    """
    folder = existing_run(run)
    manifest = read_manifest(folder)
    changes = {"concurrency": concurrency, "rpm": rpm, "tpm": tpm, "timeout_s": timeout_s}
    order = order_from(manifest, folder, changed_settings(manifest.settings, changes), api_key=api_key)
    return await Session(order, watch or Watch(), retry_failed=retry_failed).run()


def run(spec: Spec | Path | None = None, **options: Any) -> RunReport:
    """`arun`, for code that is not async. Ctrl-C stops it gently; a notebook's running loop is no obstacle."""
    return _wait_for(lambda: arun(spec, **options))


def resume(run: Path, **options: Any) -> RunReport:
    """`aresume`, for code that is not async."""
    return _wait_for(lambda: aresume(run, **options))


def status(run: Path) -> RunReport:
    """What the run in `run` is, also while another process works on it. Raises RunFolderError, DamageError."""
    folder = existing_run(run)
    manifest = read_manifest(folder)
    plan = Plan(manifest.resolved_spec(), endpoint=manifest.endpoint, model=manifest.model)
    held, lock = is_held(folder), read_lock(folder)
    events = list(read_events(folder))
    if lock.live and not held:
        events.append({"event": "died", **lock.live})  # a holder that was killed leaves its last figures
    found = recover(folder, plan)
    return folded_report(
        {
            "run": str(folder.path),
            "model": manifest.model,
            "endpoint": manifest.endpoint,
            "base_url": manifest.base_url,
        },
        found,
        total=max(plan.within(manifest.settings.limit), len(found.done) + len(found.failed)),
        sessions=fold_history(events),
        live={"in_flight": 0, **lock.live} if held else {},
    )


def _wait_for(start: Callable[[], Coroutine[Any, Any, RunReport]]) -> RunReport:
    """Run a coroutine to its end on a loop of its own, in a thread of its own where a loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _on_new_loop(start)
    outcome: list[RunReport | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_on_new_loop(start))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, name="herogen-run")
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _on_new_loop(start: Callable[[], Coroutine[Any, Any, RunReport]]) -> RunReport:
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not every platform has it

        factory = uvloop.new_event_loop
    with tuned_for_throughput(), asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(start())
