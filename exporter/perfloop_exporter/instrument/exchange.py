"""One request and its response: wraps ASGI receive and send, and passes every message on unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from perfloop_exporter.instrument.traces import current_span
from perfloop_exporter.instrument.waits import WorkClock

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SPILL_CHUNKS = 256
# nginx's status for a client that closed the connection before the response began.
CLIENT_CLOSED = 499
# Responses to a GET that last until one side leaves: a subscription (https://html.spec.whatwg.org/multipage/#the-eventsource-interface
# knows no other method), or a camera's pictures. Their client waits for events, not for the response's end.
_SUBSCRIPTIONS = (b"text/event-stream", b"multipart/x-mixed-replace")
# OpenTelemetry's error.type of ASGI servers for an app that returns before its response is complete.
_INCOMPLETE = "incomplete_response"
_SERVER_ERROR = 500


class Exchange:
    """Measures one request between server and app; a failure in here never affects the messages.

    Times are of `clock`, in seconds; `received` and `sent` are bytes of bodies; `gaps` are the seconds between chunks;
    `error` is what the app raised, and `broke_inside` that it did so within a response which a middleware has then
    completed; `span` is the context of OpenTelemetry's span in which the response began. `spill` is called when
    SPILL_CHUNKS chunks have been sent, to count them and set them back to 0.
    """

    __slots__ = (
        "_receive",
        "_send",
        "_spill",
        "app",
        "broke_inside",
        "chunks",
        "clock",
        "complete_at",
        "disconnected",
        "error",
        "failure",
        "first_byte_at",
        "gaps",
        "last_chunk_at",
        "received",
        "root_path",
        "scope",
        "sent",
        "span",
        "started_at",
        "status",
        "subscribed",
    )

    def __init__(self, receive: Receive, send: Send, scope: Scope, spill: Callable[[Exchange], None]) -> None:
        self._receive = receive
        self._send = send
        self._spill = spill
        self.scope = scope
        # Mounts extend it; the difference to the start is their part of the path.
        self.root_path: str = scope.get("root_path", "")
        self.app = scope.get("app")
        self.status: int | None = None
        self.received = 0
        self.sent = 0
        self.chunks = 0
        self.gaps: list[float] | None = None
        self.disconnected = False
        self.subscribed = False
        self.failure: Exception | None = None
        self.error: BaseException | None = None
        self.broke_inside = False
        self.span: Any = None
        self.first_byte_at = 0.0
        self.last_chunk_at = 0.0
        self.complete_at = 0.0
        self.clock = WorkClock()
        self.started_at = self.clock.now()

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
                # Now: the span of the application's own tracing has ended by the time that the call returns.
                self.span = current_span()
                if self.scope["method"] == "GET":
                    self._note_subscription(message)
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
            self.complete_at = self.clock.now()

    def _note_subscription(self, message: Message) -> None:
        for name, value in message.get("headers") or ():
            if len(name) == len(b"content-type") and name.lower() == b"content-type":
                self.subscribed = value.lower().startswith(_SUBSCRIPTIONS)
                if self.subscribed:
                    self.clock.begin_wait()  # until its end: what follows are events, when there are any
                return

    def _count_body(self, message: Message) -> bool:
        body = message.get("body", b"")
        if body:
            now = self.clock.now()
            self.sent += len(body)
            self.chunks += 1
            if not self.first_byte_at:
                self.first_byte_at = now
            elif self.subscribed:
                pass  # between two events lies whatever happens in the world
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

    def error_type(self, status: int) -> str:
        """Return OpenTelemetry's `error.type`: what the app raised, or the status; empty for a success."""
        if self.complete_at and self.error is None and status < _SERVER_ERROR:  # nearly always
            return ""
        cut = not self.complete_at or self.broke_inside
        if self.disconnected and status < _SERVER_ERROR:
            return ""
        if self.error is not None and (cut or status >= _SERVER_ERROR):
            return type(_innermost(self.error)).__qualname__
        if cut:
            return _INCOMPLETE
        return str(status) if status >= _SERVER_ERROR else ""

    def left_waiting(self) -> bool:
        """Return whether the client left while the request waited as it was asked to: nobody has given up."""
        return self.disconnected and self.clock.waited_seconds() > self.clock.now() - self.started_at


def _innermost(error: BaseException) -> BaseException:
    # Task groups, which middlewares and streams use, wrap what one of their tasks raised.
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
