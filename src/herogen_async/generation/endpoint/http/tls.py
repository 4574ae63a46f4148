"""TLS as people meet it: which authorities are trusted, what a failed handshake means, and who speaks TLS at all.

The words are rustls's (of the Rust transport) and OpenSSL's (of the `openai` client).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from herogen_async.core.errors import InputError

# Read by the TLS libraries themselves; the others are what requests, pip and curl go by.
OWN_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
FURTHER_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PEM = b"-----BEGIN CERTIFICATE-----"
_PEM_ENDINGS = (".pem", ".crt", ".cer", ".0")  # the last is what `openssl rehash` makes
_PROBE_S = 1.0  # a server that has just been reached answers at once, and a plain one may say nothing at all


def further_authorities(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The certificates (PEM) that are trusted beside the system's; None where no further ones are named.

    REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE count, in this order, where SSL_CERT_FILE is not set. Raises InputError for a
    variable that names no certificates.
    """
    for name in OWN_VARIABLES:
        if value := environment.get(name):
            _certificates_at(name, value.split(os.pathsep) if name.endswith("_DIR") else [value])
    if environment.get("SSL_CERT_FILE"):
        return None
    for name in FURTHER_VARIABLES:
        if value := environment.get(name):
            return _certificates_at(name, [value])
    return None


def verifying_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """What the loop's own TLS trusts: the authorities that rustls does. Raises InputError as `further_authorities`, and
    ssl.SSLError for certificates that OpenSSL can't read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it verifies certificates, and that they are for the host
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority that is named need not be a root
    context.set_alpn_protocols(["http/1.1"])
    further = further_authorities(environment)
    file, folders = (environment.get(name) or None for name in OWN_VARIABLES)
    if file or folders:  # OpenSSL itself would trust the system's folder beside a file that is named
        context.load_verify_locations(cafile=file, capath=folders)
    else:
        context.load_default_certs()
    if further is not None:
        context.load_verify_locations(cadata=further.decode("ascii", "ignore"))
    return context


def tls_failure(said: str, url: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """(what is wrong, how to fix it) of a handshake with the server at `url` that failed; None for other failures."""
    for words, what, fix in _MEANINGS:
        if found := re.search(words, said, re.IGNORECASE):
            when = _date(found[1]) if found.lastindex else None
            names = re.findall(r'(?:DnsName|IpAddress)\("?([^")]+)', said)
            named = next((name for name in (*OWN_VARIABLES, *FURTHER_VARIABLES) if environment.get(name)), None)
            known = {
                "on": f" on {when}" if when else "",
                "since": f": it is valid from {when} on" if when else "",
                "host": urlsplit(url).hostname,
                "but": f" but for {', '.join(names[:5])}" if names else "",
                "named": f"{named} does not hold that authority: " if named else "",
                "plain": _origin(url, "http"),
            }
            return what.format_map(known), fix.format_map(known)
    return None


def plain_failure(url: str) -> tuple[str, str]:
    """(what is wrong, how to fix it) where the server at `url`, an http:// one, speaks TLS."""
    return "the server speaks TLS there, not plain HTTP", f"use https:// in --base-url: {_origin(url, 'https')}"


async def speaks_tls(url: str) -> bool:
    """Whether whoever listens at `url` shakes hands; nothing is asked, no certificate is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    parts = urlsplit(url)
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(_PROBE_S):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or default_port(parts.scheme), ssl=context
            )
            writer.transport.abort()
            return True
    return False


async def speaks_plain_http(url: str) -> bool:
    """Whether whoever listens at `url` answers a plain HTTP request; it carries no key."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(_PROBE_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or default_port(parts.scheme))
            writer.write(f"GET / HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n\r\n".encode())
            start = await reader.read(5)
            writer.transport.abort()
            return start == b"HTTP/"
    return False


def default_port(scheme: str) -> int:
    """The port of a URL that names none."""
    return 443 if scheme == "https" else 80


def _certificates_at(name: str, places: list[str]) -> bytes:
    """The certificates in these files, and in the files of these folders."""
    found = b""
    fix = f"export {name}=/path/to/certificates.pem, or unset it"
    for place in map(Path, places):
        try:
            files = [place] if not place.is_dir() else [each for each in place.iterdir() if _is_named_as_one(each)]
            found += b"\n".join(file.read_bytes() for file in files)
        except FileNotFoundError:
            raise InputError(f"{name} names no file: {str(place)!r}", fix=fix) from None
        except OSError as error:
            raise InputError(f"{name} can't be read: {str(place)!r}: {error.strerror or error}", fix=fix) from None
    if _PEM not in found:
        raise InputError(f"{name} holds no certificate in PEM form: {os.pathsep.join(places)!r}", fix=fix)
    return found


def _is_named_as_one(file: Path) -> bool:
    return file.name.endswith(_PEM_ENDINGS) and file.is_file()


def _origin(url: str, scheme: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((scheme, parts.netloc, "", "", ""))


def _date(seconds: str) -> str | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None


# What each failure means: words that are found (a group: seconds since 1970), what is wrong, how to fix it.
_MEANINGS = (
    (
        r"certificate (?:has )?expired(?:.*?not valid after (\d+))?|\bExpired\b",
        "the server's certificate expired{on}",
        "let its owner renew the certificate; if it is a new one, set this machine's clock right",
    ),
    (
        r"not (?:yet valid|valid yet)(?:.*?not valid before (\d+))?|\bNotValidYet\b",
        "the server's certificate is not valid yet{since}",
        "set this machine's clock right, or let its owner replace the certificate",
    ),
    (
        r"not valid for name|NotValidForName|(?:hostname|IP address) mismatch",
        "the server's certificate is not for {host!r}{but}",
        "name the host in --base-url as the certificate does, or let its owner issue one for this host",
    ),
    (
        r"CaUsedAsEndEntity",
        "the server's certificate is self-signed, and made for an authority, not for a server",
        "make one with basicConstraints=CA:FALSE (openssl req -x509 -addext basicConstraints=CA:FALSE ...), "
        "then export SSL_CERT_FILE=/path/to/that-certificate.pem",
    ),
    (
        r"UnknownIssuer|self[- ]signed|unable to get (?:local )?issuer|BadSignature",
        "the server's certificate is self-signed or from an authority that this machine does not trust",
        "{named}export SSL_CERT_FILE=/path/to/authority.pem, the certificate (PEM) of the authority that signed it",
    ),
    (
        r"InvalidContentType|WRONG_VERSION_NUMBER|wrong version number|packet length too long",
        "the server speaks plain HTTP there, not TLS",
        "use http:// in --base-url: {plain}",
    ),
    (
        r"CertificateRequired|certificate required",
        "the server asks for a client's certificate, and none can be given",
        "use an address of the server that asks for a key alone",
    ),
    (
        r"ProtocolVersion|HandshakeFailure|PeerIncompatible|peer is incompatible|unsupported protocol"
        r"|alert (?:protocol version|handshake failure)|no protocols available",
        "the server and this client have no version of TLS in common",
        "let the server offer TLS 1.2 or later; check that --base-url names the right port",
    ),
)
