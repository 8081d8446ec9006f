"""Addresses as people write them, and as they go over the wire: ASCII hosts, percent-encoded paths, no surprises.

A host that is not ASCII becomes its A-label (IDNA 2008 with the mapping of UTS 46, as browsers do it); the characters
of a path or query that a request line cannot hold become percent-encoded UTF-8 (RFC 3986, section 2.5).
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_BEYOND_LINE = re.compile(r"[^\x21-\x7e]+")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253
_SPACES = re.compile(r"[\x00-\x20\x7f]")
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


class ServiceUrl(NamedTuple):
    """A URL's parts: the host in ASCII (an IPv6 address without brackets), the port also where the URL has none."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return what two URLs of the same origin have in common (RFC 6454)."""
        return self.scheme, self.host.lower(), self.port


def is_http(url: str) -> bool:
    """Return whether a text begins as a URL of HTTP does."""
    return _HTTP.match(url) is not None


def parse_service_url(url: str) -> ServiceUrl:
    """Return the parts of a URL of a service.

    Raises:
        ValueError: it is none; the rule that it breaks, without the URL, which may hold a password.
    """
    if not is_http(url):
        raise ValueError("must start with http:// or https://")
    if _SPACES.search(url):
        raise ValueError("must not hold spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if not host:
        raise ValueError("must name a host")
    if port == 0:
        raise ValueError("must name a port from 1 to 65535")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query (?) or a fragment (#): they belong into the path of a request")
    scheme = parts.scheme.lower()
    return ServiceUrl(scheme, ascii_host(host), port or _PORTS[scheme], parts.path)


def ascii_host(host: str) -> str:
    """Return a host as name servers and the Host header take it.

    Raises:
        ValueError: it is neither an address nor a name that a host can have.
    """
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ValueError(f"is not a URL: {host!r} is no IPv6 address") from error
        return host
    name = host if host.isascii() else _to_a_labels(host)
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"is not a URL: {host!r} is no name that a host can have")
    return name


def _to_a_labels(host: str) -> str:
    import idna  # its tables are large, and hosts are seldom anything but ASCII

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except ValueError as error:
        raise ValueError(f"is not a URL: {host!r} is no name that a host can have: {error}") from error


def encode_target(target: str) -> str:
    """Return a path and query with everything encoded that a request line cannot hold; what is encoded stays."""
    if _BEYOND_LINE.search(target) is None:
        return target
    return _BEYOND_LINE.sub(lambda found: quote(found[0], safe="", errors="replace"), target)


def below(url: str, base: ServiceUrl) -> str:
    """Return the path and query of a URL, from the path of the service's own address on.

    Raises:
        ValueError: it is a URL of another service.
    """
    without_fragment = url.partition("#")[0]
    head, question, query = without_fragment.partition("?")
    address = parse_service_url(_with_ascii_path(head))
    if address.origin != base.origin:
        raise ValueError("is a URL of another service than base_url")
    prefix = base.path.rstrip("/")
    path = address.path or "/"
    if prefix and path != prefix and not path.startswith(f"{prefix}/"):
        raise ValueError(f"does not lie below the path {prefix} of base_url")
    return (path[len(prefix) :] or "/") + question + query


def _with_ascii_path(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{encode_target(path)}"
