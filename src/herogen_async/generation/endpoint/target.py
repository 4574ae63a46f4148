"""Which server a run talks to: `--base-url`, the environment, or the embedded model."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.redact import HIDDEN, Redactor

KEY_ENV = "OPENAI_API_KEY"  # the variable with the key, where nobody names another one
OPENAI_URL = "https://api.openai.com/v1"
EMBEDDED = "embedded"
MOST_SLOTS = 16  # of the embedded model: more gain nothing on a processor; what is in flight above that waits in it
EMBEDDED_TIMEOUT_S = 3600.0  # it queues and never refuses: slowness is no reason to ask again

CLEAR_TEXT_FIX = "use https:// in --base-url if the server has it"
_EXAMPLE = "http://127.0.0.1:8000/v1"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what servers print that listen at every address
# What a documentation's example or a console's address ends in, past the base URL.
_ROUTE = re.compile(r"/(?:chat/completions|completions|embeddings|responses)$|(?<=/v1)/models$")
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/?#]+)")

_hide = Redactor()

ApiKey = str | Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True, repr=False)
class Server:
    """A base URL and the key for it; None where none is needed. Its repr never shows the key.

    `key_env` is the variable that a column names for the key.
    """

    base_url: str
    api_key: ApiKey | None = None
    key_env: str | None = None

    def __repr__(self) -> str:
        return f"Server(base_url={self.base_url!r}, api_key={'[hidden]' if self.api_key else None})"


def choose_server(
    base_url: str | None, model: str | None, environment: Mapping[str, str], *, api_key: ApiKey | None = None
) -> Server | None:
    """The server to use, None for the embedded model.

    The embedded model is meant by `--model embedded`, by a model that ends in `.gguf`, and by having neither a base
    URL nor a key. Raises InputError for a base URL that is none, or that needs a key and has none, and for a key that
    no header can carry.
    """
    if isinstance(api_key, str):
        api_key = _checked_key(api_key, "api_key", fix="give the key alone")
    if base_url is None and model is not None and is_embedded(model):
        return None
    url = base_url or environment.get("OPENAI_BASE_URL", "").strip() or None
    if url is None:
        if not (api_key or environment.get("OPENAI_API_KEY")):
            return None
        url = OPENAI_URL
    url = _checked(url)
    key = api_key or _key_for(url, environment)
    if key is None and not is_loopback(url):
        raise InputError(
            f"{url!r} is not on this machine and OPENAI_API_KEY is not set",
            fix="export OPENAI_API_KEY=... (any word works if the server needs none)",
        )
    return Server(url, key)


def choose_servers(
    base_urls: str | Sequence[str] | None,
    model: str | None,
    environment: Mapping[str, str],
    *,
    api_key: ApiKey | None = None,
) -> tuple[Server, ...]:
    """The servers of one model to use, each as `choose_server` has it; none for the embedded model.

    The first one is on another machine where any is: what it costs there is what the model costs. Raises InputError
    also for a server that is named twice, and for servers of different kinds.
    """
    urls: list[str | None] = [base_urls] if base_urls is None or isinstance(base_urls, str) else [*base_urls]
    chosen = [choose_server(url, model, environment, api_key=api_key) for url in urls or [None]]
    servers = [server for server in chosen if server is not None]
    seen: dict[str, Server] = {}
    for server in servers:
        if seen.setdefault(_place(server.base_url), server) is not server:
            raise InputError(
                f"the server {server.base_url!r} is given twice",
                fix="give each server once; --concurrency is the number of requests at each of them",
            )
        kinds = _kind_of(servers[0].base_url), _kind_of(server.base_url)
        if kinds[0] != kinds[1]:
            raise InputError(
                f"{servers[0].base_url!r} is {kinds[0]}, and {server.base_url!r} is {kinds[1]}: "
                "prices and limits differ",
                fix="give servers of one kind; a column of a spec may have a `base_url` of its own",
            )
    return tuple(sorted(servers, key=lambda server: is_loopback(server.base_url)))


def _place(url: str) -> str:
    """`url` in one form, whatever this machine is called in it."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}:{port}{parts.path}"


def _kind_of(url: str) -> str:
    if is_openai(url):
        return "OpenAI's service"
    return "an Azure resource" if (urlsplit(url).hostname or "").endswith(".azure.com") else "a server of your own"


def key_in(variable: str, whose: str, environment: Mapping[str, str]) -> str:
    """The key in an environment variable that `whose` names. Raises InputError where it is not set, or no key."""
    key = _checked_key(environment.get(variable, ""), variable, fix=f"export {variable} again, with only the key")
    if key is None:
        raise InputError(
            f"{whose} takes its key from {variable}, which is not set",
            fix=f"export {variable}=... (any word works if the server needs none)",
        )
    return key


def fits_a_header(key: str) -> bool:
    """Whether `key` can be sent at all: printable ASCII without spaces."""
    return key.isascii() and key.isprintable() and " " not in key


def is_embedded(model: str) -> bool:
    """Whether a `--model` means the embedded model, or a GGUF file for it."""
    return model == EMBEDDED or model.lower().endswith(".gguf")


def is_loopback(url: str) -> bool:
    """Whether `url` points at this very machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def clear_text_line(base_url: str, api_key: ApiKey | None) -> str | None:
    """That a key goes to another machine unencrypted, in a sentence; None where it does not."""
    if not api_key or urlsplit(base_url).scheme != "http" or is_loopback(base_url):
        return None
    host = urlsplit(base_url).hostname
    return f"the key goes to {host} unencrypted, over http://: anybody on the way can read it; {CLEAR_TEXT_FIX}"


def is_proxied(url: str) -> bool:
    """Whether `url` is reached through the proxy that the environment names; this very machine never is."""
    proxies = urllib.request.getproxies()
    parts = urlsplit(url)
    if is_loopback(url) or not (proxies.get(parts.scheme) or proxies.get("all")):
        return False
    return not urllib.request.proxy_bypass(parts.netloc)


def is_openai(url: str) -> bool:
    """Whether `url` is OpenAI's own service, in whichever region."""
    return f".{urlsplit(url).hostname}".endswith(".api.openai.com")


def _key_for(url: str, environment: Mapping[str, str]) -> str | None:
    names = ["OPENAI_API_KEY"]
    if (urlsplit(url).hostname or "").endswith(".azure.com"):
        names.insert(0, "AZURE_OPENAI_API_KEY")  # who has both means each for its own service
    for name in names:
        if key := _checked_key(environment.get(name, ""), name, fix=f"export {name} again, with only the key"):
            return key
    return None


def _checked_key(key: str, name: str, *, fix: str) -> str | None:
    """The key without the blanks around it, None when nothing is left; an error never shows it."""
    key = key.strip()  # one that was read from a file often ends in a newline
    if not fits_a_header(key):
        raise InputError(f"{name} contains characters not allowed in a key", fix=fix)
    return key or None


def _checked(url: str) -> str:
    """The base URL that is meant, without the route of an address that was pasted whole."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    is_clean = url.isprintable() and " " not in url and "\\" not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or not is_clean:
        raise InputError(f"{_shown(url)!r} is not a base URL", fix=f"give one like {_with_scheme(url)}")
    if "@" not in url and "#" not in url and (meant := _at_azure(parts)):
        return meant
    if any(mark in url for mark in "@?#"):
        raise InputError(
            f"the base URL {_shown(url)!r} contains more than an address",
            fix="remove user, password, ? and #: put the key in OPENAI_API_KEY; the URL is stored in the run folder",
        )
    host, colon, port = parts.netloc.rpartition(":") if parts.port is not None else (parts.netloc, "", "")
    place = f"{_ANY_ADDRESS.get(host, host)}{colon}{port}"
    return f"{parts.scheme}://{place}{_ROUTE.sub('', parts.path.rstrip('/'))}".rstrip("/")


def _with_scheme(url: str) -> str:
    """An example of a base URL: `url` itself, where nothing but http:// or https:// is missing."""
    found = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?(/[\w./-]*)?", url)
    if found is None or "." not in found[1] + (found[2] or "").replace(":", "."):
        return _EXAMPLE
    scheme = "http" if found[2] and found[2] != ":443" else "https"
    return _EXAMPLE if _hide(url) != url else f"{_EXAMPLE} (did you mean {scheme}://{url}?)"


def _at_azure(parts: SplitResult) -> str | None:
    """The base URL of an Azure resource, whichever of its addresses was given; None at any other host.

    Raises InputError for the address of a deployment: its name is the model's, which is an option of its own.
    """
    host = parts.hostname or ""
    if not host.endswith(".azure.com") or parts.scheme != "https":
        return None
    base = f"https://{parts.netloc}/openai/v1"
    if named := _DEPLOYMENT.match(parts.path):
        raise InputError(
            f"{_shown(parts.geturl())!r} is the address of a deployment, not a base URL",
            fix=f"use --base-url {base} --model {named[1]}",
        )
    path = _ROUTE.sub("", parts.path.rstrip("/"))
    is_versioned = bool(re.fullmatch(r"(?:api-version=[\w.-]+&?)?", parts.query))
    places = ("", "/openai", "/openai/v1", *(("/models",) if parts.query else ()))
    return base if path in places and is_versioned else None


def _shown(url: str) -> str:
    """`url` without what may be secret in it: what stands before an @, or after ? or #."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    secret, at, place = rest.rpartition("@")
    if "?" in secret or "#" in secret:  # the @ is part of a query, or the ? of a password
        return f"{_hide(scheme)}{mark}{HIDDEN}"
    address = re.split("[?#]", place, maxsplit=1)
    more = place[len(address[0]) :][:1]
    return _hide(f"{scheme}{mark}{HIDDEN + at if at else ''}{address[0]}{more}{HIDDEN if more else ''}")
