"""Socket diagnostics over netlink: sock_diag(7)."""

from __future__ import annotations

import socket
import struct

from perfloop_exporter.errors import CollectorError

# linux/netlink.h and linux/inet_diag.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
REQUEST_DUMP = 0x301
ALL_STATES = 0xFFF
DONE = 3
ERROR = 2
CHUNK = 1 << 18
TIMEOUT_SECONDS = 5.0


def tcp_dumps() -> list[bytes]:
    """Dump the diagnostics of every TCP socket.

    Returns:
        The raw netlink messages of IPv4, then those of IPv6; tcpstat.count_states parses them.

    Raises:
        CollectorError: The kernel refuses the request, or does not respond within TIMEOUT_SECONDS.
    """
    return [_dump(family) for family in (socket.AF_INET, socket.AF_INET6)]


def _dump(family: int) -> bytes:
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, ALL_STATES)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0)
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(TIMEOUT_SECONDS)
            kernel.send(header + request)
            while not parts or not _is_last(parts[-1]):
                parts.append(kernel.recv(CHUNK))
    except OSError as error:
        raise CollectorError(f"sock_diag: {error.strerror or error}") from error
    return b"".join(parts)


def _is_last(chunk: bytes) -> bool:
    """Return whether the chunk contains the message that ends a dump, which the kernel sends alone or last."""
    offset = 0
    while offset + 16 <= len(chunk):
        length, kind = struct.unpack_from("=IH", chunk, offset)
        if kind in {DONE, ERROR} or length < 16:  # noqa: PLR2004  # the size of a header
            return True
        offset += (length + 3) & ~3
    return False
