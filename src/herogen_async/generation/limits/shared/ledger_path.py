"""Which file a key's ledger is, and where."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from herogen_async.core.cache_folder import caches_folder
from herogen_async.core.clock import Clock
from herogen_async.generation.limits.shared.shared_ledger import SharedLedger

_NAME_DIGITS = 32  # 128 bits of the hash: no two keys meet
# Processes of different versions must not meet in one file: each would take the other's record for none at all.
_KIND = "herogen-async limits 1"


def open_ledger(
    base_url: str,
    key: str,
    *,
    model: str,
    clock: Clock,
    on_notice: Callable[[str], None],
    directory: Path | None = None,
) -> SharedLedger | None:
    """The ledger that all processes of this user share which ask `model` at `base_url` with `key`.

    None when there can be none, and `on_notice` has got a sentence that says why: go on alone. `directory` is
    `limits_folder()` unless it is given.
    """
    try:
        folder = limits_folder() if directory is None else directory
        return SharedLedger(folder / ledger_name(base_url, key, model), clock)
    except OSError as error:
        place = f" ({error.filename!r})" if error.filename else ""
        why = f"{error.strerror or error}{place}"
    except RuntimeError as error:  # of Path.home
        why = str(error)
    on_notice(
        f"Limits are not shared with other processes on this machine: {why}. "
        "Set HEROGEN_LIMITS_DIR to use another folder."
    )
    return None


def limits_folder() -> Path:
    """HEROGEN_LIMITS_DIR, or else this system's place for a user's caches. Raises RuntimeError without a home."""
    if own := os.environ.get("HEROGEN_LIMITS_DIR"):
        return Path(own).expanduser().absolute()
    return caches_folder() / "limits"


def ledger_name(base_url: str, key: str, model: str) -> str:
    """A file name that tells nothing of its parts: hexadecimal digits of one hash over all of them."""
    parts = (_KIND, base_url.rstrip("/"), key, model)
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    # Each with its length before it: no two different triples become the same bytes.
    whole = b"".join(len(part).to_bytes(8) + part for part in encoded)
    return hashlib.sha256(whole).hexdigest()[:_NAME_DIGITS]
