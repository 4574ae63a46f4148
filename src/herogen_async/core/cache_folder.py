"""Where this system keeps what can be made anew.

It is worked out here rather than asked of platformdirs, which is part of an extra: an environment that has it and one
that lacks it have to come to the same folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def caches_folder() -> Path:
    """This package's own folder there; it may not exist yet."""
    if own := os.environ.get("XDG_CACHE_HOME", "").strip():
        return Path(own) / "herogen-async"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "herogen-async"


def sources_folder() -> Path:
    """Where it keeps what is known of sources: HEROGEN_SOURCES_DIR, or a folder there."""
    if own := os.environ.get("HEROGEN_SOURCES_DIR"):
        return Path(own).expanduser().absolute()
    return caches_folder() / "sources"
