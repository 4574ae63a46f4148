"""What limits there are: the ones that a person sets, and the ones that a server tells. Plain records."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S = 60.0
DAY_S = 86_400.0

Limit = tuple[str, float]  # (resource, seconds that it counts over): the name that buckets have
LIMITS: dict[str, Limit] = {  # by the names in `Limits`
    "rpm": ("requests", MINUTE_S),
    "tpm": ("tokens", MINUTE_S),
    "input_tpm": ("input_tokens", MINUTE_S),
    "output_tpm": ("output_tokens", MINUTE_S),
    "rpd": ("requests", DAY_S),
    "tpd": ("tokens", DAY_S),
}


def per_s(name: str, value: float) -> float:
    """The limit `name` of `value` in units a second. A minute or a day becomes a second here and nowhere else."""
    return value / LIMITS[name][1]


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

    def per_s(self) -> dict[Limit, float]:
        """Units a second that each limit that is set permits."""
        given = ((name, getattr(self, name)) for name in LIMITS)
        return {LIMITS[name]: per_s(name, value) for name, value in given if value is not None}


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
