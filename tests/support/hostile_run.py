"""A run with hostile text wherever a page shows a text, and what has to hold of a page that shows it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowPages
from herogen_async.specs.spec import Spec
from support.browsers import Page
from support.hostile_texts import HOSTILE
from support.run_folders import AT, WrittenRun

REPEATS = 12
CELLS = 4  # whose rows have the answers: each a quarter of the texts
CONTROLS_OF_TERMINALS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # which no spec may have
SPEC = Spec(
    name="s",
    attributes={
        "word": [CONTROLS_OF_TERMINALS.sub("?", text) for text in HOSTILE],
        "__proto__": ["<b>a</b>", "constructor"],
    },
    repeats=REPEATS,
    prompt="Say {word} {__proto__} <script>document.title='owned'</script>",
)
ROWS = {place % CELLS * REPEATS + place // CELLS: text for place, text in enumerate(HOSTILE)}
FAILED = [(2 * place + 1) * REPEATS - 1 for place in range(len(HOSTILE))]  # a row of each of these values
# Elements that no text may become. A page that is served has its own script, a copy three of them.
HELD = ("script", "img", "iframe", "style", "base", "meta[http-equiv=refresh]", "svg", "form[action]", "object")
LEADS_ASTRAY = "a[href^='javascript' i], a[href^='data' i], [onclick], [onload], [onerror]"
WIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.right > innerWidth + 1 && element.checkVisibility() && !element.closest(".scroll, .skip, pre, .list");
}).map((element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`)"""
# Of a page on which nothing moved, no observer is ever told: what there was is told within two frames.
MOVED = """() => new Promise((resolve) => {
  let moved = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) moved += each.value;
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(moved))));
})"""


def hostile_run(path: Path) -> WrittenRun:
    """Every hostile text as an attribute's value, in the prompt, the answer, its thoughts and all that a server says of
    it; as the message of a failure; and as a note and an edit of an answer.
    """
    made = WrittenRun(path, SPEC)
    for number, text in ROWS.items():
        more: dict[str, Any] = {"reasoning": text, "extra": {text: [text]}, "model": text, "request_id": text}
        made.write([made.answer(number, text, text[:60], **more)])
    made.fail(made.failure(number, "server", text, reason=text) for number, text in zip(FAILED, HOSTILE, strict=True))
    pages = RowPages(made.folder)
    pages.refresh()
    for number, text in ROWS.items():
        (name,) = (call["name"] for row in pages.rows([number]) for call in row["calls"])
        call = pages.call_to_mark(number, name)
        for said in ("note", "edit"):
            add_mark(made.folder, mark_record(call, said, text, AT), at=AT)
    return made


def sound(page: Page, origin: str, scripts: int = 1) -> None:
    """Nothing ran, nothing was asked of anybody else, no element came of a text, and the console is empty."""
    assert [] == page.errors
    assert "owned" not in page.tab.title()
    assert [] == [url for url in page.asked if not url.startswith(origin)]
    own = {"script": scripts}
    assert {name: own.get(name, 0) for name in HELD} == {name: page.tab.locator(name).count() for name in HELD}
    assert 0 == page.tab.locator(LEADS_ASTRAY).count()
    assert not page.is_too_wide
    assert [] == page.tab.evaluate(WIDE)


def unfolded(page: Page) -> None:
    page.tab.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


def cleaned(text: str) -> str:
    """A text as the page shows it: a sign in the place of what nobody could see, or would obey."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        "\ufffd"
        if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") and each not in "\n\t\u200c\u200d"
        else each
        for each in text
    )
