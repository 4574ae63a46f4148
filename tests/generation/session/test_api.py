"""The Python API: typed, the same as the commands, and at home in a notebook."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError, RunFolderError, RunInUse, SpecError
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import assert_exact_grid, environment, small_spec, write_spec

pytestmark = pytest.mark.slow


def test_run_resume_and_status_agree(tmp_path: Path) -> None:
    """Run, resume and status agree on counts and usage, and no row is requested twice."""
    spec = small_spec()
    with FakeServer() as server:
        first = herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", limit=6)
        assert (6, 6, "done", "m") == (first.done, first.total, first.state, first.model)
        whole = herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", concurrency=3)
        assert (20, "done") == (whole.done, whole.state)
        assert 3 >= server.most_in_flight - 13  # 16 at first, 3 then
        again = herogen_async.resume(tmp_path / "r")
        assert 20 == again.done == len(server.asked)
    assert_exact_grid(tmp_path / "r", spec)
    status = herogen_async.status(tmp_path / "r")
    assert (20, 0, "done") == (status.done, status.failed, status.state)
    assert {"prompt_tokens": 200, "completion_tokens": 400, "total_tokens": 600} == status.usage
    assert status.elapsed_s > 0


def test_it_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    """A notebook's cell: `run` blocks it, `arun` is awaited in it."""

    async def cell(url: str) -> tuple[int, int]:
        blocking = herogen_async.run(small_spec(), run=tmp_path / "a", base_url=url, model="m")
        awaited = await herogen_async.arun(small_spec(), run=tmp_path / "b", base_url=url, model="m")
        return blocking.done, awaited.done

    with FakeServer() as server:
        assert (20, 20) == asyncio.run(cell(server.url))


def test_two_runs_at_once_in_one_loop_don_t_disturb_each_other(tmp_path: Path) -> None:
    """Two runs in one event loop both complete, with 40 requests in all."""

    async def both(url: str) -> list[int]:
        runs = [
            herogen_async.arun(small_spec(), run=tmp_path / name, base_url=url, model="m", concurrency=2)
            for name in "ab"
        ]
        return [report.done for report in await asyncio.gather(*runs)]

    with FakeServer() as server:
        assert [20, 20] == asyncio.run(both(server.url))
        assert 40 == len(server.asked)


def test_p8_the_same_run_twice_at_once_is_refused(tmp_path: Path) -> None:
    """Starting the same run twice at once refuses the second, and each row is requested once."""

    def behaviour(asked: Asked) -> Reply:
        return answer(asked, delay_s=0.05)

    async def both(url: str) -> list[object]:
        runs = [herogen_async.arun(small_spec(), run=tmp_path / "r", base_url=url, model="m") for _ in range(2)]
        return list(await asyncio.gather(*runs, return_exceptions=True))

    with FakeServer(behaviour) as server:
        ends = asyncio.run(both(server.url))
        assert 20 == len(server.asked)
    assert 1 == sum(isinstance(end, RunInUse) for end in ends)


def test_a_cancelled_arun_keeps_answers_and_frees_the_folder(tmp_path: Path) -> None:
    """Cancelling arun keeps its answers as `interrupted`, and a rerun repeats only calls in flight."""

    async def main(url: str) -> None:
        enough = asyncio.Event()

        def on_report(report: herogen_async.RunReport) -> None:
            if report.done >= 4:
                enough.set()

        task = asyncio.create_task(
            herogen_async.arun(
                small_spec(),
                run=tmp_path / "r",
                base_url=url,
                model="m",
                concurrency=2,
                watch=herogen_async.Watch(on_report=on_report),
            )
        )
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with FakeServer(lambda asked: answer(asked, delay_s=0.1)) as server:
        asyncio.run(main(server.url))
        asked = len(server.asked)
        assert asked < 20
        status = herogen_async.status(tmp_path / "r")
        assert "interrupted" == status.state
        assert status.elapsed_s > 0
        report = herogen_async.run(small_spec(), run=tmp_path / "r", base_url=server.url, model="m")
        assert (20, "done") == (report.done, report.state)
        assert len(server.asked) <= 22  # the two that were in flight
    assert_exact_grid(tmp_path / "r", small_spec())


def test_input_errors_have_their_own_types(tmp_path: Path) -> None:
    """A missing spec, a bad URL and a missing run each raise their own error class."""
    with pytest.raises(SpecError):
        herogen_async.run(tmp_path / "nothing.yaml")
    with pytest.raises(InputError):
        herogen_async.run(small_spec(), base_url="nonsense")
    with pytest.raises(RunFolderError):
        herogen_async.status(tmp_path / "nothing")


def test_a_key_can_be_passed_as_an_argument(tmp_path: Path) -> None:
    """A key passed as an argument is sent to the server and written to no file."""
    with FakeServer() as server:
        herogen_async.run(
            small_spec(), run=tmp_path / "r", base_url=server.url, model="m", api_key="sk-from-the-caller", limit=1
        )
        assert "Bearer sk-from-the-caller" == server.asked[0].headers["authorization"]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-from-the-caller" not in written


def test_the_package_s_names_are_there_and_importing_it_costs_nothing() -> None:
    """`import herogen_async` and `--help` must not pay for what only a run needs."""
    code = (
        "import sys, herogen_async, herogen_async.cli\n"
        "names = {'openai', 'pydantic', 'pyreqwest', 'rich', 'asyncio', 'ruamel', 'uvloop', 'IPython', 'pandas'}\n"
        "heavy = names & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(hasattr(herogen_async, name) for name in herogen_async.__all__)\n"
        "notebooks = {'IPython', 'pandas'} & set(sys.modules)\n"
        "assert not notebooks, notebooks\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    with pytest.raises(AttributeError):
        herogen_async.nothing  # noqa: B018


def test_a_failing_display_costs_no_answer(tmp_path: Path) -> None:
    """An exception in the report callback is raised at the end, and every answer is kept."""

    def broken(report: herogen_async.RunReport) -> None:
        raise RuntimeError("the display is gone")

    with FakeServer(lambda asked: answer(asked, delay_s=0.15)) as server:
        with pytest.raises(RuntimeError, match="display is gone"):
            herogen_async.run(
                small_spec(),
                run=tmp_path / "r",
                base_url=server.url,
                model="m",
                concurrency=4,
                watch=herogen_async.Watch(on_report=broken),
            )
        asked = len(server.asked)
        assert asked == herogen_async.status(tmp_path / "r").done > 0
        herogen_async.resume(tmp_path / "r")
        assert 20 == len(server.asked)
    assert_exact_grid(tmp_path / "r", small_spec())


def test_the_hosts_signal_handlers_are_kept_or_restored(tmp_path: Path) -> None:
    """`arun` leaves the host's signal handlers alone, and `run` restores them."""

    def own(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        with FakeServer() as server:
            asyncio.run(herogen_async.arun(small_spec(), run=tmp_path / "a", base_url=server.url, model="m"))
            assert own is signal.getsignal(signal.SIGTERM)
            herogen_async.run(small_spec(), run=tmp_path / "b", base_url=server.url, model="m")
            assert own is signal.getsignal(signal.SIGTERM)
            assert signal.default_int_handler is signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_notebook_s_stop_button_drains_the_run(tmp_path: Path) -> None:
    """KeyboardInterrupt arrives in the cell's thread; the run goes on in another, and must hear of it."""
    script = """
import asyncio, os, signal, sys, threading
import herogen_async

def on_report(report):
    if report.done >= 4 and not pressed.is_set():
        pressed.set()
        os.kill(os.getpid(), signal.SIGINT)

pressed = threading.Event()

async def cell():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook's kernel has it while a cell runs
    options = dict(run=sys.argv[1], base_url=sys.argv[2], model="m", concurrency=2)
    report = herogen_async.run(sys.argv[3], watch=herogen_async.Watch(on_report=on_report), **options)
    print(report.state, report.done)

asyncio.run(cell())
"""
    with FakeServer(lambda asked: answer(asked, delay_s=0.1)) as server:
        spec = write_spec(tmp_path, small_spec())
        ran = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "r"), server.url, str(spec)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert 0 == ran.returncode, ran.stderr
        state, done = ran.stdout.split()
        assert ("interrupted", len(server.asked)) == (state, int(done))
        assert len(server.asked) < 20


def test_more_requests_than_open_files_are_refused_at_the_start(tmp_path: Path) -> None:
    """More concurrent requests than the process may open files are refused before anything is sent."""
    script = (
        "import resource, sys, herogen_async\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "herogen_async.run(sys.argv[2], run=sys.argv[1], base_url=sys.argv[3], model='m', concurrency=90)\n"
    )
    with FakeServer() as server:
        spec = write_spec(tmp_path, small_spec())
        ran = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "r"), str(spec), server.url],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "InputError: this concurrency needs 154 open files; this process may have 100" in ran.stderr
        assert 0 == len(server.asked)


@pytest.mark.parametrize("options", [{"budget": 1.0}, {"extendd": True}, {"bogus": 1}])
def test_an_unknown_option_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """An unknown option raises an input error that lists the valid ones, before a folder is created."""
    with pytest.raises(InputError, match="unknown option") as caught:
        herogen_async.run(small_spec(), run=tmp_path / "r", **options)
    assert "valid: " in (caught.value.fix or "")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "options", [{"concurrency": 2.5}, {"limit": 2.5}, {"limit": True}, {"rpm": "10"}, {"budget_usd": "3"}, {"price": 3}]
)
def test_a_setting_of_the_wrong_type_is_refused_and_not_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    """A setting of the wrong type is refused before a manifest keeps it."""
    with pytest.raises(InputError):
        herogen_async.run(small_spec(), run=tmp_path / "r", base_url="http://127.0.0.1:9/v1", model="m", **options)
    assert not (tmp_path / "r").exists()


def test_a_spec_may_be_a_dict_and_its_mistakes_are_told(tmp_path: Path) -> None:
    """What is written in a notebook's cell is checked as a file is."""
    shape = {"name": "s", "attributes": {"age": ["20", "30"]}, "prompt": "Describe {age}.", "repeats": 2}
    with FakeServer() as server:
        report = herogen_async.run(shape, run=tmp_path / "r", base_url=server.url, model="m")
        again = herogen_async.run(herogen_async.Spec(**shape), run=tmp_path / "r", base_url=server.url, model="m")
    assert (4, 4) == (report.done, again.done) == (again.total, len(server.asked))
    with pytest.raises(SpecError, match="prompt"):
        herogen_async.run({**shape, "prompt": "{agee}"}, run=tmp_path / "other")


def test_rows_errors_and_plan_tell_what_a_run_holds(tmp_path: Path) -> None:
    """The rows come in the grid's order whatever order they were answered in; a failed one is told with its class."""

    def behaviour(asked: Asked) -> Reply:
        return error(400, message="not to my taste") if "21" in asked.prompt else answer(asked)

    spec, run = small_spec(values=3, repeats=1), tmp_path / "r"
    with FakeServer(behaviour) as server:
        herogen_async.run(spec, run=run, base_url=server.url, model="m", limit=4)
        left = herogen_async.plan(run=run, limit=6)
    rows = herogen_async.rows(run)
    assert [("20", "man"), ("20", "woman")] == [tuple(row["cell"].values()) for row in rows]
    assert 2 == len(rows)
    assert [("refused", 2)] == [(group.kind, group.count) for group in herogen_async.errors(run)]
    assert (2, 2) == (left.new.requests, left.calls.kept)
    with pytest.raises(InputError, match="unknown option"):
        herogen_async.plan(spec, limits=3)  # type: ignore[call-arg]


@pytest.mark.anyio
async def test_questions_are_answered_where_a_loop_runs_already(tmp_path: Path) -> None:
    """`query` blocks a notebook's cell, `aquery` is awaited in it; the observer hears of each reply."""

    class Heard(herogen_async.Observer[Any, Any]):
        def __init__(self) -> None:
            self.replies: list[Any] = []

        def call_ended(self, record: Any, /) -> None:
            self.replies.append(record)

    heard = Heard()
    with FakeServer() as server:
        blocking = herogen_async.query("m", "one", base_url=server.url, samples=2)
        awaited = await herogen_async.aquery("m", ["one", "two"], base_url=server.url, watch=heard)
    assert [("one", 1), ("one", 2)] == [(reply.prompt, reply.sample) for reply in blocking]
    assert ["one", "two"] == [reply.prompt for reply in awaited]
    assert all(reply.answer for reply in blocking)
    assert awaited == heard.replies


def test_an_observer_hears_of_every_call_and_of_its_end(tmp_path: Path) -> None:
    """Answered or failed, once each; sent as often as it was."""

    class Heard(herogen_async.Observer[Any, herogen_async.RunReport]):
        def __init__(self) -> None:
            self.started: list[int] = []
            self.ended: dict[int, str] = {}

        def call_started(self, index: int, /) -> None:
            self.started.append(index)

        def call_ended(self, record: Any, /) -> None:
            assert record.index not in self.ended
            self.ended[record.index] = "answered" if record.completion else record.error.kind

    def behaviour(asked: Asked) -> Reply:
        return error(400, message="not to my taste") if "21" in asked.prompt else answer(asked)

    heard = Heard()
    with FakeServer(behaviour) as server:
        report = herogen_async.run(
            small_spec(values=2, repeats=1), run=tmp_path / "r", base_url=server.url, model="m", watch=heard
        )
    assert (2, 2) == (report.done, report.failed)
    assert {0: "answered", 1: "answered", 2: "refused", 3: "refused"} == dict(sorted(heard.ended.items()))
    assert [0, 1, 2, 3] == sorted(heard.started)


def test_an_observer_of_calls_that_fails_costs_no_answer(tmp_path: Path) -> None:
    """It hears of an answer when the journal has it."""

    class Broken(herogen_async.Observer[Any, Any]):
        def call_ended(self, record: Any, /) -> None:
            raise RuntimeError("the observer is gone")

    with FakeServer(lambda asked: answer(asked, delay_s=0.05)) as server:
        with pytest.raises(RuntimeError, match="observer is gone"):
            herogen_async.run(
                small_spec(), run=tmp_path / "r", base_url=server.url, model="m", concurrency=2, watch=Broken()
            )
        asked = len(server.asked)
    assert asked == herogen_async.status(tmp_path / "r").done < 20
