"""What `ctl` may do to a session that is at work; each change is told, recorded, and kept for the next session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from herogen_async.core.errors import HerogenError, InputError
from herogen_async.core.likeness import nearest
from herogen_async.core.units import counted
from herogen_async.generation.control import SETTABLE, Command
from herogen_async.generation.engine import Engine, allow_open_files
from herogen_async.generation.run_folder import RunFolder, read_manifest, write_manifest
from herogen_async.generation.run_request import OTHER_FILES, RunRequest
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.targets import most_in_flight
from herogen_async.generation.settings import Settings, check_settings, set_live

if TYPE_CHECKING:  # few runs are asked by other processes
    from herogen_async.generation.cluster.home import Home


class Steering:
    """Carries out commands for one session: `answer` is what `control.controlled` wants."""

    def __init__(self, request: RunRequest, notifier: Notifier, at_work: AtWork) -> None:
        self.settings = request.settings  # those that hold
        self._folder = request.folder
        self._notifier = notifier
        self._at_work = at_work

    def answer(self, command: Command) -> dict[str, Any]:
        """Do as told; the state that it led to. Raises InputError when that can't be."""
        if command.do == "drain" and self._at_work.wake():
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
                    self._set(engine, command)
        return self._status()

    def _working(self) -> Engine | Home:
        at_work, name = self._at_work, self._folder.argument
        if at_work.is_asleep:
            raise InputError("the run is asleep until it can continue", fix=f"end it: herogen-async ctl {name} drain")
        if at_work.engine is None or not at_work.lanes:
            raise InputError("the run is sending no requests: it is starting or ending", fix="try again in a moment")
        if at_work.engine.stopped is not None:
            raise InputError(
                "the run is ending, and sends no more requests",
                fix=f"when it has ended: herogen-async resume {name}",
            )
        return at_work.engine

    def _status(self) -> dict[str, Any]:
        settings = self.settings
        status: dict[str, Any] = {
            "run": str(self._folder.path),
            "state": self._at_work.state,
            **{name: getattr(settings, name) for name in SETTABLE},
        }
        if own := {column: live for column, each in settings.by_column.items() if (live := _live(each))}:
            status["by_column"] = own
        if self._at_work.lanes and (engine := self._at_work.engine) is not None:
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

    # -- the changes -------------------------------------------------------------------------------------------

    def _pause(self, engine: Engine | Home, paused: bool) -> None:
        if engine.paused == paused:
            return
        engine.pause(paused)
        self._record("paused", not paused, paused)
        go_on = f"herogen-async ctl {self._folder.argument} resume"
        out = counted(engine.counters.in_flight, "answer")
        self._notifier.notice(
            f"Paused by ctl: sending stopped, {out} in flight. Continue: {go_on}" if paused else "Resumed by ctl."
        )

    def _drain(self, engine: Engine | Home) -> None:
        engine.interrupt("drained by ctl")
        self._record("draining", False, True)
        self._notifier.notice(f"Draining by ctl: {engine.counters.awaited}.")

    def _set(self, engine: Engine | Home, command: Command) -> None:
        """All that is wanted, or nothing."""
        before, lanes = self.settings, self._at_work.lanes
        settings = set_live(before, command.settings, command.by_column)
        # All of it is looked at before any of it is done: half a command is what nobody asked for.
        check_settings(settings)
        names = [[column.stem for column in target.columns] for target, _ in lanes]
        for column in command.by_column:
            if column not in (known := list(chain.from_iterable(names))):
                raise InputError(f"{column!r} is not a column of this run", fix=nearest(column, known))
        steps = [(before.of_columns(each), settings.of_columns(each)) for each in names]
        _check_concurrency(steps, most_in_flight(target for target, _ in lanes))
        self.settings = settings
        for (old, new), (target, endpoint) in zip(steps, lanes, strict=True):
            for name in SETTABLE:
                value = getattr(new, name)
                if value == getattr(old, name):
                    continue
                if name == "concurrency":
                    engine.resize(value, target.columns[0].name)
                    endpoint.resize(value)
                else:
                    engine.set_ceiling(name, value, target.columns[0].name)
        changes = [(None, command.settings), *command.by_column.items()]
        told = [self._tell(before, column, name, value) for column, own in changes for name, value in own.items()]
        if any(told):
            # Last: a manifest that can't be written costs the change nothing.
            self._keep()

    def _tell(self, before: Settings, column: str | None, name: str, value: Any) -> bool:
        """Tell and record that `name` is `value`, of a column where one is named; False where it was so before."""
        own = {} if column is None else before.by_column.get(column, {})
        old = own.get(name, getattr(before, name))
        if value == old and (column is None or name in own):
            return False
        whose = {} if column is None else {"column": column}
        self._notifier.record("controlled", what=name, old=old, new=value, **whose)
        self._notifier.notice(f"ctl: {_change(name if column is None else f'{name} of {column}', old, value)}.")
        return True

    def _keep(self) -> None:
        try:
            keep_settings(self._folder, self.settings)
        except (OSError, HerogenError) as error:
            self._notifier.notice(f"Only this session has the change, not a resume: can't write the manifest: {error}.")

    def _record(self, what: str, old: object, new: object) -> None:
        self._notifier.record("controlled", what=what, old=old, new=new)


def keep_settings(folder: RunFolder, settings: Settings) -> None:
    """The next session of the run in `folder` starts with `settings`. Raises OSError, RunFolderError, DamageError."""
    write_manifest(folder, replace(read_manifest(folder), settings=settings))


def _live(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in SETTABLE}


def _check_concurrency(steps: Sequence[tuple[Settings, Settings]], now: int) -> None:
    """`now` calls may be in flight at most. Raises InputError for a step that a running session can't take."""
    most = now
    for old, new in steps:
        if old.concurrency == new.concurrency:
            continue
        if new.concurrency == "auto":
            raise InputError(
                "concurrency=auto can only be set at a run's start",
                fix="drain it, then resume with --concurrency auto",
            )
        most += new.concurrency
    if most > now:
        allow_open_files(most + OTHER_FILES)


def _change(name: str, old: float | str | None, new: float | str | None) -> str:
    """`rpm set to 500 (was 60)`."""
    was = "no limit" if old is None else _shown(old)
    return f"{name} limit removed (was {was})" if new is None else f"{name} set to {_shown(new)} (was {was})"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.10g}"
