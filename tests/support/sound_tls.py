"""The loop's own TLS from the first call on, which a run uses once the Rust transport has brought an answer."""

from __future__ import annotations

from herogen_async.generation.endpoint.http.openai_compatible import choose_transport
from herogen_async.generation.endpoint.http.tls_transport import TlsTransport
from herogen_async.generation.endpoint.http.transport import Transport
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall


class SoundTls(TlsTransport):
    """One whose server has been found sound."""

    _is_sound = True


def sound_tls(
    call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
) -> Transport:
    """Instead of `choose_transport`: for https:// URLs the loop's own TLS at once."""
    kind = SoundTls if call.url.startswith("https:") else choose_transport
    return kind(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact, resends=resends)
