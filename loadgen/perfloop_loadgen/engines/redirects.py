"""Where a redirect leads, and what is sent there: as browsers do it (Fetch standard, "HTTP-redirect fetch")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import ascii_host
from perfloop_loadgen.scenario.checks import headers_in
from perfloop_loadgen.scenario.request import Target

if TYPE_CHECKING:
    from perfloop_loadgen.ports import Head
    from perfloop_loadgen.scenario.request import Request

# 300 has no one place, 304 none, 305 and 306 are of the past (RFC 9110, section 15.4).
_STATUSES = frozenset({301, 302, 303, 307, 308})
_BECOMES_GET = frozenset({301, 302})
_SEE_OTHER = 303
# Of a body that is not sent again.
_ABOUT_BODY = frozenset(
    {"content-type", "content-length", "content-encoding", "content-language", "content-location", "transfer-encoding"}
)
# What is meant for one origin alone.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
_PORTS = {"http": 80, "https": 443}
_NO_HOST = re.compile(r"[a-z]+:///?(?:[?#].*)?", re.IGNORECASE)
# What may stand in a path and a query as it came; the rest, spaces and bytes beyond ASCII, is percent-encoded.
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class Hop(NamedTuple):
    """The next request of a chain, and where it goes."""

    request: Request
    origin: Target


def next_hop(request: Request, origin: Target, head: Head) -> Hop | None:
    """Return where a redirect leads; None if the answer is none, or leads nowhere that HTTP can go."""
    if head.status not in _STATUSES:
        return None
    place = _place(request, origin, head)
    if place is None:
        return None
    there, path = place
    headers = dict(request.headers)
    method, body = request.method, request.body
    if (head.status in _BECOMES_GET and method == "POST") or (
        head.status == _SEE_OTHER and method not in {"GET", "HEAD"}
    ):
        method, body = "GET", b""
        headers = {name: value for name, value in headers.items() if name.lower() not in _ABOUT_BODY}
    if there != origin:
        dropped = {"host", *_CREDENTIALS}
        headers = {"Host": there.authority} | {
            name: value for name, value in headers.items() if name.lower() not in dropped
        }
    try:
        return Hop(request.derive(method, path, headers, body), there)
    except ConfigError:
        return None  # a Location that no request's line can carry


def _place(request: Request, origin: Target, head: Head) -> tuple[Target, str] | None:
    """Return the origin and the path that a Location names."""
    locations = headers_in("Location", head.raw)
    if not locations or not locations[0]:
        return None
    # Browsers read what is beyond ASCII as UTF-8.
    location = quote(locations[0], safe=_SAFE)
    if _NO_HOST.fullmatch(location):
        return None  # taken for a relative reference it would lead here
    try:
        parts = urlsplit(urljoin(f"{origin.scheme}://{origin.authority}{request.path}", location))
        host, port = ascii_host(unquote(parts.hostname or "")), parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or parts.scheme not in _PORTS:
        return None
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return Target(parts.scheme, host, port), path
