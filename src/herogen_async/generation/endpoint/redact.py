"""Secrets never leave: every text of a server's or a library's own passes through here before it is kept or shown."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
# What keys look like, also the half-starred ones that servers echo back: "Incorrect API key provided: sk-ab****yz".
_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|key|pk|gsk|nvapi|hf)[-_][A-Za-z0-9_*\-]{6,}|\bBearer\s+\S+", re.IGNORECASE)
_MESSAGE_LIMIT = 500  # characters of a server's text that are worth keeping


class Redactor:
    """Hides the given secrets, and whatever looks like one."""

    def __init__(self, *secrets: str | None) -> None:
        self.secrets = sorted({secret for secret in secrets if secret and len(secret) >= 4}, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self.secrets)} secrets>"

    def __call__(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return _LOOKS_LIKE_A_KEY.sub(HIDDEN, text)

    def excerpt(self, text: str) -> str:
        """The beginning of `text` on one line, redacted first: a secret is never cut in half by the limit."""
        flat = " ".join(self(text).split())
        return flat if len(flat) <= _MESSAGE_LIMIT else flat[: _MESSAGE_LIMIT - 1] + "…"
