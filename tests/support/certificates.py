"""An authority of the tests' own, and a server's certificates, sound and not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

HERE = ("127.0.0.1", "localhost")


class Authority:
    """An authority whose certificate lies at `file`."""

    def __init__(self, folder: Path) -> None:
        self._own = trustme.CA()
        self.file = folder / "authority.pem"
        self._own.cert_pem.write_to_path(self.file)

    def server(self, *names: str, valid_days: tuple[int, int] = (-1, 30)) -> ssl.SSLContext:
        """What a server needs that is valid for `names` (this machine's own) between these days from now."""
        now = datetime.now(UTC)
        begins, ends = (now + timedelta(days=days) for days in valid_days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._own.issue_cert(*(names or HERE), not_before=begins, not_after=ends).configure_cert(context)
        return context

    def as_server(self) -> ssl.SSLContext:
        """A server that shows an authority's certificate as its own, as `openssl req -x509` makes one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with self._own.private_key_pem.tempfile() as key:
            context.load_cert_chain(self.file, key)
        return context
