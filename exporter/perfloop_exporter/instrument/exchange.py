"""One request and its response: wraps ASGI receive and send, and passes every message on unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SPILL_CHUNKS = 256
# nginx's status for a client that closed the connection before the response began.
CLIENT_CLOSED = 499


class Exchange:
    """Measures one request between server and app; a failure in here never affects the messages.

    Times are of perf_counter, in seconds; `received` and `sent` are bytes of bodies; `gaps` are the seconds between
    chunks. `spill` is called when SPILL_CHUNKS chunks have been sent, to count them and set them back to 0.
    """

    __slots__ = (
        "_receive",
        "_send",
        "_spill",
        "chunks",
        "complete_at",
        "disconnected",
        "failure",
        "first_byte_at",
        "gaps",
        "last_chunk_at",
        "received",
        "root_path",
        "scope",
        "sent",
        "started_at",
        "status",
    )

    def __init__(self, receive: Receive, send: Send, scope: Scope, spill: Callable[[Exchange], None]) -> None:
        self._receive = receive
        self._send = send
        self._spill = spill
        self.scope = scope
        # Mounts extend it; the difference to the start is their part of the path.
        self.root_path: str = scope.get("root_path", "")
        self.status: int | None = None
        self.received = 0
        self.sent = 0
        self.chunks = 0
        self.gaps: list[float] | None = None
        self.disconnected = False
        self.failure: Exception | None = None
        self.first_byte_at = 0.0
        self.last_chunk_at = 0.0
        self.complete_at = 0.0
        self.started_at = perf_counter()

    async def receive(self) -> Message:
        """Receive for the app."""
        message = await self._receive()
        try:
            if message["type"] == "http.request":
                self.received += len(message.get("body", b""))
            elif not self.complete_at:
                self.disconnected = True
        except Exception as error:  # noqa: BLE001 - measuring must not fail the request
            self.failure = error
        return message

    async def send(self, message: Message) -> None:
        """Send for the app."""
        last = False
        try:
            kind = message["type"]
            if kind == "http.response.body":
                last = self._count_body(message)
            elif kind == "http.response.start":
                self.status = CLIENT_CLOSED if self.disconnected else message["status"]
            elif kind == "http.response.pathsend":
                last = True
        except Exception as error:  # noqa: BLE001 - measuring must not fail the request
            self.failure = error
        try:
            await self._send(message)
        except OSError:
            # How servers report a disconnected client (ASGI spec version 2.4).
            self.disconnected = True
            raise
        if last:
            # Starlette's background tasks run after this within the same call; the client does not wait for them.
            self.complete_at = perf_counter()

    def _count_body(self, message: Message) -> bool:
        body = message.get("body", b"")
        if body:
            now = perf_counter()
            self.sent += len(body)
            self.chunks += 1
            if not self.first_byte_at:
                self.first_byte_at = now
            elif self.gaps is None:
                self.gaps = [now - self.last_chunk_at]
            else:
                self.gaps.append(now - self.last_chunk_at)
            self.last_chunk_at = now
            if self.chunks >= SPILL_CHUNKS:
                # A stream may last for hours: counting it in portions bounds the memory of `gaps`.
                self._spill(self)
        return not message.get("more_body", False)

    def first_byte_seconds(self) -> float:
        """Return the seconds to the first byte of the response's body, or to its end where the body is empty."""
        return (self.first_byte_at or self.complete_at) - self.started_at
