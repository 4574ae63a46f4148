"""The tune view and the playground in a real browser: hostile text, keys, sizes, a fine-tune that goes on.

Where there is no browser, they say so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.specs.spec import Spec
from herogen_async.tune.evaluation import evaluate_tuned
from support.browsers import Page, opened_browser
from support.fake_server import Asked, FakeServer, Reply
from support.hostile_run import sound
from support.kept_finetunes import LocalTune, begun
from support.page_client import PageClient, served_page
from support.page_looks import CLIPPED, CONTRAST
from support.run_folders import WrittenRun
from support.streamed_answers import streamed
from support.tuned_models import rows_file, tuned_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "</textarea></select><svg/onload=document.title='owned'><base href=//evil.example/>",
    "javascript:document.title='owned' \u202etxt.exe\u2066 \x1b]0;owned\x07 \u2028",
    "w" * 3000,
)
ATTRIBUTES = {"age": ("18", "40"), "gender": ("man", "woman"), "power": ("flight", HOSTILE[1])}
RECIPE = Recipe(sub_prompt="{age}, {gender}, {power}", attributes=ATTRIBUTES)
SPEC = Spec(
    name="heroes",
    attributes={name: list(values) for name, values in ATTRIBUTES.items()},
    repeats=3,
    prompt="A {age}-year-old {gender} who has {power}.",
)


@pytest.fixture(params=["chromium", "firefox"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def says_them(asked: Asked) -> Reply:
    """Each model answers in pieces, with text that would be markup."""
    text = HOSTILE[asked.number % len(HOSTILE)]
    if asked.body.get("stream"):
        return streamed(asked, [" ", text[:40], text[40:]], finish_reason="length" if asked.number % 2 else "stop")
    return Reply({"choices": [{"index": 0, "text": f" {text}", "finish_reason": "stop"}], "usage": {}})


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(says_them) as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> WrittenRun:
    """A run with a model from a service that was evaluated, and one fine-tune of each further state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = WrittenRun(Path("runs/heroes"), SPEC, base_url=server.url)
    made.write(made.answer(index, f"A hero of the number {index}.") for index in range(24))
    begun(made.path / "finetune" / "001", job_id="job-1", recipe=RECIPE, backend="openai", base_url=server.url)
    held_out = rows_file(tmp_path / "valid.jsonl", [("40, woman, flight", HOSTILE[0])])
    tuned = tuned_model(tmp_path, server.url, RECIPE, held_out=held_out, metrics={"eval_loss": 1.25})
    evaluate_tuned(tuned, answers=4, environment={})
    return made


@pytest.fixture
def served(run: WrittenRun) -> Iterator[PageClient]:
    with served_page() as client:
        yield client


def playground(page: Page, served: PageClient) -> Any:
    tab = page.at(served.url, "/heroes/playground").tab
    tab.wait_for_selector(".ask-form .sent-text")
    return tab


def asked(tab: Any, status: str = "Done") -> None:
    tab.get_by_role("button", name="Ask", exact=True).click()
    tab.wait_for_selector(f'.ask-status >> text="{status}"')


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_text_runs_nothing_in_either_view(kind: str, served: PageClient, run: WrittenRun, width: int) -> None:
    """In answers while they grow and when they are whole, in questions, values, events, errors and evaluations."""
    tune = LocalTune(run.path, "002")
    tune.trains()
    for text in HOSTILE:
        tune.says(text)
    tune.ends("failed", HOSTILE[0])
    with opened_browser(width=width, kind=kind) as page:
        tab = playground(page, served)
        tab.locator("select[aria-label=power]").select_option(index=1)
        tab.wait_for_selector(".sent-text >> text=svg")
        tab.locator("input[name=samples]").fill("4")
        tab.get_by_label("beside its base model").check()
        asked(tab)
        assert 8 == tab.locator(".answer-card").count()
        sound(page, served.origin)
        page.at(served.url, "/heroes/tune")
        tab.wait_for_selector(".samples")
        tab.wait_for_selector(".finetune .trouble >> text=script")
        tab.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        sound(page, served.origin)


def test_a_question_is_asked_with_the_keyboard(kind: str, served: PageClient, server: FakeServer) -> None:
    """Typed or made of attributes, asked with Ctrl+Enter, stopped; the answers are there after a reload."""
    server.behaviour = lambda asked: streamed(asked, [f" said to {asked.prompt}", " EN", "D"])
    with opened_browser(kind=kind) as page:
        tab = playground(page, served)
        assert "18, man, flight ->" == tab.locator(".sent-text").inner_text()
        tab.get_by_label("Question").focus()
        tab.keyboard.press("Control+A")
        tab.keyboard.type("40, woman, Healing")
        tab.wait_for_selector(".sent-text >> text=40, woman, Healing ->")
        tab.keyboard.press("Control+Enter")
        tab.wait_for_selector('.ask-status >> text="Done"')
        assert "said to 40, woman, Healing ->" == tab.locator(".answer-card .text").first.inner_text()
        tab.get_by_role("button", name="Copy answer").click()
        tab.wait_for_selector(".copy >> text=/Copied|Selected/")
        tab.locator("select[aria-label=age]").focus()
        tab.keyboard.press("End")  # another value: the place to type it has the focus
        tab.keyboard.type("41")
        tab.wait_for_selector(".sent-text >> text=41, man, flight ->")
        server.behaviour = lambda asked: streamed(asked, [" half of"], is_held=True)
        tab.keyboard.press("Control+Enter")
        tab.wait_for_selector(".answer-card .text >> text=half of")
        tab.get_by_role("button", name="Stop").focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".ask-status >> text=Stopped")
        tab.wait_for_selector(".answer-card .pill >> text=stopped")
        assert "Ask" == tab.evaluate("document.activeElement.textContent")
        tab.reload()
        tab.wait_for_selector(".asked-text >> text=40, woman, Healing")
        assert 1 == tab.locator(".answer-card .text >> text=said to 40, woman, Healing ->").count()
        assert 1 == tab.locator(".answer-card .text >> text=half of").count()
        assert [] == page.errors


def test_leaving_the_playground_stops_its_question(served: PageClient, server: FakeServer) -> None:
    """Nobody pays for what nobody reads."""
    server.behaviour = lambda asked: streamed(asked, [" half of"], is_held=True)
    with opened_browser() as page:
        tab = playground(page, served)
        tab.get_by_role("button", name="Ask", exact=True).click()
        tab.wait_for_selector(".answer-card .text >> text=half of")
        assert 0 < server.in_flight
        with tab.expect_event("requestfailed"):
            tab.get_by_role("link", name="Rows").click()
        tab.wait_for_selector(".row-index")
    end = time.monotonic() + 20
    while server.in_flight:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_nothing_moves_while_answers_come(served: PageClient, server: FakeServer) -> None:
    """The question and its buttons stay where they are, and so does each answer's head."""
    server.behaviour = lambda asked: streamed(asked, [" half of"], is_held=True)
    with opened_browser() as page:
        tab = playground(page, served)
        places = ".ask-form textarea, .ask-buttons button, .ask-numbers input"
        boxes = (
            f"[...document.querySelectorAll('{places}')].map((each) => JSON.stringify(each.getBoundingClientRect()))"
        )
        before = tab.evaluate(boxes)
        tab.get_by_role("button", name="Ask", exact=True).click()
        tab.wait_for_selector(".answer-card .text >> text=half of")
        assert before == tab.evaluate(boxes)
        head = "JSON.stringify(document.querySelector('.answer-card .text').getBoundingClientRect().toJSON().y)"
        text_at = tab.evaluate(head)
        tab.get_by_role("button", name="Stop").click()
        tab.wait_for_selector(".ask-status >> text=Stopped")
        assert before == tab.evaluate(boxes)
        assert text_at == tab.evaluate(head)


def test_what_goes_wrong_is_said_in_sentences(served: PageClient, server: FakeServer) -> None:
    """A model that is gone, a server that is down; the next question is asked as if nothing had been."""
    server.behaviour = lambda _: Reply({"error": {"message": "no such model", "code": "model_not_found"}}, status=404)
    with opened_browser() as page:
        tab = playground(page, served)
        asked(tab, "Not answered")
        tab.wait_for_selector(".ask-message .trouble >> text=The server no longer has 'ft-hero'")
        assert 0 == tab.locator(".asked-block").count()
        server.behaviour = says_them
        asked(tab)
        assert 0 == tab.locator(".ask-message .trouble").count()


def test_a_fine_tune_is_watched_while_it_trains(kind: str, served: PageClient, run: WrittenRun) -> None:
    """Its losses come, a trainer that died says so, and the command that goes on can be copied."""
    with opened_browser(kind=kind) as page:
        tab = page.at(served.url, "/heroes/tune").tab
        tab.wait_for_selector(".finetune >> text=Fine-tune 001")
        tune = LocalTune(run.path, "002")
        tune.trains()
        tune.step(0, valid=2.0, total=9)
        tab.wait_for_selector(".finetune >> text=Fine-tune 002")
        newest = tab.locator(".finetune").first
        newest.locator(".pill >> text=running").wait_for()
        tune.step(1, train=1.75)
        newest.locator(".tile >> text=1 of 9").wait_for()
        newest.locator(".u-legend >> text=1.750").wait_for()
        tune.dies()
        newest.locator(".pill >> text=interrupted").wait_for()
        newest.locator(".trouble >> text=after step 1 of 9").wait_for()
        assert "herogen-async finetune heroes" == newest.locator(".command code").first.inner_text()
        assert [] == page.errors


def test_a_command_starts_at_the_second_press(served: PageClient, run: WrittenRun) -> None:
    """The first one asks; leaving the button takes it back. What it says is shown, and what came of it."""
    with opened_browser() as page:
        tab = page.at(served.url, "/heroes/tune").tab
        tab.wait_for_selector(".command >> text=assemble heroes --split 0.2")  # its rows have been counted
        button = tab.locator(".run-here").first
        button.click()
        assert "Start it now?" == button.inner_text()
        tab.locator(".command .copy").first.focus()
        assert "Run it here" == button.inner_text()
        assert not run.folder.dataset.exists()
        button.focus()
        tab.keyboard.press("Enter")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".started .pill >> text=done")
        assert "24 of 24 answers" in tab.locator(".started-lines").inner_text()
        tab.locator(".way li.is-done h3 >> text=Assemble the data set").wait_for()
        assert [] == page.errors


@pytest.mark.parametrize(
    ("size", "scheme"), [((360, 740), "dark"), ((360, 740), "light"), ((1280, 800), "dark"), ((3840, 2160), "light")]
)
def test_both_views_fit_and_can_be_read(
    served: PageClient, run: WrittenRun, server: FakeServer, size: tuple[int, int], scheme: str
) -> None:
    """At 360 px and at 4K, light and dark: nothing sticks out, and each text has the contrast of WCAG AA."""
    for number, ends in (("002", "dies"), ("003", "ends"), ("004", "")):
        tune = LocalTune(run.path, number)
        tune.trains()
        tune.step(0, valid=2.0)
        tune.step(1, train=1.0, valid=1.5)
        if ends:
            getattr(tune, ends)()
    broken = begun(run.path / "finetune" / "005") / "steps.jsonl"
    broken.write_bytes(json.dumps({"step": "x"}).encode() + b"\n" + broken.read_bytes())
    server.behaviour = lambda asked: streamed(asked, ["an answer " * 30], finish_reason="length")
    with opened_browser(*size, scheme) as page:
        tab = page.at(served.url, "/heroes/tune").tab
        tab.wait_for_selector(".samples")
        tab.wait_for_selector(".finetune >> text=Fine-tune 005")
        for state in ("running", "interrupted", "succeeded", "unreadable"):
            tab.wait_for_selector(f".finetune .pill >> text={state}")
        assert not page.is_too_wide
        assert [] == tab.evaluate(CONTRAST)
        assert [] == tab.evaluate(CLIPPED)
        playground(page, served)
        asked(tab)
        assert not page.is_too_wide
        assert [] == tab.evaluate(CONTRAST)
        assert [] == tab.evaluate(CLIPPED)
        assert [] == page.errors
