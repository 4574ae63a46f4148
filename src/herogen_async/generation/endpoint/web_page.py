"""A web page where an answer should be: a bot challenge, a proxy's login, a portal, a wrong address. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import Enum

from herogen_async.generation.endpoint.http.rate_headers import HeaderLookup

_LOOKED_AT = 16_000  # bytes: scripts and styles come first
_BEGINS = re.compile(rb"<[!?a-zA-Z]")  # XML, too: no API of this kind speaks it
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_ADDRESS = "check --base-url (it usually ends in /v1)"

# nginx, Go's server, Apache: plain HTTP came to a port of theirs that speaks TLS.
WANTS_TLS = r"plain http (request was sent )?to (an )?(https|ssl|tls)|http request to an https server"


class PageKind(Enum):
    """Who shows the page: what a person is told to mend."""

    CHALLENGE = (
        f"a bot challenge answers instead of the API: {_ADDRESS}, or ask who runs that page to let this program through"
    )
    PROXY = (
        "a proxy shows a web page instead of the API: put its login into HTTPS_PROXY "
        "(http://NAME:PASSWORD@HOST:PORT), or name the server in NO_PROXY"
    )
    LOGIN = f"a login page answers instead of the API: {_ADDRESS}, and log in to the network if it asks for that"
    TLS = "the server speaks TLS there: use https:// in --base-url"
    OTHER = f"a web page answers there: {_ADDRESS}"


_SIGNS = (
    (PageKind.TLS, WANTS_TLS),
    (
        PageKind.CHALLENGE,
        r"just a moment|checking (if the site|your browser)|attention required|challenge-platform|cf-challenge|captcha"
        r"|verify (that )?you are (a )?human|are you a robot|ddos protection|pardon our interruption|incapsula"
        r"|enable javascript and cookies|bot (detection|protection|management)",
    ),
    (PageKind.PROXY, r"\bproxy\b|\bsquid\b|zscaler|fortiguard|blue ?coat|web ?filter|netskope|captive"),
    (PageKind.LOGIN, r"\b(sign|log)[ -]?(in|on)\b|single sign-on|type=.password"),
)


@dataclass(frozen=True, slots=True)
class WebPage:
    """What a page calls itself, and who shows it."""

    title: str
    kind: PageKind

    @property
    def fix(self) -> str:
        """What to mend."""
        return self.kind.value


def web_page_in(status: int, header: HeaderLookup, body: bytes) -> WebPage | None:
    """The page that `body` is; None when it is none."""
    start = body[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not _BEGINS.match(start):
        return None
    text = start.decode("utf-8", "replace")
    named = _TITLE.search(text) or _HEADING.search(text)
    title = " ".join(html.unescape(_TAG.sub(" ", named[1] if named else text)).split())[:80]
    if header("cf-mitigated") == "challenge":
        return WebPage(title, PageKind.CHALLENGE)
    if status in (407, 511):
        return WebPage(title, PageKind.PROXY)
    # What a gateway shows of its own trouble may hold anything: Apache's page is called "Proxy Error", and Cloudflare
    # puts its challenge's script into whatever page comes by.
    is_trouble = status in (502, 504) or 520 <= status <= 530
    if is_trouble and not re.search(WANTS_TLS, text, re.IGNORECASE):
        return WebPage(title, PageKind.OTHER)
    for kind, signs in _SIGNS:
        by = title if kind is PageKind.CHALLENGE and status >= 500 else text
        if re.search(signs, by, re.IGNORECASE):
            return WebPage(title, kind)
    return WebPage(title, PageKind.OTHER)
