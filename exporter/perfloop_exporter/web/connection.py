"""One connection to a client, never blocking: its handshake, the heads of its requests, and its responses."""

from __future__ import annotations

import ssl
from enum import Enum
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING

from perfloop_exporter.web.messages import END, HEAD_LIMIT, BadRequestError

if TYPE_CHECKING:
    import socket

# One record of TLS holds no more, and one read of this size gets any head.
CHUNK = HEAD_LIMIT
# Bytes that a rejected client may still send before the connection is closed.
REJECTED_LIMIT = 64 * HEAD_LIMIT
# OpenSSL encrypts what it is given at once, so that it is given the response in parts.
SEND_CHUNK = 256 * 1024


class Waits(Enum):
    """What the client has to do next."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    IDLE = "idle"
    """Nothing, between two requests."""
    RESPONSE = "response"
    """Take the response."""
    CLOSE = "close"
    """Close: its request was rejected."""


class Connection:
    """A connection and what is known of it.

    Attributes:
        waits: What the client has to do; of no meaning while a thread works on its request.
        since: When that began, in seconds of the monotonic clock.
        deadline: When its time is over.
        events: What the selector has to report next.
        watched: What the selector reports now.
    """

    __slots__ = (
        "_last",
        "_received",
        "_rejected",
        "_unsent",
        "deadline",
        "events",
        "since",
        "socket",
        "waits",
        "watched",
    )

    def __init__(self, accepted: socket.socket, now: float, deadline: float) -> None:
        self.socket = accepted
        self.waits = Waits.HANDSHAKE if isinstance(accepted, ssl.SSLSocket) else Waits.HEAD
        self.since = now
        self.deadline = deadline
        self.events = EVENT_READ
        self.watched = 0
        self._received = b""
        self._unsent = memoryview(b"")
        self._last = False
        self._rejected = 0

    @property
    def unsent_bytes(self) -> int:
        """How much of the response the client has not taken yet."""
        return len(self._unsent)

    @property
    def has_rest(self) -> bool:
        """Whether bytes of a next request have arrived already."""
        return bool(self._received) or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0)

    def shake(self) -> bool:
        """Go on with the TLS handshake; return whether it is complete.

        Raises:
            OSError: It has failed.
        """
        if not isinstance(self.socket, ssl.SSLSocket):
            return True
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.events = EVENT_READ
            return False
        except ssl.SSLWantWriteError:
            self.events = EVENT_WRITE
            return False
        return True

    def read_head(self) -> bytes | None:
        """Read what has arrived; return the head of a request once it is complete.

        Raises:
            BadRequestError: It is longer than HEAD_LIMIT.
            OSError: The client has closed the connection.
        """
        head = self._take_head()
        while head is None:
            chunk = self._receive()
            if chunk is None:
                return None
            if not chunk:
                raise ConnectionAbortedError("closed by the client")
            start = max(len(self._received) - len(END), 0)
            self._received += chunk
            head = self._take_head(start)
            if len(chunk) < CHUNK and not isinstance(self.socket, ssl.SSLSocket):
                break  # a further read would find nothing, and would be one more system call for every request
        return head

    def _take_head(self, start: int = 0) -> bytes | None:
        end = self._received.find(END, start)
        if max(end, 0) > HEAD_LIMIT or (end < 0 and len(self._received) > HEAD_LIMIT):
            raise BadRequestError(431, f"the request's head is longer than {HEAD_LIMIT} bytes")
        if end < 0:
            return None
        head, self._received = self._received[:end], self._received[end + len(END) :]
        return head

    def _receive(self) -> bytes | None:
        """Return what has arrived, None for nothing yet."""
        try:
            return self.socket.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            self.events = EVENT_READ
        except ssl.SSLWantWriteError:
            self.events = EVENT_WRITE
        return None

    def send(self, data: bytes = b"", *, last: bool = False) -> bool:
        """Send a response, or go on with it; return whether the client has taken all of it.

        Args:
            data: The response.
            last: Whether the connection is closed after it.

        Raises:
            OSError: The client has closed the connection.
        """
        try:
            if data:
                self._last = last
                sent = self.socket.send(data) if len(data) <= SEND_CHUNK else 0
                if sent == len(data):
                    return True
                self._unsent = memoryview(data)[sent:]
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent[:SEND_CHUNK]) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
            self.events = EVENT_READ if isinstance(error, ssl.SSLWantReadError) else EVENT_WRITE
            if data and not self._unsent:  # the first attempt has sent nothing
                self._unsent = memoryview(data)
            return False
        self._unsent = memoryview(b"")
        self.events = EVENT_READ
        return True

    @property
    def is_last(self) -> bool:
        """Whether the connection is closed after the response."""
        return self._last

    def drain(self) -> bool:
        """Read on after a rejection; return whether the client has closed, or has sent more than enough.

        Closing a connection with unread bytes sends a reset, which can overtake the response.

        Raises:
            OSError: The connection is broken.
        """
        self._received = b""
        while (chunk := self._receive()) is not None:
            self._rejected += len(chunk)
            if not chunk or self._rejected > REJECTED_LIMIT:
                return True
        return False
