"""The web server: one thread per connection, each request answered whole, nothing left open when it stops."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol

from perfloop_exporter.errors import ListenError
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

# Prometheus keeps its connection between scrapes; intervals above two minutes are rare.
IDLE_SECONDS = 150.0
# What a scraper has to finish a handshake, and to take in an answer.
PATIENCE_SECONDS = 10.0
CONNECTIONS = 256
BACKLOG = 128
# How long and how much a refused client may still send before it is cut off.
REFUSAL_SECONDS, REFUSAL_CHUNKS = 1.0, 64

log = logging.getLogger("exporter.web.server")


class Gate(Protocol):
    """What stands before the answers: TLS, passwords, headers."""

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The connection as it is to be spoken on; raise OSError to refuse it."""

    def check(self, request: Request) -> Response | None:
        """The refusal, or None when the request may pass."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every answer carries."""


class OpenGate:
    """No TLS, no passwords."""

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The plain connection."""
        return connection

    def check(self, request: Request) -> Response | None:  # noqa: ARG002  # everybody may pass
        """No refusal."""
        return None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """None."""
        return ()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` or `[HOST]:PORT`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  # the highest port
        raise ListenError(f"--web.listen-address: '{address}' is not HOST:PORT with a port from 0 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


def listen(address: str) -> socket.socket:
    """A listening socket; `:PORT` listens on every address of the machine."""
    host, port = split_address(address)
    everywhere = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=everywhere)
    except OSError as error:
        why = str(error.strerror).partition(" (while ")[0]  # Python says the address a second time there
        raise ListenError(f"--web.listen-address: cannot listen on {address}: {why}") from error


class Server:
    """Accepts on every listener until it is stopped."""

    def __init__(self, listeners: Sequence[socket.socket], answer: Callable[[Request], Response], gate: Gate) -> None:
        self._listeners = tuple(listeners)
        self._answer = answer
        self._gate = gate
        self._connections: set[socket.socket] = set()
        self._answering = 0
        self._stopping = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Accept in the background."""
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()

    def stop(self, grace_seconds: float = 3.0) -> None:
        """Accept no more, let the answers under way go out, close what is left."""
        self._stopping = True
        for listener in self._listeners:
            # close() alone would leave the accepting thread asleep on the descriptor.
            _shut_down(listener)
            listener.close()
        end = time.monotonic() + grace_seconds
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
                    log.error("cannot accept a connection", extra={"why": error.strerror})  # noqa: TRY400  # no trace needed
                    time.sleep(0.1)  # out of descriptors: give others time to close theirs
                continue
            if len(self._connections) >= CONNECTIONS:
                connection.close()
                continue
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._attend, args=(connection,), name="serve", daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        spoken = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(PATIENCE_SECONDS)
            spoken = self._gate.wrap(connection)
            self._converse(spoken)
        except OSError as error:
            log.debug("connection ended", extra={"why": str(error)})
        finally:
            with self._lock:
                self._connections.discard(connection)
            spoken.close()
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        rest, keep_alive = b"", True
        while keep_alive and not self._stopping:
            connection.settimeout(IDLE_SECONDS)
            try:
                head, rest = read_head(connection.recv, rest)
                if not head:
                    return
                request = parse_request(head)
            except BadRequestError as error:
                _refuse(connection, error)
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
        except Exception:  # the edge of the server: one request cannot end it
            log.exception("cannot answer", extra={"path": request.path})
            response = text_response(500, "Internal Server Error\n")
        return render_response(response, keep_alive=request.keep_alive, with_body=request.method != "HEAD")


def _refuse(connection: socket.socket, error: BadRequestError) -> None:
    connection.settimeout(REFUSAL_SECONDS)
    connection.sendall(render_response(text_response(error.status, f"{error}\n"), keep_alive=False))
    connection.shutdown(socket.SHUT_WR)
    # To close with bytes unread would be a reset, which can overtake the answer.
    for _ in range(REFUSAL_CHUNKS):
        if not connection.recv(HEAD_LIMIT):
            return


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was quicker
        return
