"""A name server with a few records, for programs that ask one: A and SRV over UDP (RFC 1035, RFC 2782)."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

A, SRV, IN = 1, 33, 1
_RESPONSE, _NO_SUCH_NAME = 0x8580, 3  # an authoritative answer; NXDOMAIN


@dataclass
class Records:
    """What the server knows; a name that is in neither does not exist.

    Attributes:
        addresses: IPv4 addresses by name.
        services: Targets and ports by name.
        asked: Every name that was asked for.
    """

    addresses: dict[str, list[str]] = field(default_factory=dict)
    services: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, question: bytes) -> bytes:
        """The answer to one message with one question."""
        (identifier,) = struct.unpack_from(">H", question)
        name, end = _read_name(question, 12)
        (kind,) = struct.unpack_from(">H", question, end)
        self.asked.append(name)
        found: list[bytes] = []
        if kind == A:
            found = [socket.inet_aton(address) for address in self.addresses.get(name, [])]
        elif kind == SRV:
            found = [
                struct.pack(">HHH", 0, 0, port) + _write_name(target) for target, port in self.services.get(name, [])
            ]
        exists = name in self.addresses or name in self.services
        flags = _RESPONSE | (0 if exists else _NO_SUCH_NAME)
        head = struct.pack(">HHHHHH", identifier, flags, 1, len(found), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, IN, 5, len(data)) + data for data in found)
        return head + question[12 : end + 4] + records


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _write_name(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".") if label) + b"\0"


def run_dns(address: str, records: Records) -> Iterator[None]:
    """Answer on port 53 of a loopback address, which only root may take; a generator for a context manager."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        server.settimeout(0.2)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    question, client = server.recvfrom(4096)
                except TimeoutError:
                    continue
                server.sendto(records.answer(question), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
