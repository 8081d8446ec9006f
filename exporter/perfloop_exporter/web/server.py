"""The web server: a thread per connection; stopping finishes the requests in progress and closes the rest.

Hand-written instead of http.server, whose documentation advises against use in production: what the exporter needs
(a TLS context that changes while it runs, a handshake that cannot block accepting, limits on connections and request
heads, a stop that closes idle connections) would override most of it, and it takes 0.3 to 0.45 times the CPU per
response (`python benchmarks/exporter_http_server.py`).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol

from perfloop_exporter.web.messages import (
    HEAD_LIMIT,
    BadRequestError,
    Request,
    Response,
    parse_request,
    read_head,
    render_response,
    text_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Prometheus keeps its connection open between scrapes; intervals above two minutes are rare.
IDLE_SECONDS = 150.0
# Limit for a TLS handshake, and for sending a response.
PATIENCE_SECONDS = 10.0
# Each connection has a thread: clients that leak connections must not use up the memory.
MAX_CONNECTIONS = 256
# Connections that the kernel may accept before the server does.
BACKLOG = 128
# How long, and how many chunks, a rejected client may still send before the connection is closed.
REJECTED_SECONDS, REJECTED_CHUNKS = 1.0, 64

log = logging.getLogger(__name__)


class Gate(Protocol):
    """TLS, authentication and response headers, applied before a request is handled."""

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return the connection to use, such as a TLS one; raise OSError to refuse it."""

    def check(self, request: Request) -> Response | None:
        """Return the error response, or None when the request is allowed."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that every response has."""


class OpenGate:
    """No TLS, no authentication."""

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return the plain connection."""
        return connection

    def check(self, request: Request) -> Response | None:  # noqa: ARG002  # every request is allowed
        """Allow the request."""
        return None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return no headers."""
        return ()


class Server:
    """Accepts connections on every listener until it is stopped.

    Args:
        listeners: Listening sockets, which the server closes.
        answer: Returns the response to a request that the gate has allowed.
        gate: Applied to every connection and request.
    """

    def __init__(self, listeners: Sequence[socket.socket], answer: Callable[[Request], Response], gate: Gate) -> None:
        self._listeners = tuple(listeners)
        self._answer = answer
        self._gate = gate
        self._connections: set[socket.socket] = set()
        self._answering = 0
        self._stopping = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Accept connections, in threads."""
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()

    def stop(self, grace_seconds: float = 3.0) -> None:
        """Stop accepting, wait up to `grace_seconds` for the responses in progress, and close every connection."""
        self._stopping = True
        for listener in self._listeners:
            # close() alone would leave the accepting thread blocked on the descriptor.
            _shut_down(listener)
            listener.close()
        end = time.monotonic() + grace_seconds
        # Polled, since a condition variable would cost every request.
        while self._answering and time.monotonic() < end:
            time.sleep(0.01)
        with self._lock:
            open_connections = list(self._connections)
        for connection in open_connections:
            _shut_down(connection)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not self._stopping:
                    log.error("cannot accept connections", extra={"err": error.strerror})  # noqa: TRY400  # no trace needed
                    time.sleep(0.1)  # out of descriptors: wait until connections are closed
                continue
            if len(self._connections) >= MAX_CONNECTIONS:
                connection.close()
                continue
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="serve", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        wrapped = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(PATIENCE_SECONDS)
            wrapped = self._gate.wrap(connection)
            self._handle(wrapped)
        except OSError as error:
            log.debug("connection ended", extra={"err": str(error)})
        finally:
            with self._lock:
                self._connections.discard(connection)
            wrapped.close()
            connection.close()

    def _handle(self, connection: socket.socket) -> None:
        rest, keep_alive = b"", True
        while keep_alive and not self._stopping:
            connection.settimeout(IDLE_SECONDS)
            try:
                head, rest = read_head(connection.recv, rest)
                if not head:
                    return
                request = parse_request(head)
            except BadRequestError as error:
                _reject(connection, error)
                return
            connection.settimeout(PATIENCE_SECONDS)
            keep_alive = request.keep_alive
            with self._lock:
                self._answering += 1
            try:
                connection.sendall(self._reply(request))
            finally:
                with self._lock:
                    self._answering -= 1

    def _reply(self, request: Request) -> bytes:
        try:
            response = self._gate.check(request) or self._answer(request)
            response = response._replace(headers=(*response.headers, *self._gate.headers()))
        except Exception:  # the edge of the server: no request can end it
            log.exception("request failed", extra={"path": request.path})
            response = text_response(500, "Internal Server Error\n")
        return render_response(response, keep_alive=request.keep_alive, with_body=request.method != "HEAD")


def _reject(connection: socket.socket, error: BadRequestError) -> None:
    connection.settimeout(REJECTED_SECONDS)
    connection.sendall(render_response(text_response(error.status, f"{error}\n"), keep_alive=False))
    connection.shutdown(socket.SHUT_WR)
    # Closing a connection with unread bytes sends a reset, which can overtake the response.
    for _ in range(REJECTED_CHUNKS):
        if not connection.recv(HEAD_LIMIT):
            return


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client has closed it already
        return
