"""supervisord's event listener protocol, over standard input and output."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_READY = b"READY\n"
_DONE = b"RESULT 2\nOK"
_CHUNK = 65536


def parse_tokens(line: str) -> dict[str, str]:
    """Return the `key:value` words of an event's header or payload."""
    return dict(word.split(":", 1) for word in line.split() if ":" in word)


@dataclass(frozen=True, slots=True)
class Event:
    """What supervisord says: the event's name and the words of its payload."""

    name: str
    payload: Mapping[str, str]


def take_event(received: bytearray) -> Event | None:
    """Take the first whole event out of what was received, or nothing while there is none."""
    line, newline, rest = received.partition(b"\n")
    header = parse_tokens(line.decode(errors="replace"))
    length = header.get("len", "0")
    if not newline or (size := int(length) if length.isdigit() else 0) > len(rest):
        return None
    del received[: len(line) + 1 + size]
    return Event(header.get("eventname", ""), parse_tokens(rest[:size].decode(errors="replace")))


class SupervisorGoneError(Exception):
    """supervisord has closed its end."""


class Listener:
    """The connection to supervisord, which sends one event at a time and waits until it was taken."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._received = bytearray()

    def begin(self) -> None:
        """Ask for the first event."""
        self._write(_READY)

    def wait(self, seconds: float) -> Event | None:
        """Return the next event, or None when there is none within `seconds`. `done` asks for the one after it.

        Raises:
            SupervisorGoneError: there will be none.
        """
        readable, _, _ = select.select([self._read_fd], [], [], max(0.0, seconds))
        if not readable:
            return None
        piece = os.read(self._read_fd, _CHUNK)
        if not piece:
            raise SupervisorGoneError
        self._received += piece
        return take_event(self._received)

    def done(self) -> None:
        """Say that the event was taken, and ask for the next one."""
        self._write(_DONE + _READY)

    def _write(self, text: bytes) -> None:
        try:
            os.write(self._write_fd, text)
        except OSError as error:
            raise SupervisorGoneError from error
