"""Which names a browser may have asked for: the check of the Host header against DNS rebinding.

A page on the web can point its own name at 127.0.0.1 or at a machine of the network and then read, as its own origin,
what listens there. The browser still sends the page's name in the Host header, so a server that answers only to names
that no stranger can own is out of reach. Such names are addresses, `localhost`, names of one label (Compose's services,
/etc/hosts), names under suffixes that the public DNS does not delegate, and the machine's own name; every other one has
to be allowed by the one who runs the program (`--web.allowed-hosts`).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# RFC 6761: localhost. ICANN reserved internal for private use (2024); no one can register svc, and Kubernetes' resolver
# answers for cluster.local.
PRIVATE_SUFFIXES = ("localhost", "internal", "svc", "cluster.local")
_LONGEST_NAME, _LAST_PORT = 253, 65_535
# RFC 3986: host and optional port; user information and a path are no part of a Host header.
_AUTHORITY = re.compile(r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@/?#\\\s]+))(?::(?P<port>[0-9]{0,5}))?")
# Underscores are no host name's, but Docker's service names may have them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_SHOWN = 100


class Host(NamedTuple):
    """A host in lower case, without brackets and the trailing dot; the port is None where none is written."""

    name: str
    port: int | None


def parse_host(text: str) -> Host:
    """Return host and port of a Host header.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found["port"] or 0) > _LAST_PORT:
        raise ValueError(f"Host {_show(text)} is not HOST or HOST:PORT")
    port = int(found["port"]) if found["port"] else None
    if found["bracketed"] is not None:
        try:
            return Host(str(ipaddress.IPv6Address(found["bracketed"])), port)
        except ValueError:
            raise ValueError(f"Host {_show(text)} has no IPv6 address in its brackets") from None
    name = found["name"].lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        # A browser sends a name of other letters in its ASCII form (xn--…).
        raise ValueError(f"Host {_show(text)} is not a name of letters, digits, hyphens and dots")
    return Host(name, port)


def parse_allowed_hosts(text: str) -> tuple[str, ...]:
    """Return the names of `--web.allowed-hosts`: separated by commas, each `name`, or `.suffix` for all names below it.

    A name of other letters than ASCII's is turned into the form that browsers send.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    return tuple(_parse_allowed(word) for word in text.split(",") if word.strip())


def _parse_allowed(word: str) -> str:
    name = word.strip()
    try:
        ascii_name = name.removeprefix(".").encode("idna").decode() if not name.isascii() else name.removeprefix(".")
        host = parse_host(ascii_name)
    except ValueError:
        host = None
    if host is None or host.port is not None or (name.startswith(".") and is_address(host.name)):
        raise ValueError(
            f"{name!r} is not a host name: write it without scheme and port, `.name` for all names below it"
        )
    return f".{host.name}" if name.startswith(".") else host.name


def refusal(header: str | None, allowed: Collection[str] = ()) -> Refusal | None:
    """Return why a request is refused for its Host header, None where it is not.

    Args:
        header: The value of the one Host header; None without one, which HTTP/1.1 forbids (a request of HTTP/1.0 needs
            none, and no browser sends it).
        allowed: Names beside the private ones, as `parse_allowed_hosts` returns them.
    """
    if not header:
        return Refusal(400, "a request of HTTP/1.1 needs one Host header")
    try:
        host = parse_host(header)
    except ValueError as error:
        return Refusal(400, str(error))
    if is_private(host.name) or _is_allowed(host.name, allowed):
        return None
    return Refusal(
        421,
        f"Host {_show(host.name)} is not a name of this server: ask for its address, or allow the name with "
        "--web.allowed-hosts",
    )


def request_refusal(hosts: Sequence[str], target: str, version: str, allowed: Collection[str] = ()) -> Refusal | None:
    """Return why a request is refused for where it is addressed to, None where it is not.

    Args:
        hosts: The values of all its Host headers.
        target: Its target, as in the first line.
        version: Its version, `1.0` or `1.1`.
        allowed: As for `refusal`.
    """
    try:
        named, _ = split_target(target)
    except ValueError as error:
        return Refusal(400, str(error))
    if len(hosts) > 1:
        return Refusal(400, "a request needs one Host header, not more")
    if not hosts and version == "1.0":
        return None if named is None else refusal(named, allowed)
    found = (refusal(host, allowed) for host in (*(hosts or (None,)), *(() if named is None else (named,))))
    return next((refused for refused in found if refused is not None), None)


def is_private(name: str) -> bool:
    """Return whether nobody outside can own the name: see the top of this module."""
    if is_address(name) or "." not in name:
        return True
    return name in _own_names() or any(name.endswith(f".{suffix}") for suffix in PRIVATE_SUFFIXES)


def is_address(name: str) -> bool:
    """Return whether the name is an IPv4 or IPv6 address in its usual form."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_allowed(name: str, allowed: Collection[str]) -> bool:
    return name in allowed or any(item.startswith(".") and name.endswith(item) for item in allowed)


@cache
def _own_names() -> frozenset[str]:
    # What the machine calls itself, without asking the DNS, which can be slow or away.
    return frozenset({socket.gethostname().lower().removesuffix(".")})


def _show(text: str) -> str:
    shown = repr(text[:_SHOWN])
    return shown.encode("ascii", "backslashreplace").decode()


def split_target(target: str) -> tuple[str | None, str]:
    """Return host and path of a request's target; the host is None in the usual form, which is the path alone.

    A client that takes the server for a proxy sends the whole URL; RFC 9112 has its host replace the Host header.

    Raises:
        ValueError: The target is neither.
    """
    if target.startswith("/"):
        return None, target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise ValueError(f"the request's target {_show(target)} is not a path")
    end = min((place for place in (rest.find("/"), rest.find("?")) if place >= 0), default=len(rest))
    path = rest[end:]
    return rest[:end], path if path.startswith("/") else f"/{path}"
