"""Which requests may change something: none that a page of another site can make a browser send.

Without asking first (CORS) a browser sends other sites' requests only as GET, HEAD and POST, and a POST only with the
content types of forms or plain text. So a change needs JSON, or an Authorization header, which no other site can add;
and where the browser says which site a request comes from, it must be this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop_base.web.hosts import Host, parse_host
from perfloop_base.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
# The user's own click or address bar, and pages of this server itself.
_OWN_SITES = frozenset(("none", "same-origin"))
_DEFAULT_PORTS = {"http": 80, "https": 443}


def change_refusal(method: str, headers: Mapping[str, str], allowed: Collection[str] = ()) -> Refusal | None:
    """Return why a request may not change anything, None where it may, and for methods that change nothing.

    Args:
        method: The request's method.
        headers: The request's headers by their names in lower case.
        allowed: The names of `--web.allowed-hosts`: a page that a proxy serves under one of them is no other site.
    """
    refused = origin_refusal(method, headers, allowed)
    if refused or method in SAFE_METHODS or "authorization" in headers or _is_json(headers.get("content-type", "")):
        return refused
    if method == "DELETE" and headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None  # no form sends it, and a script of another site has to ask first
    return Refusal(415, "a change needs the header Content-Type: application/json")


def origin_refusal(method: str, headers: Mapping[str, str], allowed: Collection[str] = ()) -> Refusal | None:
    """Return why a request that would change something is refused for the page that sends it; as `change_refusal`."""
    if method in SAFE_METHODS:
        return None
    site, origin = headers.get("sec-fetch-site", "none").lower(), headers.get("origin")
    if (origin is None and site not in _OWN_SITES) or (origin is not None and not _is_own(origin, headers, allowed)):
        return Refusal(403, "changes are refused to pages of other sites")
    return None


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _is_own(origin: str, headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Return whether the page that sends the request was served by this server."""
    try:
        parts = urlsplit(origin)
        page = parse_host(parts.netloc)
        server = parse_host(headers.get("host", ""))
    except ValueError:  # `null`, of a sandboxed frame or a file, among them
        return False
    if page.name in allowed:
        return True
    return parts.scheme in _DEFAULT_PORTS and _with_port(page, parts.scheme) == _with_port(server, parts.scheme)


def _with_port(host: Host, scheme: str) -> Host:
    # Only a TLS proxy in front knows the server's scheme: the port that it leaves out is the page's.
    return host if host.port is not None else host._replace(port=_DEFAULT_PORTS[scheme])
