"""Secrets never leave: every text of a server's or a library's own passes through here before it is kept or shown.

Errors, and whatever else is a server's own words, lose the secrets and all that looks like one. A sound answer is data
that was paid for: it loses the secrets alone, and of those only what is surely no word (`_is_a_word`). A secret is
found as it is, quoted for a URL or for JSON, and within a text that was put into base64.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

HIDDEN = "[hidden]"
# What keys look like, also the half-starred ones that servers echo back: "Incorrect API key provided: sk-ab****yz".
_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|key|pk|gsk|nvapi|hf)[-_][A-Za-z0-9_*\-]{6,}|\bBearer\s+\S+", re.IGNORECASE)
_MESSAGE_LIMIT = 500  # characters of a server's text that are worth keeping
_SHORTEST_KEY = 16  # characters; services' keys have 20 and more
_DEEPEST = 200  # levels of an answer that are looked at
_NEVER_QUOTED = re.compile(r"[A-Za-z0-9]+")  # in no URL and no JSON; and the same in both alphabets of base64


class Redactor:
    """Hides the given secrets, and whatever looks like one."""

    def __init__(self, *secrets: str | None) -> None:
        self.secrets = sorted({secret for secret in secrets if secret and len(secret) >= 4}, key=len, reverse=True)
        keys = [secret for secret in self.secrets if not _is_a_word(secret)]
        self._forms = re.compile("|".join(map(_forms, keys))) if keys else None
        # A part of each form, to look for in every answer: most have none, and that is to take no time.
        self._parts = [part for key in keys for part in _parts(key)]
        self.has_keys = bool(keys)  # else there is nothing to ask of a sound answer
        self._byte_parts = [part.encode() for part in self._parts]

    def __repr__(self) -> str:
        return f"<Redactor of {len(self.secrets)} secrets>"

    def __call__(self, text: str) -> str:
        text = self.of_word(text)
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return _LOOKS_LIKE_A_KEY.sub(HIDDEN, text)

    def excerpt(self, text: str) -> str:
        """The beginning of `text` on one line, redacted first: a secret is never cut in half by the limit."""
        flat = " ".join(self(text).split())
        return flat if len(flat) <= _MESSAGE_LIMIT else flat[: _MESSAGE_LIMIT - 1] + "…"

    def of_answer(self, body: bytes, said: Any) -> Any:
        """What a sound answer says, in JSON's types, without the secrets: in texts and in names, at every depth.

        `said` itself where its `body` holds none. Asked for every row: it takes a microsecond, for 4 KiB.
        """
        return self._without(said, 0) if self.is_in(body) else said

    def is_in(self, body: bytes) -> bool:
        """Whether a secret may be in it, in whichever form."""
        for part in self._byte_parts:  # noqa: SIM110 - asked for every row, and `any` takes four times as long
            if part in body:
                return True
        return False

    def begun_in(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a secret, for a text that still grows."""
        return max((_begun(part, text) for part in self._parts), default=0)

    def of_word(self, word: str) -> str:
        """A server's own word beside a sound answer, without the secrets."""
        for part in self._parts:
            if part in word:
                return HIDDEN if self._forms is None else self._forms.sub(HIDDEN, word)
        return word

    def _without(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.of_word(value)
        if depth > _DEEPEST:
            return None
        if isinstance(value, dict):
            return {self.of_word(name): self._without(each, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            return [self._without(each, depth + 1) for each in value]
        return value


def _is_a_word(secret: str) -> bool:
    """Whether it may stand in an answer by chance: what is given to a server that wants no key (`EMPTY`, `ollama`,
    `sk-no-key-required`).
    """
    has_digit = any(map(str.isdigit, secret))
    return len(secret) < _SHORTEST_KEY or not (has_digit or secret not in (secret.lower(), secret.upper()))


def _forms(key: str) -> str:
    """The pattern of a key in whichever form."""
    quoted = "".join(
        rf"(?:\\?{re.escape(each)}|(?:%|\\u00)(?i:{ord(each):02x}))"  # in a URL, in JSON; hex digits in either case
        for each in key
    )
    # The letters beside the key's own part go with it: they would tell some bits of it.
    encoded = "|".join("".join({"+": "[+-]", "/": "[/_]"}.get(each, each) for each in part) for part in _in_base64(key))
    return rf"{quoted}|[A-Za-z0-9+/_-]{{0,3}}(?:{encoded})[A-Za-z0-9+/_-]*={{0,2}}"


def _parts(key: str) -> list[str]:
    """A piece of each form that it always has, as long as can be."""
    return [
        max(_NEVER_QUOTED.findall(key), key=len, default=key),
        *(max(_NEVER_QUOTED.findall(part), key=len, default=part) for part in _in_base64(key)),
    ]


def _begun(part: str, text: str) -> int:
    sizes = range(min(len(part) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(part[:size])), 0)


def _in_base64(key: str) -> list[str]:
    """What a key gives in base64 whatever stands before and behind it: it may begin at any of three bits."""
    parts = []
    for before in range(3):
        text = b64encode(bytes(before) + key.encode()).decode()
        parts.append(text[-(-8 * before // 6) : 8 * (before + len(key.encode())) // 6])
    return parts
