"""Whom to ask: the options that every command has in common that talks to a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from herogen_async.core.options import ANY_TEXT, WHERE, Kind, one_of, option, options_of


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """Whom to ask; what None means, each command says."""

    base_url: str | Sequence[str] | None = option(
        None,
        Kind("give a URL", lambda _: True, metavar="URL", write=lambda url: (url,) if isinstance(url, str) else url),
        "OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1; on this machine it needs no key.",
        group=WHERE,
        typed="--base-url",
    )
    endpoint: str | None = option(None, one_of("completions", "chat"), "API route to use.", group=WHERE)
    model: str | None = option(
        None,
        replace(ANY_TEXT, metavar="NAME"),
        "Model name; `embedded` or a .gguf file for the embedded model.",
        group=WHERE,
    )


SERVER_OPTIONS = options_of(ServerChoice)


def check_endpoint(endpoint: str | None) -> None:
    """InputError for a route that there is not; None is one's own choice."""
    SERVER_OPTIONS["endpoint"].check(endpoint)
