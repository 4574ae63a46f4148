"""Lists that come in pages, as the API's lists do: `limit`, `after`, `order`, `has_more`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request


def read_query(query: str) -> dict[str, str]:
    """The names and values behind a path's question mark."""
    return dict(parse_qsl(query, keep_blank_values=True))


def page(records: Sequence[dict[str, Any]], query: dict[str, str], *, usual: int, most: int) -> dict[str, Any]:
    """The part of `records` that was asked for. Raises Unreadable."""
    limit = _limit(query.get("limit"), usual, most)
    start = _start(records, query.get("after"))
    part = list(records[start : start + limit])
    return {
        "object": "list",
        "data": part,
        "first_id": part[0]["id"] if part else None,
        "last_id": part[-1]["id"] if part else None,
        "has_more": start + limit < len(records),
    }


def _limit(text: str | None, usual: int, most: int) -> int:
    if text is None:
        return usual
    limit = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= limit <= most:
        message = f"Invalid 'limit': {text[:20]!r} is not an integer from 1 to {most}."
        raise Unreadable(bad_request(message, code="invalid_value", param="limit"))
    return limit


def _start(records: Sequence[dict[str, Any]], after: str | None) -> int:
    if not after:
        return 0
    for place, record in enumerate(records):
        if record["id"] == after:
            return place + 1
    message = f"Invalid 'after': {after[:100]!r} is not in this list."
    raise Unreadable(bad_request(message, code="invalid_value", param="after"))
