"""One request and its response, watched as they pass: every message goes through unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SPILL_CHUNKS = 256
# What nginx logs for a client that left before the response began.
CLIENT_CLOSED = 499


class Exchange:
    """Stands between the server and the app; its notes can fail, the messages still pass."""

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
        # Mounts make it longer; what it was tells their part.
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
        """What the app calls for the request's body."""
        message = await self._receive()
        try:
            if message["type"] == "http.request":
                self.received += len(message.get("body", b""))
            elif not self.complete_at:
                self.disconnected = True
        except Exception as error:  # noqa: BLE001 - notes must not fail the request
            self.failure = error
        return message

    async def send(self, message: Message) -> None:
        """What the app calls with the response."""
        last = False
        try:
            kind = message["type"]
            if kind == "http.response.body":
                last = self._note_body(message)
            elif kind == "http.response.start":
                self.status = CLIENT_CLOSED if self.disconnected else message["status"]
            elif kind == "http.response.pathsend":
                last = True
        except Exception as error:  # noqa: BLE001 - notes must not fail the request
            self.failure = error
        try:
            await self._send(message)
        except OSError:
            # The server's word for a client that is gone (ASGI 2.4).
            self.disconnected = True
            raise
        if last:
            # Background tasks run after this, inside the same call: they are not the client's wait.
            self.complete_at = perf_counter()

    def _note_body(self, message: Message) -> bool:
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
                # A stream may last for hours: it is counted as it goes, and its notes stay small.
                self._spill(self)
        return not message.get("more_body", False)

    def first_byte_seconds(self) -> float:
        """From the request to the response's first byte, or to its end where it has no byte."""
        return (self.first_byte_at or self.complete_at) - self.started_at
