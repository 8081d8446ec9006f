"""Questions to the kernel over netlink."""

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
    """The diagnosis of every TCP socket, IPv4 and IPv6, as netlink messages."""
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
        raise CollectorError(f"the kernel's socket diagnosis: {error.strerror or error}") from error
    return b"".join(parts)


def _is_last(chunk: bytes) -> bool:
    """Whether the chunk holds the message that ends a dump; the kernel sends it alone or as the last."""
    offset = 0
    while offset + 16 <= len(chunk):
        length, kind = struct.unpack_from("=IH", chunk, offset)
        if kind in {DONE, ERROR} or length < 16:  # noqa: PLR2004  # the size of a header
            return True
        offset += (length + 3) & ~3
    return False
