"""`ctl`: whole runs that are controlled through the socket in their folder, by its owner, while they work."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import herogen_async
from herogen_async import cli
from herogen_async.cli.ctl_command import command_of_words
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.codec import loads
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.control import Command, ask, controlled
from herogen_async.generation.control import server as server_side
from herogen_async.generation.control.protocol import MOST_COMMAND, command_from
from herogen_async.generation.control.socket_path import LONGEST_ADDRESS
from herogen_async.generation.endpoint import Request
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.plain_transport import PlainTransport
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.http.transport import TransportFor
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.observer import SILENT
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder, RunLock, read_events, read_manifest
from herogen_async.generation.run_request import RunRequest
from herogen_async.generation.session import Watch
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.scheduled_resume import ScheduledResume
from herogen_async.generation.session.steering import Steering
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import assert_exact_grid, last_json, small_spec

SPEC = small_spec(values=20)  # 80 tasks
LONG = small_spec(values=200)  # 800 tasks: not over before it is drained
LANES = Spec(
    name="lanes",
    attributes={"n": [str(each) for each in range(60)]},
    columns={
        "question": {"prompt": "ask {n}"},
        "verdict": {"prompt": "grade {question}", "model": "judge"},
        "praise": {"prompt": "praise {verdict}"},
    },
)
BAD_NUMBERS = ("nan", "inf", "1e999", "0", "-1", "1_000")
SOON_S = 50.0  # what is waited for comes in milliseconds; on a loaded machine much later


def slow(asked: Asked) -> Reply:
    return answer(asked, delay_s=0.03)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@dataclass
class Running:
    """A run at work, as a test sees it."""

    folder: RunFolder
    server: FakeServer
    notices: list[str]
    reports: list[RunReport]
    told: list[str] = field(default_factory=list)

    async def ctl(self, do: str, own: dict[str, dict[str, Any]] | None = None, **settings: Any) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.folder, Command(do, settings, own or {}))

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not happened():
                await asyncio.sleep(0.005)

    async def some_reports(self, count: int = 2) -> list[RunReport]:
        """The next reports: a fifth of a second each."""
        seen = len(self.reports)
        await self.until(lambda: len(self.reports) >= seen + count)
        return self.reports[seen:]

    def controlled(self) -> list[tuple[str, Any, Any]]:
        events = [event for event in read_events(self.folder) if event["event"] == "controlled"]
        assert all("at" in event for event in events)
        return [(event["what"], event["old"], event["new"]) for event in events]


def controlling(
    path: Path,
    control: Callable[[Running], Awaitable[None]],
    behaviour: Callable[[Asked], Reply] = slow,
    **options: Any,
) -> tuple[Running, RunReport]:
    """A run of SPEC in `path` that is controlled as soon as it has asked something."""

    async def main(server: FakeServer) -> tuple[Running, RunReport]:
        reports: list[RunReport] = []
        notices: list[str] = []
        watch = Watch(on_report=reports.append, on_notice=notices.append)
        started = {"spec": SPEC, "base_url": server.url, "model": "m", "watch": watch, **options}
        task = asyncio.ensure_future(herogen_async.arun(run=path, **started))
        running = Running(RunFolder(path), server, notices, reports)
        try:
            await running.until(lambda: len(server.asked) >= 4 or task.done())
            if not task.done():
                await control(running)
            report = await task
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert {asyncio.current_task()} == asyncio.all_tasks(), "a task leaked"
        return running, report

    with FakeServer(behaviour) as server:
        running, report = asyncio.run(main(server))
    assert not running.folder.control.exists()
    return running, report


def test_pause_stops_sending_and_resume_continues(tmp_path: Path) -> None:
    """Pause stops sending once calls in flight return; resume finishes the grid; repeats change nothing."""

    async def control(run: Running) -> None:
        assert ("paused", 4) == ((status := await run.ctl("pause"))["state"], status["concurrency"])
        assert "paused" == (await run.ctl("pause"))["state"]  # twice is once
        await run.until(lambda: run.server.in_flight == 0)
        asked = len(run.server.asked)
        assert [("paused", None)] * 2 == [(report.binding, report.eta_s) for report in await run.some_reports()]
        status = await run.ctl("status")
        assert ("paused", asked, 0, 80) == (status["state"], status["done"], status["in_flight"], status["total"])
        assert asked == len(run.server.asked)
        assert "running" == (await run.ctl("resume"))["state"]
        assert "running" == (await run.ctl("resume"))["state"]

    run, report = controlling(tmp_path / "r", control, concurrency=4)
    assert (80, "done") == (report.done, report.state)
    assert_exact_grid(tmp_path / "r", SPEC)
    assert [("paused", False, True), ("paused", True, False)] == run.controlled()
    assert 2 == sum("by ctl" in notice for notice in run.notices)


def test_set_concurrency_rises_at_once_falls_soon_and_is_kept(tmp_path: Path) -> None:
    """A concurrency set during a run rises at once, falls soon, and is kept for the next session."""

    async def control(run: Running) -> None:
        assert 2 == run.server.most_in_flight
        assert 24 == (await run.ctl("set", concurrency=24))["concurrency"]
        await run.until(lambda: run.server.in_flight > 12)
        await run.ctl("set", concurrency=3)
        # By our own count: what is on its way to the server is in flight, too.
        while (await run.ctl("status"))["in_flight"] > 3:
            pass
        await run.until(lambda: run.server.in_flight <= 3)
        run.server.most_in_flight = 0
        await run.until(lambda: len(run.server.asked) >= 60)
        assert 3 == run.server.most_in_flight
        assert 3 == (await run.some_reports(1))[0].concurrency
        await run.ctl("drain")

    run, report = controlling(tmp_path / "r", control, concurrency=2, spec=LONG)
    assert ("interrupted", "drained by ctl") == (report.state, report.reason)
    assert [("concurrency", 2, 24), ("concurrency", 24, 3), ("draining", False, True)] == run.controlled()
    assert 3 == read_manifest(run.folder).settings.concurrency


def test_automatic_concurrency_can_be_fixed_while_running(tmp_path: Path) -> None:
    """Setting concurrency 2 on a run with automatic concurrency holds from then on and is logged."""

    async def control(run: Running) -> None:
        assert "auto" == (await run.ctl("set", concurrency="auto"))["concurrency"]
        await run.ctl("set", concurrency=2)
        await run.until(lambda: run.server.in_flight <= 2)
        run.server.most_in_flight = 0
        asked = len(run.server.asked)
        await run.until(lambda: len(run.server.asked) >= asked + 10)
        assert 2 == run.server.most_in_flight
        await run.ctl("drain")

    run, _ = controlling(tmp_path / "r", control, concurrency="auto", spec=LONG)
    assert [("concurrency", "auto", 2), ("draining", False, True)] == run.controlled()


def test_drain_ends_even_a_paused_run_and_it_can_be_resumed(tmp_path: Path) -> None:
    """Drain ends a run at once, even a paused one, and resume completes the exact grid."""

    async def control(run: Running) -> None:
        await run.ctl("pause")
        assert "draining" == (await run.ctl("drain"))["state"]

    run, report = controlling(tmp_path / "r", control, concurrency=4)
    assert ("interrupted", 130) == (report.state, report.exit_code)
    assert len(run.server.asked) == report.done < 80
    with FakeServer() as server:
        manifest = tmp_path / "r" / "manifest.json"
        manifest.write_bytes(manifest.read_bytes().replace(run.server.url.encode(), server.url.encode()))
        assert (80, "done") == ((whole := herogen_async.resume(tmp_path / "r")).done, whole.state)
        assert 80 - report.done == len(server.asked)
    assert_exact_grid(tmp_path / "r", SPEC)


def test_a_limit_set_by_ctl_applies_at_once_and_is_saved(tmp_path: Path) -> None:
    """A limit set or removed by ctl applies at once and is saved in the manifest for the next resume."""

    async def control(run: Running) -> None:
        await run.ctl("set", rpm=60.0, tpm=1e6)
        await run.until(lambda: run.server.in_flight == 0)
        asked = len(run.server.asked)
        report = (await run.some_reports(3))[-1]
        assert {"requests_per_minute": 60, "tokens_per_minute": 1e6} == report.limits
        assert ("requests", True) == (report.binding, len(run.server.asked) - asked <= 5)
        assert 60 == read_manifest(run.folder).settings.rpm
        await run.ctl("set", rpm=None, concurrency=16)

    run, report = controlling(tmp_path / "r", control, concurrency=4)
    assert "done" == report.state
    kept = read_manifest(run.folder).settings
    assert (None, 1e6, 16) == (kept.rpm, kept.tpm, kept.concurrency)
    assert [("rpm", None, 60), ("tpm", None, 1e6), ("rpm", 60, None), ("concurrency", 4, 16)] == run.controlled()


def test_what_is_set_for_a_column_reaches_its_model_alone_and_is_kept(tmp_path: Path) -> None:
    """Limits and concurrency of one model change at once; a name that is no column's is refused with the nearest."""

    async def control(run: Running) -> None:
        own = {"verdict": {"rpm": 60.0, "concurrency": 2}}
        assert own == (await run.ctl("set", own, tpm=1e6))["by_column"]
        lanes = (await run.some_reports(3))[-1].lanes
        assert {
            "question, praise": ({"tokens_per_minute": 1e6}, 4),
            "verdict": ({"requests_per_minute": 60, "tokens_per_minute": 1e6}, 2),
        } == {name: (each["limits"], each["concurrency"]) for name, each in lanes.items()}
        assert own == read_manifest(run.folder).settings.by_column
        for wrong, error in (
            ({"verdit": {"rpm": 5.0}}, "'verdit' is not a column of this run"),
            ({"question": {"rpm": 5.0}, "praise": {"rpm": 6.0}}, "question and praise share a model"),
            ({"verdict": {"concurrency": "auto"}}, "concurrency=auto can only be set at a run's start"),
        ):
            with pytest.raises(InputError, match=error) as refused:
                await run.ctl("set", wrong)
            assert "verdit" not in wrong or "did you mean 'verdict'?" in (refused.value.fix or "")
        assert own == (await run.ctl("status"))["by_column"]
        await run.ctl("set", {"verdict": {"rpm": None, "concurrency": 16}}, concurrency=16)

    run, report = controlling(tmp_path / "r", control, spec=LANES, concurrency=4)
    assert ("done", 60, 16) == (report.state, report.done, report.lanes["question, praise"]["concurrency"])
    kept = read_manifest(run.folder).settings
    assert ({"verdict": {"rpm": None, "concurrency": 16}}, 1e6, 16) == (kept.by_column, kept.tpm, kept.concurrency)
    assert ["tpm set to 1,000,000", "rpm of verdict set to 60", "concurrency of verdict set to 2"] == [
        line.removeprefix("ctl: ").partition(" (was")[0] for line in run.notices if line.startswith("ctl: ")
    ][:3]
    told = [event for event in read_events(run.folder) if event["event"] == "controlled"]
    assert [None, "verdict", "verdict"] == [event.get("column") for event in told[:3]]


NOT_TO_BE_SET: tuple[tuple[dict[str, Any], str], ...] = (
    ({"concurrency": 0}, "concurrency can't be 0"),
    ({"concurrency": 10**9}, "concurrency can't be 1000000000"),
    ({"concurrency": 90_000, "rpm": -1.0}, "rpm can't be -1.0"),
    ({"concurrency": "auto"}, "concurrency=auto can only be set at a run's start"),
    ({"rpm": "many"}, "rpm can't be 'many'"),
    ({"rpn": 5}, "'rpn' can't be changed"),
)


def test_an_invalid_setting_is_refused_whole(tmp_path: Path) -> None:
    """A ctl command with one bad setting changes nothing, and a draining run can't be paused."""

    async def control(run: Running) -> None:
        for settings, error in NOT_TO_BE_SET:
            with pytest.raises(InputError, match=error):
                await run.ctl("set", **settings)
        status = await run.ctl("status")
        assert (16, None) == (status["concurrency"], status["rpm"])
        await run.ctl("drain")
        with pytest.raises(InputError, match="is ending") as ending:
            await run.ctl("pause")
        assert "resume" in (ending.value.fix or "")

    run, _ = controlling(tmp_path / "r", control, lambda asked: answer(asked, delay_s=0.5), concurrency=16)
    assert [("draining", False, True)] == run.controlled()


def test_only_the_owner_can_open_the_socket(tmp_path: Path) -> None:
    """The control socket is mode 0600 in a run folder of mode 0700."""

    async def control(run: Running) -> None:
        found = run.folder.control.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert (0o600, 0o700) == (stat.S_IMODE(found.st_mode), stat.S_IMODE(run.folder.path.stat().st_mode))
        await run.ctl("drain")

    controlling(tmp_path / "r", control)


def test_a_run_in_deeply_nested_folders_can_be_controlled(tmp_path: Path) -> None:
    """A run folder whose socket path exceeds the operating system's limit can still be controlled."""
    deep = tmp_path / "/".join(["d" * 60] * 4)

    async def control(run: Running) -> None:
        assert len(str(run.folder.control)) > LONGEST_ADDRESS
        assert "draining" == (await run.ctl("drain"))["state"]

    controlling(deep, control)


def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """A stale control socket reports that no process is at work, and the next run replaces it."""
    folder = RunFolder(tmp_path / "r")

    async def control(run: Running) -> None:
        await run.ctl("drain")

    controlling(folder.path, control)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder.control))
        left.listen()
    with pytest.raises(RunFolderError, match="no process is working") as nobody:
        ask(folder, Command("status"))
    assert f"continue it: herogen-async resume {folder.argument}" == nobody.value.fix
    controlling(folder.path, control)


def test_a_folder_without_socket_support_costs_one_notice(tmp_path: Path) -> None:
    """Where no control socket can be created, the run finishes and one notice says so."""
    (tmp_path / "r" / "control").mkdir(parents=True)
    notices: list[str] = []
    with FakeServer() as server:
        watch = Watch(on_notice=notices.append)
        report = herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m", watch=watch)
    assert "done" == report.state
    assert 1 == sum("can't control this run" in notice for notice in notices)
    (tmp_path / "r" / "control").rmdir()


def test_an_uncontrollable_run_names_its_process(tmp_path: Path) -> None:
    """When the lock is held but no socket answers, the error names the process that holds the run."""
    folder = RunFolder(tmp_path / "r")
    folder.create()
    lock = RunLock.acquire(folder, "now")
    try:
        with pytest.raises(RunFolderError, match=f"process {os.getpid()} on .* can't be controlled now"):
            ask(folder, Command("pause"))
    finally:
        lock.release()


@pytest.mark.anyio
@pytest.mark.parametrize("transport_for", [RustTransport, PlainTransport])
async def test_an_endpoint_opened_for_one_call_carries_eight_resized(
    transport_for: TransportFor,
) -> None:
    """An endpoint opened for one call carries eight at a time once it is resized to eight."""
    with FakeServer(lambda asked: answer(asked, delay_s=0.2)) as server:
        client = OpenAICompatible(
            Server(server.url, "none"),
            kind="completions",
            model="m",
            sampling={},
            concurrency=1,
            timeout_s=SOON_S,
            transport_for=transport_for,
        )
        async with client as endpoint:
            await endpoint.complete(Request("first"))
            endpoint.resize(8)
            for _ in range(2):
                await asyncio.gather(*(endpoint.complete(Request("more")) for _ in range(8)))
        assert 8 == server.most_in_flight
        assert server.connections <= 9


def a_steering(folder: RunFolder, at_work: AtWork) -> Steering:
    request = RunRequest(SPEC, "chat", "m", None, "embedded", folder, Settings())
    return Steering(request, Notifier(SILENT, folder, MonotonicClock(), at_work.interrupt), at_work)


def test_before_anything_is_asked_there_is_nothing_to_control(tmp_path: Path) -> None:
    """The embedded model still starts."""
    steering = a_steering(RunFolder(tmp_path), AtWork())
    assert "not asking" == steering.answer(Command("status"))["state"]
    with pytest.raises(InputError, match="is sending no requests") as early:
        steering.answer(Command("pause"))
    assert "try again in a moment" == early.value.fix


@pytest.mark.anyio
async def test_a_sleeping_run_is_ended_by_drain_and_refuses_settings(folder: RunFolder) -> None:
    """A run that sleeps until it can go on is ended by drain and refuses new settings."""
    at_work = AtWork()
    scheduled = at_work.scheduled = ScheduledResume(MonotonicClock(), lambda _: None, lambda _: None)
    steering = a_steering(folder, at_work)
    parked = RunReport(run="r", state="parked", total=9, done=1, failed=0, pending=8, wake_in_s=3600.0)
    goes_on = asyncio.ensure_future(scheduled.until_it_can_go_on(parked, lambda _: None))
    await asyncio.sleep(0)
    assert "asleep" == steering.answer(Command("status"))["state"]
    with pytest.raises(InputError, match="asleep until it can continue"):
        steering.answer(Command("set", {"rpm": 5.0}))
    steering.answer(Command("drain"))
    assert not await goes_on


# -- the socket itself -----------------------------------------------------------------------------------------------


async def raw(folder: RunFolder, said: bytes) -> dict[str, Any]:
    """The reply to `said`, after which the connection is closed."""
    reader, writer = await asyncio.open_unix_connection(str(folder.control))
    writer.write(said)
    try:
        async with asyncio.timeout(SOON_S):
            reply = await reader.readline()
            assert b"" == await reader.read()
    finally:
        writer.close()
    value = loads(reply)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"\n", "is not a JSON object on one line"),
        (b"\xff\xfe{\n", "is not a JSON object on one line"),
        (b"[1]\n", "is not a JSON object on one line"),
        (b"[" * 2000 + b"\n", "is not a JSON object on one line"),
        (b"{}\n", "version is 1, not None"),
        (b'{"v":2,"do":"pause"}\n', "version is 1, not 2"),
        (b'{"v":1}\n', "unknown action None"),
        (b'{"v":1,"do":"purse"}\n', "unknown action 'purse'"),
        (b'{"v":1,"do":["pause"]}\n', "unknown action ['pause']"),
        (b'{"v":1,"do":"pause","settings":{"rpm":1}}\n', "'pause' can't take the settings"),
        (b'{"v":1,"do":"set"}\n', "'set' can't take the settings"),
        (b'{"v":1,"do":"set","by_column":{"a":{}}}\n', "'set' can't take the settings"),
        (b'{"v":1,"do":"set","by_column":{"a":5}}\n', "'set' can't take the settings"),
        (b'{"v":1,"do":"pause","by_column":{"a":{"rpm":1}}}\n', "'pause' can't take the settings"),
        (b'{"v":1,"do":"set","by_column":{"a":{"rpm":0}}}\n', "rpm can't be 0"),
        (b'{"v":1,"do":"set","by_column":{"a":{"rpn":1}}}\n', "'rpn' can't be changed"),
        (b'{"v":1,"do":"set","settings":{"rpm":true}}\n', "rpm can't be True"),
        (b'{"v":1,"do":"set","settings":{"concurrency":2.5}}\n', "concurrency can't be 2.5"),
        (b"x" * MOST_COMMAND, f"at most {MOST_COMMAND:,} bytes"),
        (b"x" * (1 << 20), f"at most {MOST_COMMAND:,} bytes"),
        (b'{"v":1,"do":"drain"}\n', "boom"),
        (b'{"v":1,"do":"status"}\n', "ZeroDivisionError, a bug in this program"),
    ],
)
@pytest.mark.anyio
async def test_every_bad_message_gets_an_error_line(folder: RunFolder, said: bytes, error: str) -> None:
    """Any malformed message gets an error line, runs no command, and leaves the socket usable."""
    done: list[Command] = []

    def carry_out(command: Command) -> dict[str, Any]:
        if command.do == "drain":
            raise InputError("boom")
        if command.do == "status":
            raise ZeroDivisionError
        done.append(command)
        return {"done": True}

    async with controlled(folder, carry_out, pytest.fail):
        try:
            reply = await raw(folder, said)
        except ConnectionError:  # it had not read all of a flood when it closed
            assert len(said) > 1 << 16
        else:
            assert (False, True) == (reply["ok"], error in reply["error"]), reply
        assert [] == done
        assert {"v": 1, "ok": True, "result": {"done": True}} == await raw(folder, b'{"v":1,"do":"pause"}\n{"v":1')
        assert [Command("pause")] == done


@pytest.mark.anyio
async def test_hanging_clients_are_dropped_and_block_nobody(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent clients are timed out, excess ones are turned away, and closing leaks no file descriptor."""
    monkeypatch.setattr(server_side, "COMMAND_TIMEOUT_S", 0.05)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").exists() else 0
    async with controlled(folder, lambda _: {}, pytest.fail):
        mute = [await asyncio.open_unix_connection(str(folder.control)) for _ in range(server_side.MOST_CLIENTS)]
        assert "are connected to this run" in (await raw(folder, b""))["error"]
        for reader, _ in mute:
            assert b"no complete command" in await reader.readline()
        assert (await raw(folder, b'{"v":1,"do":"pause"}\n'))["ok"]
        half = await asyncio.open_unix_connection(str(folder.control))
        half[1].write(b'{"v":1')
        half[1].write_eof()
        assert b"ended before its newline" in await half[0].readline()
        mute.append(await asyncio.open_unix_connection(str(folder.control)))
    assert b"" == await mute[-1][0].read()  # the end waits for nobody
    for _, writer in [*mute, half]:
        writer.close()
    await asyncio.sleep(0)
    assert not folder.control.exists()
    if before:
        assert before == len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.anyio
async def test_a_run_that_does_not_reply_times_out(folder: RunFolder) -> None:
    """A run that accepts the connection but gives no reply within the timeout raises an error that says so."""
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(folder.control))
        stopped.listen()
        with pytest.raises(RunFolderError, match=r"gave no reply within 0\.05 s"):
            ask(folder, Command("pause"), timeout_s=0.05)


@pytest.mark.anyio
async def test_a_regular_file_at_the_socket_path_is_kept(folder: RunFolder) -> None:
    """A regular file at the control socket's path is not overwritten; one notice reports it."""
    folder.control.write_text("mine")
    told: list[str] = []
    async with controlled(folder, lambda _: {}, told.append):
        assert 1 == len(told)
    assert "mine" == folder.control.read_text()


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_controls_a_run_in_another_loop_and_thread(tmp_path: Path) -> None:
    """As `run` has it: on uvloop where there is one."""
    reports: list[RunReport] = []
    with FakeServer(slow) as server:
        watch = Watch(on_report=reports.append)
        work = threading.Thread(
            target=lambda: reports.append(
                herogen_async.run(LONG, run=tmp_path / "r", base_url=server.url, model="m", concurrency=2, watch=watch)
            )
        )
        work.start()
        while len(server.asked) < 4:
            work.join(0.005)

        def ctl(*arguments: str) -> str:
            result = CliRunner().invoke(cli.app, ["ctl", str(tmp_path / "r"), *arguments], catch_exceptions=False)
            assert 0 == result.exit_code
            return result.stdout

        assert "paused" == last_json(ctl("pause", "--json"))["state"]
        assert "Settings: concurrency 8, rpm 60,000, no tpm limit." in ctl("set", "concurrency=8", "rpm=60000")
        assert ": paused, " in ctl("status")
        assert ": running, " in ctl("resume")
        assert ": draining, " in ctl("drain")
        work.join(SOON_S)
    assert "interrupted" == reports[-1].state


@pytest.mark.parametrize(
    ("typed", "wrong", "fix"),
    [
        (("pasue",), "unknown action 'pasue'", "did you mean 'pause'?"),
        (("set",), "`set` needs a setting", "e.g. set"),
        (("pause", "rpm=5"), "pause takes no argument 'rpm=5'", "change settings with set"),
        (("set", "rmp=5"), "'rmp' can't be set", "did you mean 'rpm'?"),
        (("set", "rpm"), "'rpm' has no value", "rpm=VALUE"),
        (("set", "rpm=fast"), "rpm can't be 'fast'", "a number above zero, or none"),
        (("set", "rpm=5", "RPM=none"), "rpm is given twice", "one of them"),
        *[(("set", f"tpm={value}"), "tpm can't be", ", or none") for value in BAD_NUMBERS],
        (("set", "concurrency=none"), "concurrency can't be 'none'", "or auto"),
        (("set", "rpm=judge=5", "rpm = judge=6"), "rpm is given twice for judge", "one of them"),
        (("set", "rpm=judge=fast"), "rpm can't be 'fast'", "a number above zero, or none"),
    ],
)
def test_a_mistyped_command_suggests_the_right_one(typed: tuple[str, ...], wrong: str, fix: str) -> None:
    """A mistyped ctl action or setting is refused with the likely correction."""
    with pytest.raises(InputError, match=wrong.replace("?", r"\?")) as error:
        command_of_words(typed[0], list(typed[1:]))
    assert fix in (error.value.fix or "")


def test_ctl_words_are_parsed_into_a_command() -> None:
    """Typed ctl settings become numbers, setting names ignore case, and `none` removes a limit."""
    assert Command("set", {"concurrency": 32, "rpm": 500.0, "tpm": None}) == command_of_words(
        "set", ["concurrency=32", "RPM=500", "tpm=none"]
    )
    own: dict[str, dict[str, Any]] = {"judge": {"rpm": 100.0, "tpm": None}, "solution": {"concurrency": 4}}
    typed = ["rpm=judge=100", "concurrency=solution=4", "rpm=500", "tpm = judge = none"]
    assert Command("set", {"rpm": 500.0}, own) == command_of_words("set", typed)
    assert Command("set", {}, own) == command_from(Command("set", {}, own).line())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_never_sent_as_limits(value: float) -> None:
    """A limit of NaN or infinity is refused before sending, because JSON would turn it into no limit."""
    with pytest.raises(InputError, match="rpm can't be"):
        Command("set", {"rpm": value}).line()
    with pytest.raises(InputError, match="rpm can't be"):
        Command("set", {}, {"judge": {"rpm": value}}).line()
