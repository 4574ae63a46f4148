"""Shows a page in the person's own browser: one that lies on the disk, or that a server of ours gives."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")  # BROWSER names a program, which needs no screen of ours


def open_page(page: Path | str) -> bool:
    """Whether a browser took the page, a file or a URL. None is asked where there is no screen, and no second one where
    the first fails: a text browser would take the terminal over.
    """
    if sys.platform not in ("darwin", "win32") and not any(map(os.environ.get, _SCREENS)):
        return False
    try:
        return webbrowser.get().open(page if isinstance(page, str) else page.resolve().as_uri())
    except (OSError, webbrowser.Error):
        return False
