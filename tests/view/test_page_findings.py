"""Coverage and quality in a real browser: a square and a finding lead to their rows, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.browsers import Page, opened_browser
from support.column_runs import ColumnRun, named
from support.mixed_run import mixed_run
from support.page_client import PageClient, served_page
from support.page_looks import CLIPPED, CONTRAST
from support.run_folders import WrittenRun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZES = ((360, 740), (1280, 800), (3840, 2160))
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\u202etxt.exe\u2066",
    "w" * 400,
    "__proto__",
    "a=b&c#/d?e%",
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ColumnRun:
    return mixed_run(tmp_path_factory.mktemp("runs") / "heroes")


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(mixed: ColumnRun) -> Iterator[PageClient]:
    with served_page(mixed.folder) as client:
        yield client


def looks_well(page: Page, *ready: str) -> None:
    """At each size, light and dark."""
    for width, height in SIZES:
        page.tab.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for each in ready:
                page.tab.wait_for_selector(each)
            assert not page.is_too_wide
            assert [] == page.tab.evaluate(CONTRAST), (width, scheme)
            assert [] == page.tab.evaluate(CLIPPED), (width, scheme)


def found(tab: Any) -> int:
    """How many rows the Rows view has found."""
    text = tab.wait_for_selector(".count-line >> text=/rows? found$/").inner_text()
    return int(re.sub(r"\D", "", text))


# Coverage.


def test_a_square_leads_to_its_rows(kind: str, served: PageClient) -> None:
    """By keyboard: one stop of the Tab key, the arrows from there, and Enter; as many rows as it says."""
    with opened_browser(kind=kind) as page:
        tab = page.at(served.url, "/heroes/coverage?y=power&x=age").tab
        tab.wait_for_selector(".map")
        assert 1 == tab.locator(".map [tabindex='0']").count()
        tab.locator(".map [tabindex='0']").focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight", "End", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp"):
            tab.keyboard.press(key)
        said = tab.evaluate("document.activeElement.getAttribute('aria-label')")
        assert said.startswith("telekinesis, 60: ")
        done = int(re.findall(r"(\d+) of 3 done", said)[0])
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/rows?**")
        assert done == found(tab)
        tab.go_back()
        tab.get_by_role("button", name="Failed").click()
        square = tab.locator("a.square.s5, a.square.s4, a.square.s3").first
        failed = int(re.findall(r"(\d+) failed", square.get_attribute("aria-label"))[0])
        square.click()
        assert failed == found(tab)
        assert [] == page.errors


def test_what_is_counted_can_be_chosen(served: PageClient) -> None:
    """Done, failed, accepted; what does not apply is said to be so; a reload shows the same."""
    with opened_browser() as page:
        tab = page.at(served.url, "/heroes/coverage").tab
        tab.wait_for_selector(".map caption >> text=/Rows done/")
        tab.get_by_label("across").select_option("gear")
        tab.wait_for_selector(".map th >> text=not applicable")
        tab.get_by_label("down").select_option("age")
        tab.wait_for_selector("[aria-label='50, cape: the spec has no such rows']")
        tab.get_by_role("button", name="Accepted").click()
        tab.wait_for_selector(".map caption >> text=/Rows accepted, age down/")
        told = served.get("/api/run/heroes/coverage", y="age", x="gear", of="accepted")
        rows = served.get("/api/run/heroes/rows", accepted="yes", cell=["age=20", "gear=cape"])["total"]
        assert (rows, 3 * 8) == (told["accepted"][0][0], told["wanted"][0][0])
        tab.reload()
        tab.wait_for_selector(".map caption >> text=/Rows accepted, age down, gear across/")
        looks_well(page, ".map")
        tab.get_by_label("across").select_option("age")  # the two change places
        tab.wait_for_selector(".map caption >> text=/gear down, age across/")
        tab.get_by_label("across").select_option("")
        tab.wait_for_selector(".map caption >> text=/gear down\\./")
        assert [] == page.errors


def test_a_run_that_goes_on_is_counted_on(tmp_path: Path) -> None:
    """The focus stays on its square."""
    run = WrittenRun(tmp_path / "one", Spec(name="s", attributes={"a": ["1", "2"]}, repeats=9, prompt="{a}"))
    run.write([run.answer(0, "so")])
    with served_page(run.folder) as served, opened_browser() as page:
        tab = page.at(served.url, "/one/coverage").tab
        tab.wait_for_selector("[aria-label='1: 1 of 9 done']")
        tab.locator("[aria-label='1: 1 of 9 done']").focus()
        tab.keyboard.press("ArrowDown")
        run.write([run.answer(each, "so") for each in (1, 9)])
        tab.wait_for_selector("[aria-label='2: 1 of 9 done']:focus")
        assert [] == page.errors


def test_hostile_attributes_and_answers_run_nothing(tmp_path: Path) -> None:
    """They are texts in the table, in the choices, in addresses and in findings, and break no layout."""
    spec = Spec(
        name="s",
        attributes={"__proto__": list(HOSTILE), "constructor": list(HOSTILE[:3])},
        prompt="{__proto__} {constructor}",
    )
    run = WrittenRun(tmp_path / "one", spec)
    run.write(run.answer(each, HOSTILE[each % 5], "length") for each in range(18))
    with served_page(run.folder) as served, opened_browser() as page:
        tab = page.at(served.url, "/one/coverage").tab
        tab.wait_for_selector(".map")
        looks_well(page, ".map")
        for number in range(len(HOSTILE)):
            page.at(served.url, "/one/coverage").tab.locator(f"a.square[data-row='{number}']").first.click()
            assert 1 == found(tab)
        page.at(served.url, "/one/quality").tab.get_by_role("button", name="Check the rows").click()
        tab.wait_for_selector(".finding")
        looks_well(page, ".finding")
        assert "owned" not in tab.title()
        assert 0 == tab.locator("img, main script").count()
        assert [] == page.errors


# Quality.


def test_the_rows_are_checked_and_a_finding_leads_to_its_rows(mixed: ColumnRun, served: PageClient) -> None:
    """Before that it says what is checked; what was found stays, and says when rows have come since."""
    with opened_browser() as page:
        tab = page.at(served.url, "/heroes/quality").tab
        tab.wait_for_selector(".empty >> text=/is it empty, cut off, a refusal/")
        looks_well(page, ".empty")
        button = tab.get_by_role("button", name="Check the rows")
        button.focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".finding h3 >> text=/^cut$/")
        looks_well(page, ".finding", ".bars")
        told = {each["kind"]: each["rows"] for each in served.get("/api/run/heroes/quality")["checked"]["findings"]}
        report = json.loads((mixed.path / "quality/quality.json").read_text())
        assert told == {each["kind"]: each["rows"] for each in report["findings"]}
        for kind, rows in told.items():
            page.at(served.url, "/heroes/quality").tab.locator(
                f".finding:has(h3:text-is('{kind}')) .finding-head a"
            ).click()
            assert rows == found(tab)
        page.at(served.url, "/heroes/quality").tab.locator(".seen a").first.click()
        tab.wait_for_selector(".row-head h2 >> text=/^Row /")
        mixed.ask(mixed.plan.rows - 10, named)
        page.at(served.url, "/heroes/quality").tab.wait_for_selector(".quality-status.stale")
        tab.get_by_role("button", name="Check again").click()
        tab.wait_for_selector(".quality-status.stale", state="detached")
        assert [] == page.errors


def test_a_check_that_can_t_be_made_says_why(tmp_path: Path) -> None:
    """No rows yet, or a place that can't be written to; the page stays as it was."""
    run = WrittenRun(tmp_path / "one", Spec(name="s", attributes={"a": ["1", "2"]}, prompt="{a}"))
    with served_page(run.folder) as served, opened_browser() as page:
        tab = page.at(served.url, "/one/quality").tab
        for said in ("no complete rows yet", "can't be written"):
            tab.get_by_role("button", name="Check the rows").click()
            tab.wait_for_selector(f".trouble >> text={said}")
            run.write([run.answer(0, "so")])
            (run.path / "quality").write_text("in the way")
        assert (400, 403) == (
            served.post("/api/run/one/quality", {"do": "train"})[0],
            served.post("/api/run/one/quality", {"do": "check"}, Origin="http://evil.example")[0],
        )
        assert [] == page.errors


def test_a_check_can_be_stopped(tmp_path: Path) -> None:
    """Its process is gone then; it can be started again."""
    run = WrittenRun(tmp_path / "one", Spec(name="s", attributes={"a": ["1", "2"]}, repeats=4000, prompt="{a}"))
    run.write(run.answer(each, f"{each} one two three " * 20) for each in range(8000))
    with served_page(RunFolder(run.path)) as served:
        assert served.post("/api/run/one/quality", {"do": "check"})[1]["running"] is not None
        assert served.post("/api/run/one/quality", {"do": "check"})[1]["running"] is not None  # twice is once
        told = served.post("/api/run/one/quality", {"do": "stop"})[1]
        assert (None, None, None) == (told["running"], told["trouble"], told["checked"])
        assert not (run.path / "quality").exists()
        served.post("/api/run/one/quality", {"do": "check"})
    assert not (run.path / "quality").exists(), "it ends with the server, too"
