"""Draw the pictures of docs/pictures anew: `python tests/record_pictures.py [NAME ...]`.

The real program runs in a real terminal, and what stands there at a moment becomes a picture: whoever changes what
people see, draws them again and looks at them. It needs tmux, Chromium, the embedded model's weights and four minutes;
`an_evening` needs the extra `[train]` and a quarter of an hour more. No test needs any of these.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.browsers import PROGRAMS, opened_browser
from support.doc_commands import simulating
from support.fake_server import FakeServer, error
from support.mixed_run import mixed_run
from support.page_client import PageClient, served_page
from support.places import ROOT
from support.screen import Screen
from support.screen_picture import picture

PICTURES = ROOT / "docs" / "pictures"
PANEL = r"╭─[^╰]*{}[^╰]*╰─"  # within a panel that is drawn to its end
SERVER = "--base-url http://127.0.0.1:8123/v1 --model m"
SIMULATED = "herogen-async simulate --port 8123"


@dataclass(frozen=True)
class Shot:
    """A screen: the picture's name, what it shows in a sentence, how wide it is."""

    name: str
    title: str
    columns: int
    screen: str

    @property
    def file(self) -> tuple[str, bytes]:
        return f"{self.name}.svg", picture(self.screen, self.columns, self.title).encode()


@dataclass(frozen=True)
class PageShot:
    """The head of a page in a browser."""

    name: str
    page: Path

    @property
    def file(self) -> tuple[str, bytes]:
        programs = PROGRAMS["chromium"]
        browser = next(filter(None, map(shutil.which, programs)), None)
        assert browser is not None, f"none of {', '.join(programs)} is installed"
        drawn = self.page.with_suffix(".png")
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,820"]
        subprocess.run([browser, *quiet, f"--screenshot={drawn}", self.page.as_uri()], check=True, capture_output=True)
        return f"{self.name}.png", drawn.read_bytes()


@dataclass(frozen=True)
class TabShot:
    """The page as a browser shows it."""

    name: str
    drawn: bytes

    @property
    def file(self) -> tuple[str, bytes]:
        return f"{self.name}.png", self.drawn


@dataclass(frozen=True)
class Stage:
    """Where scenes are played: a folder with a spec, and terminals in it."""

    folder: Path

    def screen(self, columns: int = 80, lines: int = 24) -> Screen:
        paths = os.pathsep.join((str(self.folder / "bin"), os.environ["PATH"]))
        return Screen(self.folder, columns, lines, PATH=paths)


Scene = Callable[[Stage], Iterator[Shot | PageShot | TabShot]]


def before_paying(stage: Stage) -> Iterator[Shot | PageShot]:
    with stage.screen(lines=40) as screen:
        screen.type("herogen-async plan --show 1")
        yield Shot("plan", "A plan, and the first prompt as it will be sent", 80, screen.await_prompt())


def on_this_machine(stage: Stage) -> Iterator[Shot | PageShot]:
    """The embedded model's first rows, in full."""
    with stage.screen(lines=40) as screen:
        screen.type("herogen-async run --limit 42")
        live = screen.await_text(PANEL.format(r"ETA about[^╰]*\n│ age \d"), 900)
        yield Shot("running", "The live panel of a run on the embedded model", 80, live)
        yield Shot("done", "The panel and the summary of a run that is done", 80, screen.await_prompt(1200))
        screen.type("herogen-async show superhero -n 1")
        yield Shot("show", "A row, to read", 80, screen.await_prompt())
        screen.type("herogen-async assemble superhero --truncated trim --split 0.1")
        screen.await_prompt()
        yield PageShot("report", stage.folder / "runs" / "superhero" / "dataset" / "quality" / "report.html")


def at_a_limit(stage: Stage) -> Iterator[Shot | PageShot]:
    """A server that states no limit, and refuses what exceeds it."""
    with (
        simulating(f"{SIMULATED} --rpm 300 --latency-ms 900 --headers none --enforce window-second"),
        stage.screen() as screen,
        stage.screen(40, 30) as narrow,
    ):
        screen.type(f"herogen-async run heroes.yaml --run refused {SERVER} --concurrency 32")
        storm = screen.await_text(PANEL.format(r" [2-9]\d of 294 rows[^╰]*Asked again: \d{2,}[^╰]*\n│ age \d"))
        yield Shot("refused", "The live panel while a server refuses what exceeds its limit", 80, storm)
        screen.key("C-c")
        screen.await_prompt()
        narrow.type("herogen-async resume refused")
        slim = narrow.await_text(PANEL.format(r"ETA about[^╰]*\n│ age \d"))
        yield Shot("narrow", "The live panel on a terminal of 40 columns", 40, slim)
        narrow.key("C-c")
        narrow.await_prompt()


def controlled(stage: Stage) -> Iterator[Shot | PageShot]:
    with (
        simulating(f"{SIMULATED} --rpm 600 --latency-ms 900"),
        stage.screen() as screen,
        stage.screen() as other,
    ):
        screen.type(f"herogen-async run heroes.yaml --run paused {SERVER} --concurrency 16")
        screen.await_text(PANEL.format("ETA about"))
        other.type("herogen-async ctl paused pause")
        other.await_prompt()
        still = screen.await_text(PANEL.format("0 of 16 in flight[^╰]*paused"))
        yield Shot("paused", "The live panel of a run that is paused", 80, still)
        other.type("herogen-async ctl paused resume")
        screen.await_prompt(120)


def parked(stage: Stage) -> Iterator[Shot | PageShot]:
    """What no row can succeed with stops a run."""
    refused = error(401, "invalid_api_key", "Incorrect API key provided: sk-te**0000.")
    with FakeServer(lambda _: refused, port=8123), stage.screen() as screen:
        screen.type(f"herogen-async run heroes.yaml --run refused-key {SERVER}")
        yield Shot("parked", "A run that parked: why, and what to do", 80, screen.await_prompt())
    with simulating(f"{SIMULATED} --latency-ms 200"), stage.screen() as screen:
        screen.type(f"herogen-async run heroes.yaml --run budget {SERVER} --price 4,16 --budget 0.50")
        yield Shot("budget", "A run that reached its budget", 80, screen.await_prompt(120))


def listed(stage: Stage) -> Iterator[Shot | PageShot]:
    with stage.screen() as screen:
        screen.type("herogen-async runs")
        yield Shot("runs", "The runs that there are", 80, screen.await_prompt())


def in_the_browser(stage: Stage) -> Iterator[TabShot]:
    """A run that is at work, its rows, one of them marked; by day, at night, and on a telephone."""
    with (
        contextlib.chdir(stage.folder),
        simulating(f"{SIMULATED} --rpm 900 --latency-ms 600 --fault 500=0.03 --reasoning reasoning"),
        stage.screen() as screen,
        served_page() as served,
    ):
        mixed_run(Path("runs/graded"), repeats=12)
        screen.type(
            f"herogen-async run heroes.yaml --run heroes {SERVER} --endpoint chat --budget 2 --price 1,2 --rpm 300"
        )
        screen.await_text(PANEL.format(r" 1\d\d of 294 rows"))
        runs, live, rows, repeats = _rows_and_progress(served, "light", keys="jbjg5jj4k")
        yield TabShot("page_runs", runs)
        yield TabShot("page_live", live)
        yield TabShot("page_rows", rows)
        yield TabShot("page_repeats", repeats)
        runs, live, rows, repeats = _rows_and_progress(served, "dark", keys="jjj")
        yield TabShot("page_runs_dark", runs)
        yield TabShot("page_live_dark", live)
        yield TabShot("page_rows_dark", rows)
        yield TabShot("page_repeats_dark", repeats)
        with opened_browser(360, 720) as page:
            page.at(served.url, "/heroes/rows/1").tab.wait_for_selector(".card")
            yield TabShot("page_narrow", page.tab.screenshot())
        screen.key("C-c")
        screen.await_prompt()


def _rows_and_progress(served: PageClient, scheme: str, *, keys: str) -> list[bytes]:
    """The runs, a run's progress, its rows after some `keys`, and the rows of one cell."""
    with opened_browser(1280, 720, scheme) as page:
        page.at(served.url, "").tab.wait_for_selector(".run-card")
        page.settle()
        shots = [page.tab.screenshot()]
        page.at(served.url, "/heroes/live").tab.wait_for_selector(".uplot")
        page.tab.wait_for_timeout(6000)  # some figures of a second each
        shots.append(page.tab.screenshot())
        page.at(served.url, "/heroes/rows").tab.wait_for_selector(".filters select")
        for key in keys:
            page.tab.keyboard.press(key)
            page.tab.wait_for_timeout(500)
        shots.append(page.tab.screenshot())
        page.at(served.url, "/heroes/rows/0/repeats").tab.wait_for_selector(".repeats .card >> nth=2")
        page.settle()
        return [*shots, page.tab.screenshot()]


def looked_into(stage: Stage) -> Iterator[TabShot]:
    """A run that is about to get another limit; rows of another by two attributes, and what the checks find there."""
    with (
        contextlib.chdir(stage.folder),
        simulating(f"{SIMULATED} --rpm 900 --latency-ms 600"),
        stage.screen() as screen,
        served_page() as served,
    ):
        mixed_run(Path("runs/graded"), repeats=12)
        screen.type(f"herogen-async run heroes.yaml --run heroes {SERVER} --rpm 300")
        screen.await_text(PANEL.format(r" \d\d of 294 rows"))
        control, coverage, quality = _views(served, "light")
        yield TabShot("page_control", control)
        yield TabShot("page_coverage", coverage)
        yield TabShot("page_quality", quality)
        control, coverage, quality = _views(served, "dark")
        yield TabShot("page_control_dark", control)
        yield TabShot("page_coverage_dark", coverage)
        yield TabShot("page_quality_dark", quality)
        screen.key("C-c")
        screen.await_prompt()


def _views(served: PageClient, scheme: str) -> tuple[bytes, bytes, bytes]:
    """Control, coverage and quality."""
    with opened_browser(1280, 670, scheme) as page:
        tab = page.at(served.url, "/heroes/control").tab
        tab.wait_for_selector(".control-state >> text=It sends requests.")
        tab.get_by_label("rpm").fill("600")
        tab.wait_for_selector("#effect-rpm >> text=left take at least")
        control = tab.screenshot()
        page.at(served.url, "/graded/coverage?y=power&x=age&of=accepted").tab.wait_for_selector(".of-accepted .map")
        coverage = tab.screenshot()
        tab.set_viewport_size({"width": 1280, "height": 1150})
        button = page.at(served.url, "/graded/quality").tab.get_by_role("button", name="Check")
        button.click()
        tab.wait_for_selector(".bars", timeout=60_000)
        tab.get_by_role("button", name="Check again").wait_for(timeout=60_000)
        return control, coverage, tab.screenshot()


def an_evening(stage: Stage) -> Iterator[TabShot]:
    """From the first rows to a tuned model on this machine, in the page: marked, assembled, tuned, compared, asked."""
    with contextlib.chdir(stage.folder), stage.screen() as screen, served_page() as served:
        screen.type("herogen-async run --limit 24")
        screen.await_prompt(600)
        with opened_browser(1280, 800) as page:
            tab = page.at(served.url, "/superhero/rows").tab
            tab.wait_for_selector(".count-line >> text=24 rows")
            for key in ("j", "g", "j", "b", "j", "j", "5", "j", "b", "j", "g"):
                tab.keyboard.press(key)
                tab.wait_for_timeout(400)
            yield TabShot("evening_marks", tab.screenshot())
        with opened_browser(1280, 800) as page:
            tab = page.at(served.url, "/superhero/tune").tab
            _run_here(tab, 1)
            tab.wait_for_selector(".started .pill >> text=done", timeout=60_000)
            yield TabShot("evening_assembled", tab.screenshot())
            _run_here(tab, 2)
            tab.locator(".finetune .tile >> text=/^1[0-9] of/").wait_for(timeout=1_500_000)
            tab.wait_for_timeout(2500)
            tab.evaluate("document.querySelector('.finetune').scrollIntoView()")
            yield TabShot("page_tune", tab.screenshot())
            tab.emulate_media(color_scheme="dark")
            tab.wait_for_timeout(500)
            yield TabShot("page_tune_dark", tab.screenshot())
            tab.emulate_media(color_scheme="light")
            tab.wait_for_selector(".started .pill >> text=done", timeout=1_500_000)
            _run_here(tab, 3)
            tab.locator(".evaluation h3").first.wait_for(timeout=900_000)
            tab.evaluate("document.querySelector('.evaluation').scrollIntoView()")
            tab.wait_for_timeout(500)
            yield TabShot("page_evaluation", tab.screenshot())
        with _asked(served, "light") as tab:
            tab.wait_for_selector('.ask-status >> text="Done"', timeout=180_000)
            yield TabShot("page_playground", tab.screenshot())
        with _asked(served, "dark") as tab:
            yield TabShot("page_playground_dark", tab.screenshot())


@contextlib.contextmanager
def _asked(served: PageClient, scheme: str) -> Iterator[Any]:
    """The playground, while it answers a question that no row has asked."""
    with opened_browser(1280, 800, scheme) as page:
        tab = page.at(served.url, "/superhero/playground").tab
        tab.wait_for_selector(".ask-cells select")
        for name, value in (("age", "40"), ("gender", "woman")):
            tab.locator(f"select[aria-label={name}]").select_option(value)
        tab.locator("select[aria-label=power]").select_option(label="another value …")
        tab.get_by_label("power, another value").fill("Healing")
        tab.wait_for_selector(".sent-text >> text=40, woman, Healing ->")
        tab.locator("input[name=samples]").fill("2")
        tab.get_by_role("button", name="Ask", exact=True).click()
        tab.wait_for_selector(".answer-card.of-base .figures >> text=answering", timeout=120_000)
        yield tab


def _run_here(tab: Any, step: int) -> None:
    """The command of a step of the tune view, started there."""
    button = tab.locator(".way li").nth(step).locator(".run-here")
    button.click()
    button.click()
    tab.wait_for_selector(".started .pill >> text=running")


SCENES: tuple[Scene, ...] = (
    before_paying,
    on_this_machine,
    at_a_limit,
    controlled,
    parked,
    listed,
    in_the_browser,
    looked_into,
    an_evening,
)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A folder with a spec, and the program under the name that users know."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        program = folder / "bin" / "herogen-async"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -m herogen_async "$@"\n')
        program.chmod(0o755)
        set_up = Stage(folder)
        with set_up.screen() as screen:
            screen.type("herogen-async init heroes.yaml")
            screen.await_prompt()
        yield set_up


def main(names: list[str]) -> None:
    PICTURES.mkdir(exist_ok=True)
    with stage() as set_up:
        for scene in SCENES:
            if names and scene.__name__ not in names:
                continue
            for shot in scene(set_up):
                name, drawn = shot.file
                (PICTURES / name).write_bytes(drawn)
                print(f"{name}: {len(drawn):,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
