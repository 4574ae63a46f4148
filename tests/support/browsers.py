"""The system's own browsers, driven by Playwright, which fetches none itself."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "no Chromium on this machine: the page was not looked at"


class Page:
    """One tab, and all that went wrong in it."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.errors: list[str] = []
        self.asked: list[str] = []
        tab.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: self.asked.append(request.url))
        tab.on("dialog", self._said)

    def at(self, url: str, view: str = "") -> Page:
        """Show a view of the page at that URL."""
        self.tab.goto(f"{url}#{view}")
        return self

    def _said(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def is_too_wide(self) -> bool:
        """Whether the page can be scrolled sideways."""
        return bool(self.tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextlib.contextmanager
def opened_browser(width: int = 1280, height: int = 800, scheme: Any = "light") -> Iterator[Page]:
    """A tab of Chromium. Skips the test where there is none, and says so."""
    if CHROMIUM is None:
        if os.environ.get("HEROGEN_REQUIRE_BROWSER"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # No sandbox: as root Chromium has none, and the page comes from this machine.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            yield Page(context.new_page())
        finally:
            browser.close()
