"""The control view: a run is paused, limited and drained from a browser, and each control says what it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.run_folder import RunLock
from herogen_async.specs.spec import Spec
from support.browsers import Page, opened_browser
from support.page_client import PageClient, served_page
from support.page_looks import CLIPPED, CONTRAST
from support.run_folders import WrittenRun
from support.runs import small_spec
from support.viewed_run import viewed_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LONG = small_spec(values=400)  # 1,600 calls: not over before it is drained


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    made = WrittenRun(Path("runs/one"), Spec(name="s", attributes={"a": ["1", "2"]}, prompt="{a}"))
    made.write([made.answer(0, "so")])
    return made


@pytest.fixture
def served(stopped: WrittenRun) -> Iterator[PageClient]:
    with served_page() as client:
        yield client


def at_control(page: Page, url: str, name: str) -> Any:
    page.at(url, f"/{name}/control")
    page.tab.wait_for_selector(".control-state .pill")
    return page.tab


def looks_well(tab: Any) -> None:
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert [] == tab.evaluate(CONTRAST)
        assert [] == tab.evaluate(CLIPPED)


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_a_run_is_paused_limited_and_drained_with_the_keyboard(kind: str, tmp_path: Path) -> None:
    """Each control says what it does before it does it; draining is asked for twice."""
    with viewed_run(tmp_path, LONG, "--concurrency", "2") as run, opened_browser(360, 800, kind=kind) as page:
        page.at(run.page.url)
        page.tab.wait_for_url("**#/small/live")
        tab = at_control(page, run.page.origin, "small")
        tab.wait_for_selector(".control-state >> text=It sends requests.")
        pause = tab.get_by_role("button", name="Pause")
        pause.focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".control-state >> text=It sends nothing until you resume it.")
        assert "Resume" == tab.evaluate("document.activeElement.textContent"), "the focus stays where it was"
        looks_well(tab)
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".control-state >> text=It sends requests.")
        tab.get_by_label("rpm").fill("6")
        tab.wait_for_selector("#effect-rpm >> text=/At most 6 requests a minute, 0.10 per second.*left take at least/")
        tab.get_by_label("concurrency").fill("0")
        tab.wait_for_selector("#effect-concurrency >> text=Give a whole number above zero.")
        assert "true" == tab.get_by_role("button", name="Apply").get_attribute("aria-disabled")
        looks_well(tab)
        tab.get_by_label("concurrency").fill("4")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".changes >> text=rpm from no limit to 6")
        tab.wait_for_selector(".changes >> text=concurrency from 2 to 4")
        tab.get_by_role("button", name="Drain").focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open] >> text=herogen-async resume small")
        looks_well(tab)
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog[open]", state="detached")
        assert run.process.poll() is None
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.get_by_role("button", name="Drain and end the run").press("Enter")
        assert 130 == run.ended()[0]
        assert not page.is_too_wide
        assert [] == [each for each in page.errors if "ERR_CONNECTION" not in each]


def test_a_run_that_nobody_works_on_is_said_to_be_so(served: PageClient, stopped: WrittenRun) -> None:
    """Nothing can be pressed, each control says why, and how to go on; once it works, all can be."""
    with opened_browser() as page:
        tab = at_control(page, served.url, "one")
        tab.wait_for_selector(".control-state >> text=herogen-async resume one")
        for name in ("Pause", "Drain", "Apply"):
            button = tab.get_by_role("button", name=name)
            assert "true" == button.get_attribute("aria-disabled")
            button.click(force=True)
        assert 0 == tab.locator("dialog[open], .trouble").count()
        assert 2 == tab.locator(".action .effect >> text=the run is not at work").count()
        looks_well(tab)
        lock = RunLock.acquire(stopped.folder, "now")  # it works, and has no socket
        tab.wait_for_selector(".control-state >> text=can't be controlled now")
        tab.wait_for_selector(".control-state .pill >> text=out of reach")
        lock.release()
        assert [] == page.errors


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b'{"v": 1, "do": "stop"}', "unknown action 'stop'"),
        (b'{"v": 1, "do": "set", "settings": {"rpm": NaN}}', "is not a JSON object"),
        (b'{"v": 1, "do": "set", "settings": {"seed": 1}}', "'seed' can't be changed"),
        (b'{"v": 2, "do": "pause"}', "version is 1"),
        (b'{"v": 1, "do": "pause", "x": "' + b"x" * 5000 + b'"}', "too long"),
    ],
)
def test_a_command_that_means_nothing_is_refused(served: PageClient, said: bytes, told: str) -> None:
    """Before a run hears of it; a number that JSON does not have is no word for "no limit"."""
    own = {"Origin": served.origin, "Content_Type": "application/json"}
    with served.asked("/api/run/one/control", "POST", body=said, **own) as response:
        assert 400 == response.status
        assert told in response.read().decode()


def test_only_the_page_itself_controls_a_run(served: PageClient) -> None:
    """Its Origin, JSON and the token are asked for, as for marks."""
    said = {"v": 1, "do": "drain"}
    assert 403 == served.post("/api/run/one/control", said, Origin="http://evil.example")[0]
    assert 403 == served.post("/api/run/one/control", said, Content_Type="text/plain")[0]
    with served.asked("/api/run/one/control", "POST", body=b"{}", cookie="", Origin=served.origin) as response:
        assert 401 == response.status
    status, told = served.post("/api/run/one/control", said)
    assert (404, "continue it: herogen-async resume one") == (status, told["fix"])


def test_a_run_of_columns_has_limits_for_each(tmp_path: Path) -> None:
    """Whose limits are shown can be chosen; a column's own are set for it alone."""
    spec = Spec(
        name="small",
        attributes={"n": [str(each) for each in range(400)]},
        columns={"question": {"prompt": "ask {n}"}, "verdict": {"prompt": "grade {question}", "model": "judge"}},
    )
    with viewed_run(tmp_path, spec, "--concurrency", "2") as run, opened_browser() as page:
        page.at(run.page.url)
        page.tab.wait_for_url("**#/small/live")
        tab = at_control(page, run.page.origin, "small")
        tab.wait_for_selector(".control-state >> text=It sends requests.")
        tab.get_by_label("Limits of").select_option("verdict")
        tab.wait_for_selector("#effect-rpm >> text=No limit of its own.")
        tab.get_by_label("rpm").fill("30")
        tab.get_by_role("button", name="Apply").click()
        tab.wait_for_selector(".changes >> text=rpm of verdict from no limit to 30")
        told = run.page.get("/api/run/small/control")["at_work"]
        assert ({"verdict": {"rpm": 30}}, None) == (told["by_column"], told["rpm"])
        assert [] == page.errors
