"""One TCP connection and the exchange under way on it: the hot path of the whole program."""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.failures import tls_outcome_of
from perfloop_loadgen.engines.http1.backlog import LARGE_PIECE, Backlog
from perfloop_loadgen.engines.http1.head import HEAD_END, Heads, Malformed
from perfloop_loadgen.engines.http1.message import Message
from perfloop_loadgen.ports import Clock, Head, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.engines.idle import IdleLimit
    from perfloop_loadgen.scenario.request import Request

# From this size on, what is done with a body (JSON is read, a pattern searched) takes milliseconds and more.
_LARGE_BODY = 262_144
# Below it an answer may come whole in one read; a longer one is read in pieces, which costs it little.
_LONGEST_WHOLE = 65_536


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of an engine have in common.

    Attributes:
        heads: the heads that were read before.
        clock: in nanoseconds.
        backlog: where large pieces wait.
        max_body_bytes: how much of a body is kept.
        idle: how long the server keeps an idle connection.
        on_wire: turns a request's bytes into those that are sent, where they differ: to a proxy.
    """

    heads: Heads
    clock: Clock
    backlog: Backlog
    max_body_bytes: int
    idle: IdleLimit
    on_wire: Callable[[bytes], bytes] | None = None


class Owner(Protocol):
    """Holds a connection."""

    def lost(self, connection: Connection) -> None:
        """Do not use the connection again."""

    def send_again(self, request: Request) -> bool:
        """Send a request that had no byte of an answer on a fresh connection, if it may be; return whether."""


class Connection(asyncio.Protocol):
    """Sends a request, reads its answer, calls the receiver."""

    __slots__ = (
        "_backlog",
        "_body",
        "_clock",
        "_first",
        "_head",
        "_head_bytes",
        "_heads",
        "_idle_limit",
        "_idle_since",
        "_max_body",
        "_message",
        "_on_wire",
        "_owner",
        "_queued",
        "_receiver",
        "_request",
        "_retiring",
        "_sent",
        "_size",
        "_transport",
        "_waiting",
        "_whole",
        "_write",
        "peer",
    )

    def __init__(self, receiver: Receiver, shared: Shared, owner: Owner, peer: str) -> None:
        self._receiver = receiver
        self._heads = shared.heads
        self._clock = shared.clock
        self._backlog = shared.backlog
        self._max_body = shared.max_body_bytes
        self._on_wire = shared.on_wire
        self._idle_limit = shared.idle
        self._owner = owner
        # The address that was connected to.
        self.peer = peer
        self._waiting = False
        # When the last answer ended; 0 before the first one, and once the connection was closed from this side.
        self._idle_since = 0
        # Whether the connection is closed behind the answer under way.
        self._retiring = False
        # Whether the next bytes may be taken for one whole answer.
        self._whole = False
        self._message: Message | None = None
        # The body so far, where it is wanted; in one piece, since a hostile body may come in millions of them.
        self._body = bytearray()
        # A large piece that waits in the backlog, and when it came; nothing more is read meanwhile.
        self._queued: tuple[bytes, int] | None = None
        self._request: Request
        # When the first request of this connection was sent, and the first piece of an answer came; 0 for the others.
        self._sent = self._first = 0
        # The last answer that came whole: most answers repeat its head and size.
        self._head: Head
        self._head_bytes = b""
        self._size = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        write = self._transport.write
        on_wire = self._on_wire
        self._write = write if on_wire is None else lambda wire: write(on_wire(wire))

    def send(self, request: Request) -> None:
        """Write a request; its answer goes to the receiver."""
        self._request = request
        self._waiting = True
        # Streamed answers are never taken in one piece: the time of each event counts.
        self._whole = not request.streams
        self._write(request.wire)

    def send_first(self, request: Request) -> None:
        """Write the first request of this connection: its phases are measured apart from the time to connect."""
        self._sent = self._clock()
        self.send(request)
        self._whole = False

    def data_received(self, data: bytes) -> None:
        """Take bytes. Nearly always they are one whole answer, with the head that the last one had."""
        size = len(data)
        if size == self._size and self._whole and data.startswith(self._head_bytes):
            # The body of `_answer`, repeated: this runs once a request.
            self._waiting = self._whole = False
            body = data[len(self._head_bytes) :] if self._request.wants_body else b""
            now = self._idle_since = self._clock()
            self._receiver.answered(self._head, size, body, now)
        elif not (self._whole and self._is_whole(data)):
            self._read_piece(data)

    def _is_whole(self, data: bytes) -> bool:
        """Take one whole answer with a head that some connection has read before; return whether it was one."""
        if len(data) >= _LONGEST_WHOLE:
            return False
        end = data.find(HEAD_END) + len(HEAD_END)
        head = self._heads.get(data[: end - len(HEAD_END)])
        if head is None or head.length != len(data) - end or not head.keep_alive:
            return False
        self._head, self._head_bytes, self._size = head, data[:end], len(data)
        self._answer(head, len(data), data)
        return True

    def _answer(self, head: Head, size: int, data: bytes) -> None:
        self._waiting = self._whole = False
        body = data[len(self._head_bytes) :] if self._request.wants_body else b""
        now = self._idle_since = self._clock()
        self._receiver.answered(head, size, body, now)

    def _read_piece(self, data: bytes) -> None:
        now = self._clock()
        if not self._waiting:
            # No request is under way: the connection cannot be trusted with the next one.
            self.drop()
        elif (len(data) >= LARGE_PIECE and self._may_be_slow()) or len(self._body) >= _LARGE_BODY:
            self._transport.pause_reading()
            self._queued = data, now
            self._backlog.put(self._catch_up)
        else:
            self._take_piece(data, now)

    def _may_be_slow(self) -> bool:
        """Return whether the work on a piece depends on what is in it, not only on its length."""
        return self._message is None or self._message.in_chunks or self._request.streams

    def _catch_up(self) -> None:
        queued, self._queued = self._queued, None
        if queued is not None:
            # Before the piece is taken: its end may drop the connection.
            self._transport.resume_reading()
            self._take_piece(*queued)

    def _take_piece(self, data: bytes, now: int) -> None:
        if self._message is None:
            self._whole = False
            self._first = now
            self._message = Message(self._heads, bodiless=self._request.bodiless)
        message = self._message
        try:
            pieces = message.feed(data)
        except Malformed as error:
            self._fail(error.outcome, now)
            return
        if pieces and (self._request.wants_body or self._request.streams):
            self._take_body(pieces, now)
        if message.done and message is self._message:
            self._finish(now)

    def _take_body(self, pieces: list[bytes], now: int) -> None:
        if self._request.wants_body:
            self._body += b"".join(pieces)
            if len(self._body) > self._max_body:
                self._fail(outcomes.BODY_TOO_LARGE, now)
                return
        if self._request.streams:
            message = self._message
            for piece in pieces:
                self._receiver.received(piece, now)
                if message is not self._message:
                    return  # the receiver has given the answer up

    def _finish(self, now: int) -> None:
        message = self._message
        if message is None or message.head is None:
            return
        # Bytes beyond the answer were not requested: the server and we disagree on where it ended.
        if message.rest or (message.size >= _LONGEST_WHOLE and message.head.keep_alive and self._has_unread()):
            self._fail(outcomes.EXCESS_BYTES, now)
            return
        body = bytes(self._body)
        if body:
            self._body.clear()
        self._message = None
        self._waiting = False
        is_first = not self._idle_since
        self._idle_since = now
        # Before the receiver is called: it may send the next request, which then needs a new connection.
        if not message.head.keep_alive or message.head.length == Head.UNTIL_CLOSE or self._retiring:
            self.drop()
        if is_first:
            self._receiver.spoke("HTTP/1.0" if message.head.raw.startswith(b"HTTP/1.0") else "HTTP/1.1", self.peer)
        sent, self._sent = self._sent, 0
        self._receiver.phased(sent, self._first, now)
        self._receiver.answered(message.head, message.size, body, now)

    def _has_unread(self) -> bool:
        """Return whether the kernel holds bytes behind the answer: the next request would take them for its own.

        Asked only after long answers: a short one and what was sent with it come in one read. Not under TLS, whose own
        records follow an answer too.
        """
        transport = self._transport
        if transport.get_extra_info("sslcontext") is not None or transport.is_closing():
            return False
        count = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, b"\0\0\0\0")
        return any(count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the outcome if an answer was awaited."""
        if self._queued is not None:
            queued, self._queued = self._queued, None
            self._take_piece(*queued)
        self._owner.lost(self)
        now = self._clock()
        # Before any byte of an answer, on a connection that had answered: closed for having been idle, or as good as.
        was_stale = self._idle_since and self._message is None
        if was_stale:
            self._idle_limit.observe(now - self._idle_since)
        if not self._waiting:
            return
        if self._message is not None and self._message.ended_by_close() and exc is None:
            self._finish(now)
        elif was_stale and self._owner.send_again(self._request):
            self.drop()
        elif isinstance(exc, ssl.SSLError):
            self._fail(tls_outcome_of(exc), now)
        elif isinstance(exc, OSError):
            self._fail(outcomes.CONNECTION_RESET, now)
        else:
            begun = self._message is not None
            self._fail(outcomes.CLOSED_MID_ANSWER if begun else outcomes.CLOSED_BEFORE_ANSWER, now)

    def _fail(self, outcome: str, now: int) -> None:
        # Dropped first, for the same reason as in `_finish`.
        self.drop()
        self._receiver.failed(outcome, now)

    def idle_since(self) -> int:
        """Return when the last answer ended; 0 while another one is awaited, and before the first one."""
        return 0 if self._waiting else self._idle_since

    def retire(self) -> None:
        """Close the connection, behind the answer under way if there is one."""
        if self._waiting:
            self._retiring = True
            # The answer is read in the way that looks whether it is the last.
            self._whole = False
        else:
            self.drop()

    def drop(self) -> None:
        """Close immediately and forget the exchange under way."""
        self._waiting = self._whole = False
        self._message = self._queued = None
        self._body.clear()
        self._idle_since = 0
        self._owner.lost(self)
        self._transport.abort()
