"""Where a server listens: `HOST:PORT` as Prometheus's programs write it; and where one is reached, by URL."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from perfloop_base.errors import ConfigError, ListenError
from perfloop_base.visible import brief

_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65_535
_BACKLOG = 1024
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START


class Address(NamedTuple):
    """A host and a port; an empty host is every interface of the machine, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_http_url(text: str) -> bool:
    """Return whether a text is the URL of an HTTP server: http or https, a host, and a port that there can be."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_address(text: str) -> Address:
    """Return the address of `HOST:PORT`, `:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _LAST_PORT:
        raise ValueError(
            f"{brief(text)} is not an address: write HOST:PORT with a port from 0 to {_LAST_PORT}, "
            "and an IPv6 host in square brackets"
        )
    return Address(found["bracketed"] or found["plain"] or "", int(found["port"]))


def listen(address: Address, flag: str, backlog: int = _BACKLOG) -> socket.socket:
    """Return a listening, blocking socket, so that a taken port is an error before anything else has started.

    An empty host listens on IPv4 and IPv6 where the machine has both.

    Raises:
        ListenError: another program listens there.
        ConfigError: the host is not one of this machine's; `flag` is named in both.
    """
    everywhere = not address.host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in address.host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is given; else answers wait 40 ms for the caller's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not everywhere)
    try:
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenError(
                f"{flag}: port {address.port} of {address} is taken by another program: stop it, or choose another port"
            ) from error
        raise ConfigError(f"{flag}: cannot listen on {address}: {error.strerror or error}") from error
    return listener


def inherited_listeners(flag: str) -> list[socket.socket]:
    """Return the sockets that systemd passed to this process: sd_listen_fds(3).

    Raises:
        ConfigError: there are none, or one is not a stream socket that listens; `flag` is named.
    """
    pid, count = os.environ.get("LISTEN_PID", ""), os.environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal() or not int(count):
        raise ConfigError(
            f"{flag}: systemd passed no socket to this process (LISTEN_PID={pid!r}, LISTEN_FDS={count!r})"
        )
    # A child of this process must not take them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return [_inherited(number, flag) for number in range(_FIRST_INHERITED, _FIRST_INHERITED + int(count))]


def _inherited(number: int, flag: str) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigError(f"{flag}: descriptor {number} is not a socket: {error.strerror or error}") from error
    if listener.type != socket.SOCK_STREAM or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ConfigError(f"{flag}: descriptor {number} is not a stream socket that listens")
    listener.settimeout(None)
    os.set_inheritable(number, False)  # noqa: FBT003  # the one argument there is
    return listener


def shown_address(listener: socket.socket) -> str:
    """Return where a socket listens, as a log shows it: `HOST:PORT`, or the path of a Unix socket."""
    name = listener.getsockname()
    return str(bound_address(listener)) if isinstance(name, tuple) else os.fsdecode(name)


def bound_address(listener: socket.socket) -> Address:
    """Return where a socket listens: port 0 has become a number."""
    host, port = listener.getsockname()[:2]
    return Address(str(host), int(port))
