"""What limits there are: the ones that a person sets, and the ones that a server tells. Plain records."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Permitted by the server for one (base URL, key, model); None where nothing is known.

    `rpm` requests, `tpm` tokens (prompt and answer), `input_tpm` and `output_tpm` tokens of each kind, a minute;
    `rpd` requests and `tpd` tokens a day.
    """

    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the headers of one answer say about one limit.

    `resource` is `requests`, `tokens`, `input_tokens` or `output_tokens`. `reset_s` is the time in seconds until all
    of `limit` is there again: until a bucket is full, or until a window ends. `window_s` is the window's length where
    the server names it, else None.
    """

    resource: str
    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    window_s: float | None = None
