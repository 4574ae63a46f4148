"""The commands of the tune view: as they are shown, and started from the page when a person says so."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from herogen_async import assemble
from herogen_async.core.errors import InputError
from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.tune_commands import StartedCommand
from support.kept_finetunes import LocalTune, begun, untuned_run
from support.page_client import PageClient, served_page
from support.run_folders import WrittenRun
from support.tuned_models import tuned_model


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return untuned_run(Path("runs/heroes"))


@pytest.fixture
def page(run: WrittenRun) -> Iterator[PageClient]:
    with served_page() as page:
        yield page


def told(page: PageClient) -> dict[str, Any]:
    found: dict[str, Any] = page.get("/api/run/heroes/tune")
    return found


def start(page: PageClient, name: str, command: str | None = None) -> tuple[int, Any]:
    shown = told(page)["commands"].get(name, "")
    return page.post("/api/run/heroes/tune/start", {"name": name, "command": command or shown})


def ready(page: PageClient) -> None:
    """Its journal has been read: how many answers there are is known."""
    page.get("/api/run/heroes/about")


def ended(page: PageClient) -> dict[str, Any]:
    end = time.monotonic() + 30
    while (started := told(page)["started"])["exit_code"] is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return dict(started)


def test_the_commands_are_those_that_fit_the_run(page: PageClient, run: WrittenRun) -> None:
    """What was cut off is trimmed, few rows get more passes, and a second model is a new one."""
    ready(page)
    assert {
        "assemble": "herogen-async assemble heroes --split 0.2",
        "finetune": "herogen-async finetune heroes --backend local --epochs 8",
        "evaluate": "herogen-async finetune heroes --eval",
    } == told(page)["commands"]
    run.write([run.answer(23, "A hero who never", "length")])
    LocalTune(run.path).recorded()
    page.get("/api/run/heroes/rows")
    commands = told(page)["commands"]
    assert "herogen-async assemble heroes --truncated trim --split 0.2" == commands["assemble"]
    assert commands["finetune"].endswith("--epochs 8 --new")
    assert "herogen-async finetune heroes --backend local --eval" == commands["evaluate"]


def test_the_page_of_one_run_calls_it_by_its_name(run: WrittenRun, tmp_path: Path) -> None:
    """As `run --view` serves it, by its whole path; a run that lies elsewhere is called by that."""
    with served_page(RunFolder(run.path.absolute())) as page:
        assert "heroes" == told(page)["argument"]
    shutil.move(run.path, tmp_path / "elsewhere")
    with served_page(RunFolder(tmp_path / "elsewhere")) as page:
        assert str(tmp_path / "elsewhere") == page.get("/api/run/elsewhere/tune")["argument"]


@pytest.mark.parametrize(
    ("name", "starts"), [("a b'c; $(touch x)", ["assemble"]), ("--help", ["assemble"]), ("a\nb", [])]
)
def test_a_run_of_any_name_is_meant_by_its_commands(run: WrittenRun, name: str, starts: list[str]) -> None:
    """Or nothing is started: the word that a shell would make of it is not what would be found here."""
    run.path.rename(run.path.with_name(name))
    with served_page() as page:
        address = f"/api/run/{name}/tune"
        seen = page.get(address)
        assert starts == seen["starts"]
        argument = seen["argument"]
        assert bool(starts) == ([f"runs/{name}"] == shlex.split(argument))
        assert [f"runs/{name}"] == subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {argument}"], capture_output=True, text=True, check=True
        ).stdout.split("\0")[:-1]
        told = {"name": "assemble", "command": seen["commands"]["assemble"]}
        assert (200 if starts else 400) == page.post(quote(f"{address}/start"), told)[0]
        end = time.monotonic() + 30
        while (started := page.get(address)["started"]) is not None and started["exit_code"] is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert [0] * len(starts) == ([] if started is None else [started["exit_code"]])


def test_a_command_is_started_as_it_was_shown(page: PageClient, run: WrittenRun) -> None:
    """What it says and how it ended is told; one at a time."""
    ready(page)
    assert ["assemble"] == told(page)["starts"]
    status, answer = start(page, "assemble")
    assert (200, None) == (status, answer["started"]["exit_code"])
    status, refused = start(page, "assemble")
    assert (400, True) == (status, "still at work" in refused["error"])
    done = ended(page)
    assert (0, "herogen-async assemble heroes --split 0.2") == (done["exit_code"], done["command"]), done["lines"]
    assert any("23 of 23 answers" in line for line in done["lines"])
    assert 23 == told(page)["dataset"]["rows"]
    assert ["assemble", "finetune"] == told(page)["starts"]


def test_two_pages_that_start_at_once_start_one_command(run: WrittenRun) -> None:
    """Two tabs, or an impatient hand: the second is refused while the first one's process is being made."""

    async def both() -> tuple[list[object], dict[str, Any]]:
        command = StartedCommand()
        words = "herogen-async assemble heroes"
        starts = await asyncio.gather(command.start(words), command.start(words), return_exceptions=True)
        async with asyncio.timeout(30):
            while (seen := command.told()) is None or seen["exit_code"] is None:
                await asyncio.sleep(0.02)
        return list(starts), seen

    (first, second), seen = asyncio.run(both())
    assert first is None
    assert isinstance(second, InputError)
    assert "still at work" in second.message
    assert 0 == seen["exit_code"], seen["lines"]
    assert run.folder.dataset.is_dir()


def test_a_fine_tune_that_a_service_has_is_not_gone_on_with_from_the_page(page: PageClient, run: WrittenRun) -> None:
    """The bare command would create its job there, at a price; one on this machine may go on."""
    assemble("heroes")
    begun(run.path / "finetune" / "001", job_id=None, backend="openai", base_url="http://127.0.0.1:1/v1", model="m")
    assert "herogen-async finetune heroes" == told(page)["commands"]["finetune"]
    status, refused = start(page, "finetune")
    assert (400, True) == (status, "not started from the page" in refused["error"])
    assert ["assemble"] == told(page)["starts"]
    begun(run.path / "finetune" / "002", job_id=None)
    assert ["assemble", "finetune"] == told(page)["starts"]


def test_a_command_that_fails_says_why(page: PageClient, run: WrittenRun) -> None:
    """Its words and its exit code, as in a terminal."""
    ready(page)
    run.folder.segment(0).write_bytes(b"")
    start(page, "assemble")
    done = ended(page)
    assert 0 != done["exit_code"]
    assert any("fix:" in line for line in done["lines"])


@pytest.mark.parametrize(
    ("name", "command", "wrong"),
    [
        ("assemble", "herogen-async assemble other", "has changed since it was shown"),
        ("assemble", "herogen-async assemble heroes --split 0.1; rm -r /", "has changed since it was shown"),
        ("finetune", None, "not started from the page"),
        ("evaluate", None, "not started from the page"),
        ("run", "herogen-async run", "not started from the page"),
    ],
)
def test_nothing_else_is_started(page: PageClient, tmp_path: Path, name: str, command: str | None, wrong: str) -> None:
    """No words of a page's own; nothing without a data set; and nothing that asks a service, which may cost."""
    ready(page)
    tuned_model(tmp_path, "http://127.0.0.1:1/v1")
    status, refused = start(page, name, command)
    assert (400, True) == (status, wrong in refused["error"])
    assert told(page)["started"] is None
    assert 403 == page.post("/api/run/heroes/tune/start", {"name": name}, Origin="http://evil.example")[0]
