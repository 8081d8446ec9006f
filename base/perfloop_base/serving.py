"""Serve an ASGI application on one address until SIGTERM or SIGINT, and end with exit code 0.

Every request passes the guard (web/asgi.py), and every connection has deadlines (web/accepting.py, web/limits.py):
uvicorn itself has neither a limit on connections that send nothing nor one on readers that take nothing.

Needs uvicorn, of the extras demo, inbox and analyzer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
from contextlib import AsyncExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.h11_impl import H11Protocol

from perfloop_base.addresses import bound_address
from perfloop_base.web.accepting import Acceptor
from perfloop_base.web.asgi import Guard
from perfloop_base.web.gate import Gate
from perfloop_base.web.headers import SECURITY
from perfloop_base.web.settings import DEFAULTS, Web

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp

    from perfloop_base.web.limits import Limits

# Below the five seconds after which a supervisor may kill the program.
_GRACE_SECONDS = 3
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Bytes of a request's line and headers; browsers with many cookies of other programs on the same host send some 10,000.
_HEAD_BYTES = 64 * 1024
# What uvicorn says once per bad request: a stranger could fill a disk with it.
_REPEATED = ("Invalid HTTP request", "Unsupported upgrade", "No supported WebSocket")

log = logging.getLogger(__name__)


class _Protocol(H11Protocol):
    """Uvicorn's HTTP/1.1 with the times that web/accepting.py enforces."""

    def __init__(self, *args: Any, gate: Gate, limits: Limits, on_lost: Callable[[], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._gate, self._limits, self._on_lost = gate, limits, on_lost
        self._idle_since = self._head_since = self.loop.time()
        self._body_since = self._unsent_since = math.inf
        self._received = self._unsent_at_first = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end where the client's certificate has none of the allowed names."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it to Transport
        certified = transport.get_extra_info("ssl_object")
        if certified is not None and not self._gate.is_allowed(certified):
            log.debug("connection refused: the client's certificate has none of client_allowed_sans")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; nothing that a client sends ends in more than a closed connection."""
        if self.transport.is_closing():
            return
        now = self.loop.time()
        if self._head_since == math.inf and self.conn.their_state is h11.IDLE:
            self._head_since = now
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001  # the edge: the protocol's states do not fit, as after a bad chunk
            log.debug("connection ended", extra={"err": repr(error)})
            self.abort()
            return
        self._note_phase(now, len(data))

    def _note_phase(self, now: float, received: int) -> None:
        """Note since when the client owes a head or a body, and how much of the body has come."""
        phase = self.conn.their_state
        if phase is not h11.IDLE:
            self._head_since = math.inf
        elif self._head_since == math.inf and self.conn.trailing_data[0]:
            self._head_since = now  # the next request has begun behind the one that was answered
        if phase is not h11.SEND_BODY:
            self._body_since = math.inf
        elif self._body_since == math.inf:
            self._body_since, self._received = now, received
        else:
            self._received += received

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads the answer, which uvicorn leaves out
        """Close, unless a whole request is being answered: its client may end its own side first."""
        if self.cycle is None or self.cycle.response_complete or self.conn.their_state is h11.SEND_BODY:
            return False
        self.cycle.keep_alive = False
        return self.scheme == "http"

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        now = self._idle_since = self.loop.time()
        if self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            # Requests that were sent before their answers: no browser and no scraper does it, and hundreds of them in
            # one packet would stand before everyone else's. Their client has to send them again.
            self.transport.close()
        super().on_response_complete()
        # The one deadline for idle connections is in web/accepting.py.
        self._unset_keepalive_if_required()
        self._note_phase(now, 0)

    def resume_writing(self) -> None:
        """Go on: the client has taken what was waiting."""
        self._unsent_since = math.inf
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request, unless a response is under way already."""
        if self.cycle is not None and not self.cycle.response_complete:
            # Whatever the application still sends is for nobody.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.abort()
            return
        body = f"{msg}\n".encode()
        own = (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        )
        response = h11.Response(status_code=400, headers=[*own, *SECURITY], reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def waits_since(self) -> float | None:
        """Return since when the client is waited for."""
        times = (self._head_since, self._body_since, self._unsent_since)
        if min(times) < math.inf:
            return min(times)
        if self.transport.is_closing() or self.cycle is None or self.cycle.response_complete:
            return self._idle_since
        return None

    def is_overdue(self, now: float) -> bool:
        """Return whether the client has had its time for a head, a body, a response, or for doing nothing."""
        limits, unsent = self._limits, self.unsent_bytes()
        if not unsent:
            self._unsent_since = math.inf
        elif self._unsent_since == math.inf:
            self._unsent_since, self._unsent_at_first = now, unsent
        is_read = self.flow is None or not self.flow.read_paused  # else the application is what is slow
        if now - self._unsent_since > limits.seconds_for(self._unsent_at_first):
            return True
        if self._head_since < math.inf:
            return now - self._head_since > limits.head_seconds
        if self._body_since < math.inf:
            return is_read and now - self._body_since > limits.seconds_for(self._received)
        is_idle = self.cycle is None or self.cycle.response_complete
        return is_idle and not unsent and now - self._idle_since > self._idle_limit()

    def _idle_limit(self) -> float:
        return self._limits.patience_seconds if self.transport.is_closing() else self._limits.idle_seconds

    def unsent_bytes(self) -> int:
        """Return how much of the responses waits in this process."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Server(uvicorn.Server):
    """Uvicorn with the guard and the deadlines; whoever runs it handles the signals, and decides on the exit code.

    Raises:
        ConfigError: The web configuration file is invalid.
    """

    def __init__(self, app: ASGIApp, web: Web, on_stop: Callable[[], None] = lambda: None) -> None:
        self._gate, self._limits, self._on_stop = Gate(web.config_file, web.extra), web.limits, on_stop
        super().__init__(
            uvicorn.Config(
                Guard(app, self._gate, web),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                lifespan="on",
                http=_Protocol,
                ws="none",
                h11_max_incomplete_event_size=_HEAD_BYTES,
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)

    @property
    def scheme(self) -> str:
        """`https` where the web configuration file has TLS, else `http`."""
        return "https" if self._gate.is_secure else "http"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = [Acceptor(listener, self._build, self._gate.context, self._limits) for listener in sockets or ()]  # type: ignore[misc]  # close and wait_closed are what uvicorn calls
        for acceptor in self.servers:
            acceptor.start()  # type: ignore[attr-defined]  # see above
        self.started = True

    def _build(self, on_lost: Callable[[], None]) -> _Protocol:
        return _Protocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            gate=self._gate,
            limits=self._limits,
            on_lost=on_lost,
        )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to who runs the server."""
        yield

    def stop(self) -> None:
        """Finish the requests in flight and end."""
        log.info("stopping")
        # In a thread: interrupting may take a moment, and the requests in flight need the loop meanwhile.
        Thread(target=self._on_stop, name="on-stop", daemon=True).start()
        self.should_exit = True


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_REPEATED)


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *companions: AbstractAsyncContextManager[object],
    on_stop: Callable[[], None] = lambda: None,
    web: Web = DEFAULTS,
) -> None:
    """Serve until a stop signal.

    Args:
        app: the application.
        listener: a listening socket, as `addresses.listen` returns.
        companions: entered before serving starts and left after it has ended.
        on_stop: called in a thread at the stop signal, to end what requests in flight wait for.
        web: how the pages are protected.

    Raises:
        ConfigError: the web configuration file is invalid.
    """
    server = Server(app, web, on_stop)
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, server.stop)
    async with AsyncExitStack() as stack:
        for companion in companions:
            await stack.enter_async_context(companion)
        log.info("listening", extra={"address": str(bound_address(listener))})
        await server.serve(sockets=[listener])
