"""One TCP connection and the exchange under way on it: the hot path of the whole program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from loadgen import outcomes
from loadgen.engines.http1.head import HEAD_END, Heads, Malformed
from loadgen.engines.http1.message import Message
from loadgen.ports import Clock, Head, Receiver
from loadgen.scenario.request import Request


class Connection(asyncio.Protocol):
    """Sends a request, reads its answer, tells the receiver; `lost` is called when it cannot be used again."""

    __slots__ = (
        "_bodiless",
        "_clock",
        "_heads",
        "_lost",
        "_message",
        "_parts",
        "_receiver",
        "_streams",
        "_transport",
        "_waiting",
        "_wants_body",
        "_write",
    )

    def __init__(self, receiver: Receiver, heads: Heads, clock: Clock, lost: Callable[[Connection], None]) -> None:
        self._receiver = receiver
        self._heads = heads
        self._clock = clock
        self._lost = lost
        self._waiting = False
        self._message: Message | None = None
        self._parts: list[bytes] = []
        self._wants_body = self._streams = self._bodiless = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write

    def send(self, request: Request) -> None:
        """Write a request; its answer goes to the receiver."""
        self._waiting = True
        self._wants_body = request.wants_body
        self._streams = request.streams
        self._bodiless = request.bodiless
        self._write(request.wire)

    def data_received(self, data: bytes) -> None:
        """Take bytes. Nearly always they are one whole answer with a head seen before."""
        if self._message is None and self._waiting and not self._streams:
            end = data.find(HEAD_END)
            head = self._heads.get(data[:end])
            if head is not None and head.length == len(data) - end - 4 and head.keep_alive:
                self._waiting = False
                body = data[end + 4 :] if self._wants_body else b""
                self._receiver.answered(head, len(data), body, self._clock())
                return
        self._read_on(data)

    def _read_on(self, data: bytes) -> None:
        now = self._clock()
        if not self._waiting:
            # Nobody asked: the connection cannot be trusted with the next request.
            self.drop()
            return
        if self._message is None:
            self._message = Message(self._heads, bodiless=self._bodiless)
        try:
            pieces = self._message.feed(data)
        except Malformed as error:
            self._fail(error.outcome, now)
            return
        self._take(pieces, now)
        if self._message is not None and self._message.done:
            self._finish(now)

    def _take(self, pieces: list[bytes], now: int) -> None:
        if self._wants_body:
            self._parts += pieces
        if self._streams:
            for piece in pieces:
                self._receiver.received(piece, now)

    def _finish(self, now: int) -> None:
        message = self._message
        if message is None or message.head is None:
            return
        if message.rest:
            self._fail(outcomes.EXCESS_BYTES, now)
            return
        body, self._parts = b"".join(self._parts), []
        self._message = None
        self._waiting = False
        if not message.head.keep_alive or message.head.length == Head.UNTIL_CLOSE:
            self.drop()
        self._receiver.answered(message.head, message.size, body, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Name the loss if an answer was awaited."""
        self._lost(self)
        if not self._waiting:
            return
        now = self._clock()
        if self._message is not None and self._message.ended_by_close() and exc is None:
            self._finish(now)
        elif isinstance(exc, OSError):
            self._fail(outcomes.CONNECTION_RESET, now)
        else:
            begun = self._message is not None
            self._fail(outcomes.CLOSED_MID_ANSWER if begun else outcomes.CLOSED_BEFORE_ANSWER, now)

    def _fail(self, outcome: str, now: int) -> None:
        self.drop()
        self._receiver.failed(outcome, now)

    def drop(self) -> None:
        """Close at once and forget the exchange under way."""
        self._waiting = False
        self._message = None
        self._parts = []
        self._lost(self)
        self._transport.abort()

    @property
    def peer(self) -> Any:
        """Return the address that is spoken to."""
        return self._transport.get_extra_info("peername")
