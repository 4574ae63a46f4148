"""What the page sends and is told: JSON, of no more bytes than are of use."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError, InputError


def json_answer(value: Any, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(codec.dumps(value), status, media_type="application/json")


def told_refusal(error: HerogenError) -> dict[str, str | None]:
    """What the page is told of an error: the sentence, and what to do."""
    return {"error": error.message, "fix": error.fix}


async def request_body(request: Request, most: int) -> bytes:
    """What a request holds, `most` bytes at most. Raises InputError."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > most:
            raise InputError("the request is too long", fix=f"send {most:,} bytes at most")
    return bytes(data)


async def json_body(request: Request, most: int) -> dict[str, Any]:
    """The object that a request holds, of `most` bytes. Raises InputError."""
    try:
        said = codec.loads(await request_body(request, most))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise InputError("the request is not a JSON object", fix="reload the page")
    return said
