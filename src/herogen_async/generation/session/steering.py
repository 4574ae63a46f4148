"""What `ctl` may do to a session that is at work; each change is told, recorded, and kept for the next session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

from herogen_async.core.clock import Clock
from herogen_async.core.errors import HerogenError, InputError
from herogen_async.generation.control import Command
from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.engine import Engine, allow_open_files
from herogen_async.generation.run_folder import RunFolder, read_manifest, record_event, write_manifest
from herogen_async.generation.session.run_request import OTHER_FILES, RunRequest, check_settings
from herogen_async.generation.session.scheduled_resume import ScheduledResume
from herogen_async.generation.settings import Settings


class Steering:
    """Carries out commands for one session: `answer` is what `control.controlled` wants."""

    def __init__(
        self, order: RunRequest, clock: Clock, on_notice: Callable[[str], None], nap: ScheduledResume | None = None
    ) -> None:
        self.settings = order.settings  # those that hold
        self._folder = order.folder
        self._nap = nap
        self._clock = clock
        self._notice = on_notice
        self._engine: Engine | None = None
        self._endpoint: Resizable | None = None

    @contextlib.contextmanager
    def steers(self, engine: Engine, endpoint: Resizable) -> Iterator[None]:
        """`engine` is at work while the block lasts."""
        self._engine, self._endpoint = engine, endpoint
        try:
            yield
        finally:
            self._engine = self._endpoint = None

    def answer(self, command: Command) -> dict[str, Any]:
        """Do as told; the state that it led to. Raises InputError when that can't be."""
        if command.do == "drain" and self._nap is not None and self._nap.is_asleep:
            self._nap.end()
            self._record("draining", False, True)
        elif command.do != "status":
            engine = self._working()
            match command.do:
                case "pause":
                    self._pause(engine, True)
                case "resume":
                    self._pause(engine, False)
                case "drain":
                    self._drain(engine)
                case "set":
                    self._set(engine, cast(dict[str, Any], command.settings))
        return self._status()

    def _working(self) -> Engine:
        if self._state == "asleep":
            raise InputError(
                "the run is asleep until it can go on", fix=f"herogen-async ctl {self._folder.argument} drain ends it"
            )
        if self._engine is None:
            raise InputError(
                "the run asks nothing yet, or no more: it is starting or ending", fix="try again in a moment"
            )
        if self._engine.stopped is not None:
            raise InputError(
                "the run is ending, and sends nothing more",
                fix=f"when it has ended: herogen-async resume {self._folder.argument}",
            )
        return self._engine

    def _status(self) -> dict[str, Any]:
        engine, settings = self._engine, self.settings
        status: dict[str, Any] = {
            "run": str(self._folder.path),
            "state": self._state,
            "concurrency": settings.concurrency,
            "rpm": settings.rpm,
            "tpm": settings.tpm,
        }
        if engine is not None:
            counters = engine.counters
            status |= {
                "total": counters.total,
                "done": counters.done,
                "failed": counters.failed,
                "in_flight": counters.in_flight,
                "retries": counters.retries,
                "binding": counters.binds_now,
            }
        return status

    @property
    def _state(self) -> str:
        if self._nap is not None and self._nap.is_asleep:
            return "asleep"
        if self._engine is None:
            return "not asking"
        if self._engine.stopped is not None:
            return "draining"
        return "paused" if self._engine.paused else "running"

    # -- the changes -------------------------------------------------------------------------------------------

    def _pause(self, engine: Engine, paused: bool) -> None:
        if engine.paused == paused:
            return
        engine.pause(paused)
        self._record("paused", not paused, paused)
        go_on = f"herogen-async ctl {self._folder.argument} resume"
        self._notice(
            f"Paused by ctl: nothing more is sent, {engine.counters.in_flight} answers are in flight. Go on: {go_on}"
            if paused
            else "Resumed by ctl."
        )

    def _drain(self, engine: Engine) -> None:
        engine.interrupt("drained by ctl")
        self._record("draining", False, True)
        self._notice(f"Draining by ctl: waiting for the {engine.counters.in_flight} answers in flight.")

    def _set(self, engine: Engine, wanted: dict[str, Any]) -> None:
        """All of `wanted`, or nothing."""
        before = self.settings
        settings = replace(before, **wanted)
        check_settings(settings)
        if settings.concurrency != before.concurrency:
            if settings.concurrency == "auto":
                raise InputError(
                    "concurrency=auto is for a run's start: this one has it fixed",
                    fix="drain it, then resume with --concurrency auto",
                )
            allow_open_files(settings.concurrency + OTHER_FILES)
        changed = {name: getattr(settings, name) for name in wanted if wanted[name] != getattr(before, name)}
        self.settings = settings
        for name, value in changed.items():
            if name == "concurrency":
                engine.resize(value)
                cast(Resizable, self._endpoint).resize(value)
            else:
                engine.set_ceiling(name, value)
            old = getattr(before, name)
            self._record(name, old, value)
            self._notice(f"{name} is {_shown(value)} from now on, by ctl; it was {_shown(old)}.")
        if changed:
            self._keep()

    def _keep(self) -> None:
        try:
            keep_settings(self._folder, self.settings)
        except (OSError, HerogenError) as error:
            self._notice(f"Only this session has it, a resume won't: the manifest can't be written: {error}.")

    def _record(self, what: str, old: object, new: object) -> None:
        record_event(self._folder, "controlled", at=self._clock.wall(), what=what, old=old, new=new)


def keep_settings(folder: RunFolder, settings: Settings) -> None:
    """The next session of the run in `folder` starts with `settings`. Raises OSError, RunFolderError, DamageError."""
    write_manifest(folder, replace(read_manifest(folder), settings=settings))


def _shown(value: float | str | None) -> str:
    if value is None:
        return "without a limit"
    return value if isinstance(value, str) else f"{value:,.10g}"
