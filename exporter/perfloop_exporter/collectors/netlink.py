"""Netlink dumps: socket diagnostics, sock_diag(7), and network devices, rtnetlink(7)."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/netlink.h and linux/inet_diag.h
NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
REQUEST_DUMP = 0x301
ALL_STATES = 0xFFF
DONE = 3
ERROR = 2
CHUNK = 1 << 18
TIMEOUT_SECONDS = 5.0
# struct nlmsghdr: length, type, flags, sequence, port; struct nlattr: length, type, whose two highest bits are flags.
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
TYPE_MASK = 0x3FFF


def tcp_dumps() -> list[bytes]:
    """Dump the diagnostics of every TCP socket.

    Returns:
        The raw netlink messages of IPv4, then those of IPv6; tcpstat.count_states parses them.

    Raises:
        CollectorError: The kernel refuses the request, or does not respond within TIMEOUT_SECONDS.
    """
    return [
        _dump(
            NETLINK_SOCK_DIAG,
            SOCK_DIAG_BY_FAMILY,
            struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, ALL_STATES),
        )
        for family in (socket.AF_INET, socket.AF_INET6)
    ]


def route_dump(kind: int, family: int) -> bytes:
    """Dump the network devices, addresses, routes or neighbours of the exporter's own network namespace.

    Args:
        kind: RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE or RTM_GETNEIGH of linux/rtnetlink.h.
        family: An address family, 0 for all.

    Returns:
        The raw netlink messages; rtnetlink.py parses them.

    Raises:
        CollectorError: The kernel refuses the request, or does not respond within TIMEOUT_SECONDS.
    """
    return _dump(NETLINK_ROUTE, kind, struct.pack("=B15x", family))


def _dump(protocol: int, kind: int, request: bytes) -> bytes:
    header = HEADER.pack(HEADER.size + len(request), kind, REQUEST_DUMP, 1, 0)
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
            kernel.settimeout(TIMEOUT_SECONDS)
            kernel.send(header + request)
            while not parts or not _is_last(parts[-1]):
                parts.append(kernel.recv(CHUNK))
    except OSError as error:
        raise CollectorError(f"netlink: {error.strerror or error}") from error
    return b"".join(parts)


def _is_last(chunk: bytes) -> bool:
    """Return whether the chunk contains the message that ends a dump, which the kernel sends alone or last."""
    offset = 0
    while offset + HEADER.size <= len(chunk):
        length, kind = struct.unpack_from("=IH", chunk, offset)
        if kind in {DONE, ERROR} or length < HEADER.size:
            return True
        offset += aligned(length)
    return False


def aligned(length: int) -> int:
    """Return where what follows begins: messages and attributes are padded to multiples of 4 bytes (NLMSG_ALIGN)."""
    return (length + 3) & ~3


def messages(dump: bytes) -> Iterator[bytes]:
    """Yield what each message of a dump holds after its header.

    Raises:
        CollectorError: A message is an error or cut short, or the dump has no end.
    """
    offset = 0
    while offset + HEADER.size <= len(dump):
        length, kind, *_ = HEADER.unpack_from(dump, offset)
        if kind == DONE:
            return
        if kind == ERROR or length < HEADER.size or offset + length > len(dump):
            raise CollectorError("netlink: the kernel sent an error, or a message that is cut short")
        yield dump[offset + HEADER.size : offset + length]
        offset += aligned(length)
    raise CollectorError("netlink: the dump has no end")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute; one that is cut short ends them."""
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size or offset + length > len(data):
            return
        yield kind & TYPE_MASK, data[offset + ATTRIBUTE.size : offset + length]
        offset += aligned(length)
