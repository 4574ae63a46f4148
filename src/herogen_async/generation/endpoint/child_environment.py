"""The environment of a child process that talks to nobody in the user's name."""

from __future__ import annotations

from collections.abc import Mapping

_OF_A_CLIENT = ("OPENAI_", "AZURE_OPENAI_")  # keys and all else that is said to OpenAI's client


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what only a client of OpenAI's needs: neither pip nor the local server is one."""
    return {name: value for name, value in environment.items() if not name.startswith(_OF_A_CLIENT)}
