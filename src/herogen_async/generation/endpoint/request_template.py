"""The call as the `openai` client builds it: URL, authorization, organization, headers, Azure's ways."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from herogen_async.core.errors import EndpointRefused, InputError, ParkReason
from herogen_async.core.http1 import SENDERS_OWN
from herogen_async.generation.endpoint.target import Server, fits_a_header


@dataclass(frozen=True, slots=True, repr=False)
class BuiltCall:
    """Where a run's requests go and the headers that they carry, the key among them: its repr shows none."""

    url: str
    headers: dict[str, str]


def load_client() -> None:
    """Import the library that builds calls, which only a run should pay for: a quarter of a second.

    From another thread too, while this one waits.
    """
    if "openai" in sys.modules:  # what lives now is a run's own, and has to be collected
        return
    with _set_aside():
        import httpx2  # noqa: F401, PLC0415
        import openai  # noqa: F401, PLC0415


async def build_call(server: Server, path: str, timeout_s: float, *, starting: bool = False) -> BuiltCall:
    """Let the SDK build a call of `path`, and take it down at its own transport: nothing is sent.

    When the source of the key has none it raises EndpointRefused, which parks a run, and InputError when `starting`.
    """
    load_client()
    import httpx2  # noqa: PLC0415
    import openai  # noqa: PLC0415

    class Captured(httpx2.AsyncBaseTransport):
        request: httpx2.Request | None = None

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            self.request = request
            return httpx2.Response(204)

    wire = Captured()
    refusal = InputError if starting else EndpointRefused
    key = _checked(server.api_key, refusal) if callable(server.api_key) else server.api_key
    async with openai.AsyncOpenAI(
        api_key=key or "none",  # the SDK refuses to be made without one; servers on loopback want none
        base_url=server.base_url,
        max_retries=0,
        timeout=timeout_s,
        default_headers={"User-Agent": f"herogen-async/{version('herogen-async')}"},
        http_client=httpx2.AsyncClient(transport=wire),
    ) as client:
        await client.post(path, cast_to=httpx2.Response, content=b"{}")
    if wire.request is None:
        raise RuntimeError("the openai client sent nothing")
    headers = {name: value for name, value in wire.request.headers.items() if name not in SENDERS_OWN}
    return BuiltCall(str(wire.request.url), headers)


@contextlib.contextmanager
def _set_aside() -> Iterator[None]:
    """No garbage collection looks through what is imported inside: a hundred thousand objects, all of which stay.

    Where the process is tuned for a run, none of the later ones does either.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count():  # elsewhere nobody would ever undo it
            gc.freeze()
        if was_on:
            gc.enable()


def _checked(
    source: Callable[[], Awaitable[str]], refusal: type[InputError | EndpointRefused]
) -> Callable[[], Awaitable[str]]:
    """`source`, whose failures are a `refusal` and show nothing of what they know."""

    def refused(message: str) -> InputError | EndpointRefused:
        error = refusal(message, fix="fix the source of the key")
        if isinstance(error, EndpointRefused):
            error.park_reason = ParkReason.KEY_REFUSED
        return error

    async def fresh_key() -> str:
        try:
            found: object = await source()
        except Exception as error:
            raise refused(f"the source of the key failed: {type(error).__name__}") from None
        key = found.strip() if isinstance(found, str) else ""
        if not key or not fits_a_header(key):
            raise refused("the source of the key returned characters not allowed in a header")
        return key

    return fresh_key
