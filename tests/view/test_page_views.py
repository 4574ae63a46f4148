"""Every view of the page, whichever there are: the tabs of a run are read from the page itself.

Hostile text runs nothing and breaks no layout; nothing sticks out from 360 px to 4K; what axe-core finds is none; and
each control can be reached and used without a mouse.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from herogen_async.data.dataset.assemble.assemble import assemble
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowPages
from support.browsers import Page, opened_browser
from support.column_runs import ColumnRun, completion, maths
from support.hostile_run import (
    CELLS,
    FAILED,
    MOVED,
    REPEATS,
    ROWS,
    WIDE,
    cleaned,
    hostile_run,
    sound,
    unfolded,
)
from support.page_client import PageClient, served_page
from support.page_looks import CLIPPED
from support.run_folders import AT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageClient]:
    monkeypatch.chdir(tmp_path)
    hostile_run(Path("runs/one"))
    with served_page() as client:
        yield client


def tabs_of(page: Page) -> list[str]:
    """The addresses of the views of the run that is shown, as the page itself names them."""
    page.tab.wait_for_selector(".tabs a")
    found = page.tab.eval_on_selector_all(".tabs a", "(tabs) => tabs.map((tab) => tab.getAttribute('href').slice(1))")
    assert {"/one/live", "/one/rows"} <= set(found)
    return list(found)


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_text_runs_nothing_and_breaks_no_layout(kind: str, served: PageClient, width: int) -> None:
    """In every view, and in every row, side by side and one by one, with all that can be unfolded."""
    with opened_browser(width=width, kind=kind) as page:
        tab = page.tab
        for view in ["", *tabs_of(page.at(served.url, "/one/live"))]:
            page.at(served.url, view).settle()
            unfolded(page)
            sound(page, served.origin)
        for cell in range(CELLS):
            page.at(served.url, f"/one/rows/{cell * REPEATS}/repeats").settle()
            unfolded(page)
            sound(page, served.origin)
            texts = [text for number, text in ROWS.items() if number // REPEATS == cell]
            assert [cleaned(text) for text in texts] == tab.locator(".in-grid .note").all_text_contents()
            assert [cleaned(text) for text in texts] == tab.locator(".in-grid .card > .text").all_text_contents()
        if width == 360:
            page.at(served.url, "/one/rows").tab.wait_for_selector(".row-index")
            for number in sorted([*ROWS, *FAILED]):
                tab.keyboard.press("j")
                tab.wait_for_selector(f".row-head h2 >> text=/^Row {number:,}$/")
                unfolded(page)
                sound(page, served.origin)


def test_hostile_text_that_is_typed_runs_nothing_either(kind: str, served: PageClient) -> None:
    """A note, an edit, a search; each is shown as it was typed."""
    text = "</textarea></script><img src=x onerror=\"document.title='owned'\">"
    with opened_browser(kind=kind) as page:
        tab = page.at(served.url, "/one/rows/0").tab
        for button in ("Note ✓", "Edited ✓"):
            tab.get_by_role("button", name=button, exact=True).click()
            tab.locator(".writing textarea").fill(text)
            tab.get_by_role("button", name="Save").click()
            tab.wait_for_selector(".writing", state="detached")
        assert text == tab.locator(".card > .text").inner_text()
        assert text == tab.locator(".note").inner_text()
        tab.locator("input[name=text]").fill(text)
        tab.wait_for_selector(".empty")
        sound(page, served.origin)
        page.tab.reload()
        tab.wait_for_selector(".empty")
        assert text == tab.locator("input[name=text]").input_value()
        sound(page, served.origin)


JUDGED = {
    "hero": {"prompt": "A {level} hero of {topic}"},
    "judge": {"prompt": "Score [{hero}]", "answer": {"score": {"type": "integer"}, "why": "string"}},
}


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageClient]:
    """A run with everything that a view can show: columns, a judge, failures, findings, repeats, marks."""
    monkeypatch.chdir(tmp_path)
    made = ColumnRun(Path("runs/one"), maths(JUDGED, keep="judge.score >= 3", best_of={}, repeats=3))

    def answer(call: Any) -> Any:
        if call.column == "hero":
            return completion("an answer " * 60, reasoning="so", finish_reason="length")
        return None if call.index % 5 == 0 else f'{{"score": {call.index % 6}, "why": "because"}}'

    for number in range(10):
        made.ask(number, answer)
    assemble(made.path, column="hero", truncated="keep")
    pages = RowPages(made.folder)
    pages.refresh()
    for said, value in (("good", None), ("score", 4), ("note", "well done")):
        add_mark(made.folder, mark_record(pages.call_to_mark(1, "hero"), said, value, AT), at=AT)
    with served_page() as client:
        yield client


def views_of(page: Page, served: PageClient) -> list[str]:
    """All of a run, and the list of runs: with a row, its repeats, and a list without rows."""
    more = ["/one/rows/1", "/one/rows/1/repeats", "/one/rows?text=nothing", "/nowhere/live"]
    return ["", *tabs_of(page.at(served.url, "/one/live")), *more]


@pytest.mark.parametrize(("size", "scheme"), [((360, 740), "light"), ((1280, 800), "dark"), ((3840, 2160), "light")])
def test_each_view_fits_and_can_be_read(kind: str, shown: PageClient, size: tuple[int, int], scheme: str) -> None:
    """At 360 px and at 4K, by day and at night: nothing sticks out, and axe-core finds no breach of WCAG 2.2 AA.

    At 4K it is not asked: what it looks at is the same as at 1280 px, in the colours of 360 px.
    """
    found = {}
    is_largest = size[0] > 2000
    with opened_browser(*size, scheme, kind) as page:
        for view in views_of(page, shown):
            page.errors.clear()  # of a run that is none the address answers 404, which the console says
            page.at(shown.url, view).settle()
            unfolded(page)
            assert [] == page.tab.evaluate(CLIPPED)
            assert [] == page.tab.evaluate(WIDE)
            assert not page.is_too_wide
            assert [] == page.errors or ("404" in page.errors[0] and view.startswith("/nowhere"))
            if is_largest:
                continue
            for breach in Axe().run(page.tab, options=RULES).response["violations"]:
                named = [node["html"][:120] for node in breach["nodes"]]
                found[view, breach["id"]] = (breach["help"], named[:3])
    assert {} == found


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def test_every_control_of_every_view_is_reached_with_the_tab_key(kind: str, shown: PageClient) -> None:
    """In the order in which they stand, each with a frame that is seen, and the walk comes to its end."""
    with opened_browser(kind=kind) as page:
        for view in views_of(page, shown)[:-1]:
            page.at(shown.url, view).settle()
            wanted = page.tab.evaluate(CONTROLS)
            assert wanted
            reached = [page.tab.evaluate(FOCUSED)]
            for _ in range(len(wanted) + 20):
                page.tab.keyboard.press("Tab")
                reached.append(page.tab.evaluate(FOCUSED))
                if reached[-1] is None and len(reached) > 2:
                    break
            walked = [each["name"] for each in reached if each is not None]
            assert [] == [each for each in wanted if each not in walked], view
            assert [] == [each["name"] for each in reached if each is not None and not each["seen"]], view


NAME = (
    """(each) => [each.tagName, each.getAttribute("aria-label") ?? each.name, each.textContent.slice(0, 40)].join()"""
)
CONTROLS = f"""() => [
  ...document.querySelectorAll("a[href], button:enabled, input, select, textarea, summary, [tabindex='0']")
].filter((each) => each.checkVisibility({{ visibilityProperty: true }})
  && !each.matches(".map [tabindex='-1']")  // the squares of a table are one stop, and the arrow keys lead on
  && !each.closest("details:not([open]) > :not(summary)")).map({NAME})"""
FOCUSED = f"""() => {{
  const each = document.activeElement;
  if (each === null || each === document.body) return null;
  const style = getComputedStyle(each);
  const isFramed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return {{ name: ({NAME})(each), seen: each.id === "main" || isFramed }};
}}"""


@pytest.mark.parametrize("size", [(360, 740), (1280, 800)])
def test_nothing_moves_once_it_is_there(shown: PageClient, size: tuple[int, int]) -> None:
    """What comes with the first figures has had its place before: less than a tenth, as browsers count it."""
    with opened_browser(*size) as page:
        page.tab.goto(f"{shown.url}#/one/live")
        page.settle()
        page.tab.wait_for_selector(".tile")
        assert 0.1 > page.tab.evaluate(MOVED)
