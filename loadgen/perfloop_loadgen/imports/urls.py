"""The URLs of recorded requests: the service that they go to, and the path as a test file has it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from perfloop_loadgen.config.addresses import ascii_host, encode_target, is_http, parse_service_url
from perfloop_loadgen.config.placeholders import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_loadgen.imports.found import Found


_PORTS = {"http": 80, "https": 443}


class Located(NamedTuple):
    """A request's service, as `https://host:port`, its path, and the `user:password` of its URL, if it has one."""

    base: str
    path: str
    user: str = ""


def locate(url: str, found: Found) -> Located:
    """Return the parts of a URL; secrets in its query are placeholders in the path.

    Raises:
        ValueError: it is no URL of HTTP.
    """
    if not is_http(url):
        raise ValueError("is no URL of HTTP")
    without_fragment = url.strip().partition("#")[0].replace("\\", "%5C")
    head, question, query = without_fragment.partition("?")
    parts = urlsplit(head)
    host = ascii_host(parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    # The scheme's own port is left out: with it or without, it is the same service.
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    base = f"{parts.scheme}://{shown}{port}"
    parse_service_url(base)
    user = parts.netloc.rpartition("@")[0]
    return Located(base, f"{escape(encode_target(parts.path or '/'))}{question}{_query(query, found)}", unquote(user))


def _query(query: str, found: Found) -> str:
    return "&".join(_piece(piece, found) for piece in query.split("&"))


def _piece(piece: str, found: Found) -> str:
    name, sign, value = piece.partition("=")
    if not sign or not value:
        return escape(encode_target(piece))
    decoded = unquote_plus(value)
    kept = found.parameter(unquote_plus(name), decoded, in_query=True)
    # A placeholder is quoted when it is filled; anything else stays as it was written.
    return f"{escape(encode_target(name))}={kept if kept != escape(decoded) else escape(encode_target(value))}"


def of_one_service(located: Iterable[Located], found: Found) -> str:
    """Return the base of the first request, and count those that go elsewhere: other people's services get no load.

    A first request to `http://shop.example` is often answered with a redirect to `https://www.shop.example`: of such
    names of one site, the base is the one of most requests.
    """
    bases = [one.base for one in located]
    chosen = Counter(base for base in bases if _site(base) == _site(bases[0])).most_common(1)[0][0]
    for base in bases:
        if base != chosen:
            found.leave_out(f"a request to {base}")
    return chosen


def _site(base: str) -> tuple[str, int | None]:
    parts = urlsplit(base)
    return (parts.hostname or "").removeprefix("www."), parts.port
