"""The system's own browsers, driven by Playwright, which fetches none itself."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "firefox": ("firefox-esr", "firefox")}


class Page:
    """One tab, and all that went wrong in it."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.errors: list[str] = []
        self.asked: list[str] = []
        tab.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self._pending: set[str] = set()
        tab.on("request", self._asks)
        for event in ("requestfinished", "requestfailed"):
            tab.on(event, lambda request: self._pending.discard(request.url))
        tab.on("dialog", self._said)

    def at(self, url: str, view: str = "") -> Page:
        """Show a view of the page at that URL."""
        self.tab.goto(f"{url}#{view}")
        return self

    def settle(self) -> Page:
        """Wait until nothing that was asked for is still to come; event streams never end, and count as nothing."""
        quiet = 0
        while quiet < 3:
            self.tab.wait_for_timeout(50)
            quiet = 0 if self._pending else quiet + 1
        return self

    def _asks(self, request: Any) -> None:
        self.asked.append(request.url)
        if request.resource_type != "eventsource":
            self._pending.add(request.url)

    def _said(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def is_too_wide(self) -> bool:
        """Whether the page can be scrolled sideways."""
        return bool(self.tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextlib.contextmanager
def opened_browser(
    width: int = 1280, height: int = 800, scheme: Any = "light", kind: str = "chromium"
) -> Iterator[Page]:
    """A tab of that kind of browser. Skips the test where there is none, and says so."""
    program = next(filter(None, map(shutil.which, PROGRAMS[kind])), None)
    if program is None:
        why = f"no {kind} on this machine: the page was not looked at in it"
        if os.environ.get("HEROGEN_REQUIRE_BROWSER"):
            pytest.fail(why)
        pytest.skip(why)
    if kind == "firefox" and (lack := _lack_of(program)) is not None:
        pytest.skip(f"this Firefox can't be driven: the page was not looked at in it ({lack})")
    with sync_playwright() as driver:
        browser = _launched(driver, kind, program)
        try:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            yield Page(context.new_page())
        finally:
            browser.close()


def _launched(driver: Playwright, kind: str, program: str) -> Browser:
    if kind == "firefox":  # by the standard WebDriver BiDi: a distribution's own lacks what Playwright patches in
        return driver.firefox.launch(channel="moz-firefox", executable_path=program)
    # No sandbox: as root Chromium has none, and the page comes from this machine.
    return driver.chromium.launch(executable_path=program, args=["--no-sandbox"])


@functools.cache
def _lack_of(program: str) -> str | None:
    """Which command of WebDriver BiDi a Firefox does not know that Playwright needs; None where it knows all."""
    with sync_playwright() as driver:
        browser = _launched(driver, "firefox", program)
        try:
            browser.new_context(color_scheme="light")
        except Error as error:
            return error.message.splitlines()[0]
        finally:
            browser.close()
    return None
