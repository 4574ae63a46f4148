"""The page in a real browser: hostile text, keys, sizes, a run that goes on. Where there is none, it says so."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.specs.spec import Spec
from support.browsers import Page, opened_browser
from support.fake_server import Asked, FakeServer, Reply, answer
from support.hostile_texts import IN_PAGES
from support.page_client import PageClient, served_page
from support.run_folders import WrittenRun
from support.runs import command, environment, herogen, small_spec, write_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TEXTS = IN_PAGES[:21]
SPEC = Spec(
    name="s",
    attributes={"word": [*IN_PAGES[:6], "plain"], "__proto__": ["<b>a</b>", "constructor"]},
    repeats=4,
    prompt="Say {word} {__proto__} <script>document.title='owned'</script>",
)


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    made = WrittenRun(Path("runs/one"), SPEC)
    for place, text in enumerate(TEXTS):
        made.write([made.answer(place, text, text[:60] or "stop", reasoning=text, extra={text: [text]}, model=text)])
    made.fail([made.failure(50, "server", IN_PAGES[0], reason=IN_PAGES[1])])
    return made


@pytest.fixture
def served(run: WrittenRun) -> Iterator[PageClient]:
    with served_page() as client:
        yield client


def opened(page: Page, served: PageClient, view: str) -> Any:
    page.at(served.url, view)
    return page.tab


def press(tab: Any, key: str, shows: str) -> None:
    tab.keyboard.press(key)
    tab.wait_for_selector(shows)


def test_the_token_leaves_the_address(kind: str, served: PageClient) -> None:
    """It is a cookie from then on; a reload and another tab work with it."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "")
        tab.wait_for_selector(".run-card")
        assert served.token not in tab.url
        tab.reload()
        tab.wait_for_selector(".run-card .pill")
        other = tab.context.new_page()
        other.goto(f"{served.origin}/#/one/rows")
        other.wait_for_selector(".row-index")
        assert [] == page.errors


def test_a_list_of_rows_is_read_and_marked_with_the_keyboard(kind: str, served: PageClient, run: WrittenRun) -> None:
    """Down and up, good, bad, a score, a note; what is marked is there after a reload."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/rows")
        tab.wait_for_selector(".filters select")
        tab.wait_for_selector(".count-line >> text=22 rows")  # while the journal is read, no row can be chosen
        press(tab, "j", ".row-head h2 >> text=Row 0")
        press(tab, "j", ".row-head h2 >> text=Row 1")
        press(tab, "g", ".marks button.on.good")
        press(tab, "4", ".scores button.on >> text=4")
        tab.keyboard.press("n")
        tab.keyboard.type("a j and a g in a note")
        press(tab, "Control+Enter", ".note >> text=a j and a g in a note")
        press(tab, "b", ".marks button.on.bad")
        press(tab, "k", ".row-head h2 >> text=Row 0")
        tab.keyboard.press("Escape")
        tab.wait_for_selector(".row-panel", state="hidden")
        tab.wait_for_selector(".row .pill >> text=bad")
        tab.reload()
        tab.wait_for_selector(".row .pill >> text=4/5")
        tab.keyboard.press("/")
        tab.keyboard.type("JAVASCRIPT:")
        tab.wait_for_selector(".count-line >> text=2 rows found")
        tab.keyboard.press("Escape")
        tab.locator("select[name=mark]").select_option("note")
        tab.locator("input[name=text]").fill("")
        tab.wait_for_selector(".count-line >> text=1 row found")
        assert [] == page.errors


def test_a_filter_is_an_address(kind: str, served: PageClient) -> None:
    """It says what is wanted, in which order, and stays over a reload; a link leads to the rows that it names."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/rows?order=most:length&figure=length&least=100")
        tab.wait_for_selector(".count-line >> text=3 rows found")
        tab.wait_for_selector(".row >> nth=0 >> .row-index >> text=14")
        tab.wait_for_selector(".row-figure >> text=5,000 characters")
        tab.locator("input[name=most]").fill("600")
        tab.wait_for_selector(".count-line >> text=1 row found")
        assert "most=600" in tab.url
        tab.reload()
        tab.wait_for_selector(".count-line >> text=1 row found")
        assert "600" == tab.locator("input[name=most]").input_value()
        tab.evaluate("location.hash = '#/one/rows?cell=word%3Dplain&state=pending'")
        tab.wait_for_selector(".empty >> text=No rows match")
        assert "plain" == tab.locator("select[name='cell word']").input_value()
        assert "" == tab.locator("select[name=figure]").input_value()
        assert [] == page.errors


def test_the_rows_of_a_cell_are_read_side_by_side(kind: str, served: PageClient) -> None:
    """And marked there, with the keys that mark a row; a reload comes back to them."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/rows/5")
        tab.wait_for_selector(".row-head h2 >> text=Row 5")
        press(tab, "r", ".repeats .chosen h3 >> text=Row 5")
        assert ["Row 4", "Row 5", "Row 6", "Row 7"] == tab.locator(".repeats h3 >> text=/^Row/").all_inner_texts()
        press(tab, "ArrowRight", ".repeats .chosen h3 >> text=Row 6")
        press(tab, "g", ".repeats .chosen .marks button.on.good")
        tab.reload()
        tab.wait_for_selector(".repeats .chosen h3 >> text=Row 6")
        tab.wait_for_selector(".repeats .chosen .marks button.on.good")
        press(tab, "Escape", ".row-head h2 >> text=Row 6")
        tab.wait_for_selector(".row .pill >> text=good")
        assert [] == page.errors


def test_a_mark_that_is_set_already_is_taken_back(kind: str, served: PageClient) -> None:
    """A verdict and a score, by its key and by its button, whichever of the two has set it."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/rows/1")
        tab.wait_for_selector(".row-head h2 >> text=Row 1")
        good, four = ".marks button[aria-pressed=true] >> text=Good", ".scores button[aria-pressed=true] >> text=4"
        for name, key, on in (("Good", "g", good), ("4", "4", four)):
            button = tab.get_by_role("button", name=name, exact=True)
            for is_key in (True, False):
                press(tab, key, on)
                if is_key:
                    tab.keyboard.press(key)
                else:
                    button.click()
                tab.wait_for_selector(on, state="detached")
            button.click()
            tab.wait_for_selector(on)
        assert [] == page.errors


def test_a_run_is_watched_while_it_goes_on_and_when_it_is_gone(kind: str, served: PageClient, run: WrittenRun) -> None:
    """Rows that come are counted and shown, its end is seen, and a page left open says that the folder is gone."""
    with opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/live")
        tab.wait_for_selector(".pill >> text=stopped")
        lock = RunLock.acquire(run.folder, "now")
        tab.wait_for_selector(".pill >> text=running")
        run.write([run.answer(30, "more")])
        tab.wait_for_selector(".bar-text >> text=/^22 of/")
        tab.get_by_role("link", name="Rows").click()
        tab.wait_for_selector(".count-line >> text=23 rows")
        run.write([run.answer(31, "and more")])
        tab.wait_for_selector(".count-line >> text=24 rows")
        lock.release()
        tab.wait_for_selector(".pill >> text=stopped")
        shutil.rmtree(run.path)
        tab.wait_for_selector(".trouble >> text=folder is gone")


def test_a_run_that_is_killed_and_resumed_is_seen_in_two_tabs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tab sees it run, die and end, without a reload; what is marked in one is in the other, and stays."""
    monkeypatch.chdir(tmp_path)
    are_late = threading.Event()
    are_late.set()

    def behaviour(asked: Asked) -> Reply:
        # The sixth request and later ones are answered once the run was killed.
        is_late = are_late.is_set() and sum(server.prompts().values()) > 5
        return answer(asked, delay_s=3600.0 if is_late else 0.0)

    spec = write_spec(tmp_path, small_spec())
    with FakeServer(behaviour) as server, served_page() as served, opened_browser(kind=kind) as page:
        child = subprocess.Popen(
            command("run", spec, "--run", "one", "--base-url", server.url, "--quiet"), cwd=tmp_path, env=environment()
        )
        try:
            while not Path("runs/one/manifest.json").exists():
                page.tab.wait_for_timeout(20)
            tab = opened(page, served, "/one/live")
            tab.wait_for_selector(".pill >> text=running")
            tab.wait_for_selector(".bar-text >> text=/^5 of/")
            other = page.tab.context.new_page()
            other.goto(f"{served.origin}/#/one/rows")
            other.wait_for_selector(".count-line >> text=5 rows")
            press(other, "j", ".row-panel .card")
            press(other, "g", ".marks button.on.good")
        finally:
            child.kill()
            child.wait()
        tab.wait_for_selector(".pill >> text=stopped")
        other.wait_for_selector(".run-top .pill >> text=stopped")
        are_late.clear()
        assert 0 == herogen("resume", "one", "--base-url", server.url, "--quiet", cwd=tmp_path).returncode
        for each in (tab, other):
            each.wait_for_selector(".run-top .pill >> text=done")
        total = tab.locator(".bar-text").inner_text().split()[0]
        other.wait_for_selector(f".count-line >> text={total} rows")
        other.wait_for_selector(".row .pill >> text=good")
        tab.get_by_role("link", name="Rows").click()
        tab.wait_for_selector(".row .pill >> text=good")
        assert [] == page.errors


def test_a_list_that_was_left_counts_no_more(kind: str, served: PageClient, run: WrittenRun) -> None:
    """The journals of runs that nobody looks at any more are not read."""
    shutil.copytree(run.path, "runs/two")
    held: list[Any] = []
    with opened_browser(kind=kind) as page:
        page.tab.route("**/api/runs/*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
        with page.tab.expect_request("**/api/runs/*"):
            tab = opened(page, served, "")
        tab.evaluate("location.hash = '#/one/live'")
        tab.wait_for_selector(".fact >> text=Finish reasons")
        with tab.expect_response("**/api/runs/*") as answered:
            held[0].continue_()
        answered.value.finished()
        tab.evaluate("fetch('/api/runs').then((response) => response.json())")
        assert 1 == len(held)


def test_a_server_that_ended_is_said(kind: str, run: WrittenRun) -> None:
    """What is shown is from before, and how to go on."""
    with opened_browser(kind=kind) as page:
        with served_page() as served:
            tab = opened(page, served, "/one/live")
            tab.wait_for_selector(".pill >> text=stopped")
        tab.wait_for_selector(".trouble >> text=does not answer")


def test_many_rows_scroll_and_are_not_held(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of 200,000 is reached, few elements stand for all, and blank lines are filled."""
    monkeypatch.chdir(tmp_path)
    spec = Spec(name="m", attributes={"a": [str(each) for each in range(1000)]}, repeats=200, prompt="{a}")
    made = WrittenRun(Path("runs/one"), spec)
    made.write(made.answer(each, f"row {each}") for each in range(200_000))
    with served_page(RunFolder(Path("runs/one"))) as served, opened_browser(kind=kind) as page:
        tab = opened(page, served, "/one/rows")
        tab.wait_for_selector(".count-line >> text=200,000 rows", timeout=60_000)
        page.asked.clear()
        tab.evaluate("document.querySelector('.list').scrollTop = 1e9")
        tab.wait_for_selector(".row-index >> text=199,999")
        assert tab.locator(".row").count() < 60
        assert 4 > sum("/rows?" in url and "count=100" in url for url in page.asked)  # and few are asked for
        tab.evaluate("document.querySelector('.list').scrollTop /= 2")
        tab.wait_for_selector(".row-text >> text=/^row 100.../")
        tab.locator("select[name=order]").select_option("latest")
        tab.wait_for_selector(".row-index >> text=199,999")
        assert [] == page.errors
