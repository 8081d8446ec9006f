"""The web server: a few threads for any number of connections, so that no client can keep another from being served.

Threads take turns at leading: the leader waits for all connections at once, accepts new ones and reads the heads of
requests as they arrive. It answers the first complete request itself, and another thread leads meanwhile, so that a
request costs no hand-over. Each connection has a deadline for whatever its client has to do next, and where there are
too many, the one that has waited longest for its client goes (limits in perfloop_base.web.limits).

Hand-written instead of http.server, whose documentation advises against use in production and which has none of this;
it takes half the CPU per response (`python benchmarks/exporter_http_server.py`).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import TYPE_CHECKING, Protocol

from perfloop_base.web.limits import Limits
from perfloop_exporter.web.connection import Connection, Waits
from perfloop_exporter.web.messages import (
    BadRequestError,
    Heads,
    Request,
    Response,
    render_response,
    text_response,
)
from perfloop_exporter.web.pool import Pool
from perfloop_exporter.web.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from perfloop_exporter.web.guard import Guard
    from perfloop_exporter.web.pool import Task

# Connections that the kernel may accept before the server does: a burst of clients must not wait for a retransmission.
BACKLOG = 1024
# A client that leaks connections keeps 512 at most. Prometheus keeps its connection open between scrapes; intervals
# above two minutes are rare. A response is some 60 kB, so 16 MiB are more slow clients than there are connections for.
LIMITS = Limits(idle_seconds=150.0, unsent_bytes=16 * 1024 * 1024)
# How long a rejected client may go on sending.
REJECTED_SECONDS = 1.0
# The same trouble is logged no more often.
QUIET_SECONDS = 60.0
# How long to wait where nothing can be accepted, and there is no connection to close for it.
RETRY_SECONDS = 0.05
# Threads that check passwords at a time, of some 50 ms each: who tries many must not keep out who is known.
SLOW_CHECKS = 2
# Accepts in a row, before the connections that are open get their turn.
ACCEPTS = 64

FAILURE = text_response(500, "Internal Server Error\n")

log = logging.getLogger(__name__)


class Statistics:
    """The numbers of the server's connections."""

    def __init__(self) -> None:
        self.open = 0
        self.dropped = {"deadline": 0, "limit": 0}


class Application(Protocol):
    """What is served."""

    def answer(self, request: Request) -> Response:
        """Return the response to a request that the guard has allowed."""

    def is_quick(self, request: Request) -> bool:
        """Return whether the response takes no time that matters to other clients."""

    def share_key(self, request: Request) -> Hashable:
        """Return what the response depends on: requests that wait and have an equal one are answered together.

        None for a request that shares its response with no other.
        """


class Server:
    """Accepts connections on every listener until it is stopped.

    Args:
        listeners: Listening sockets, which the server closes.
        application: Answers the requests that the guard has allowed.
        guard: Applied to every connection and request.
        limits: What clients may take.
        statistics: Kept up to date.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        application: Application,
        guard: Guard,
        limits: Limits = LIMITS,
        statistics: Statistics | None = None,
    ) -> None:
        self._application = application
        self._guard = guard
        self._limits = limits
        self._statistics = statistics or Statistics()
        self._pool = Pool(listeners, self._lead, self._work)
        self._most = limits.most_connections()
        self._waiting: dict[Connection, None] = {}  # the one that has waited longest comes first
        self._heads = Heads()
        self._turns: Turns[Task] = Turns(SLOW_CHECKS)
        self._stopping = False
        self._reported: dict[str, float] = {}
        self._tick = min(0.5, limits.head_seconds / 10, limits.patience_seconds / 10, limits.idle_seconds / 10)
        self._next_look = 0.0

    def start(self) -> None:
        """Accept connections, in threads.

        Raises:
            RuntimeError: Not one thread can be started.
        """
        self._pool.start()

    def stop(self, grace_seconds: float = 3.0) -> None:
        """Stop accepting, wait up to `grace_seconds` for the responses in progress, and close every connection."""
        self._stopping = True
        self._pool.stop_accepting()
        end = time.monotonic() + grace_seconds
        # Polled, since a condition variable would cost every request.
        while (self._pool.busy or any(one.waits is Waits.RESPONSE for one in list(self._waiting))) and (
            time.monotonic() < end
        ):
            time.sleep(0.01)
        self._pool.stop()
        for connection in [*self._waiting, *self._pool.busy]:
            self._close(connection)
        self._pool.release()

    # -- leading: one thread at a time

    def _lead(self) -> tuple[Connection, Request] | None:
        """Wait once for connections; return a request that takes long enough for another thread to lead meanwhile."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self._tick
            self._close_overdue(now)
        ready = self._pool.next_ready(self._tick if self._waiting or self._pool.busy else None)
        if ready is None:
            return None
        if not isinstance(ready, Connection):
            self._accept(ready)
            return None
        try:
            request = self._advance(ready)
            if request is None:
                return None
            self._waiting.pop(ready, None)
            if not (self._application.is_quick(request) and self._guard.is_quick(request)):
                return ready, request
            self._send((ready, request), self._refuse(request) or self._answer(request))
        except OSError as error:
            log.debug("connection ended", extra={"err": str(error)})
            self._close(ready)
        except Exception:  # the edge of the server: no connection can end the accepting
            log.exception("a connection could not be served")
            self._close(ready)
        return None

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # mostly: no descriptor is left
                if self._stopping:
                    return
                self._report("cannot accept connections, closing the one that has waited longest", error.strerror)
                if not self._make_space():
                    time.sleep(RETRY_SECONDS)
                return
            while len(self._waiting) + len(self._pool.busy) >= self._most and self._make_space():
                self._report("too many connections, closing those that have waited longest", str(self._most))
            if len(self._pool.busy) >= self._most:  # every one has a request that waits for a thread
                self._statistics.dropped["limit"] += 1
                accepted.close()
            else:
                self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        now = time.monotonic()
        try:
            accepted.setblocking(False)  # noqa: FBT003  # the one argument there is
            wrapped = self._guard.wrap(accepted)
        except OSError as error:
            log.debug("connection refused", extra={"err": str(error)})
            accepted.close()
            return
        self._wait(Connection(wrapped, now, now + self._limits.head_seconds))

    def _advance(self, connection: Connection) -> Request | None:
        """Do what the client has made possible; return a request once it is complete.

        Raises:
            OSError: The connection has ended.
        """
        waits, events = connection.waits, connection.events
        if waits is Waits.RESPONSE:
            if connection.send():
                self._after_response(connection)
            return None
        if waits is Waits.CLOSE:
            if connection.drain():
                raise ConnectionAbortedError("rejected")
            return None
        if waits is Waits.HANDSHAKE:
            if connection.shake():
                self._guard.check_client(connection.socket)
                connection.waits = Waits.HEAD
            elif connection.events != events:
                self._pool.watch(connection)
        return None if connection.waits is Waits.HANDSHAKE else self._read(connection)

    def _read(self, connection: Connection) -> Request | None:
        """Return the next request, or reject it, or wait for the rest of it.

        Raises:
            OSError: The connection has ended.
        """
        events = connection.events
        try:
            head = connection.read_head()
            if head is not None:
                return self._heads.parse(head)
        except BadRequestError as error:
            self._reject(connection, error)
            return None
        if connection.waits is not Waits.HEAD and connection.has_rest:
            self._wait(connection, Waits.HEAD, self._limits.head_seconds)
        elif connection.events != events or not connection.watched:
            self._pool.watch(connection)
        return None

    def _close_overdue(self, now: float) -> None:
        unsent = 0
        sending: list[Connection] = []
        for connection in list(self._waiting):
            if connection.deadline <= now:
                self._statistics.dropped["deadline"] += 1
                self._close(connection)
            elif connection.waits is Waits.RESPONSE:
                sending.append(connection)
                unsent += connection.unsent_bytes
        for connection in sending:
            if unsent <= self._limits.unsent_bytes:
                break
            unsent -= connection.unsent_bytes
            self._statistics.dropped["limit"] += 1
            self._close(connection)
        self._statistics.open = len(self._waiting) + len(self._pool.busy)

    def _make_space(self) -> bool:
        """Close the connection that has waited longest for its client; return whether there was one."""
        with contextlib.suppress(StopIteration, RuntimeError):  # another thread has just changed the dictionary
            oldest = next(iter(self._waiting))
            self._statistics.dropped["limit"] += 1
            self._close(oldest)
            return True
        return bool(self._waiting)

    # -- answering: as many threads as there are

    def _work(self, connection: Connection, request: Request) -> None:
        """Answer a request; whatever happens, the connection is then watched, or closed."""
        if self._guard.is_quick(request):
            self._respond((connection, request))
        elif self._turns.take((connection, request)):
            try:
                self._respond((connection, request))
            finally:
                for task in self._turns.give():
                    self._pool.later(*task)

    def _respond(self, task: Task) -> None:
        """Answer a request, and with the same response all that have the same answer and have arrived by now."""
        refused = self._refuse(task[1])
        if refused is not None:
            self._send(task, refused)
            return
        key = self._application.share_key(task[1])
        alike = self._pool.take_all(lambda other: key is not None and self._application.share_key(other) == key)
        response = self._answer(task[1])
        texts: dict[bool, bytes] = {}
        for one in (task, *alike):
            # The guard has not seen these yet; whoever has to wait for the check of a password does so.
            if one is not task and not self._guard.is_quick(one[1]):
                self._pool.later(*one)
                continue
            refused = None if one is task else self._refuse(one[1])
            self._send(one, refused or response, texts if refused is None else {})

    def _refuse(self, request: Request) -> Response | None:
        try:
            return self._guard.check(request)
        except Exception:  # the edge of the server: no request can end it
            log.exception("request failed", extra={"path": request.path})
            return FAILURE

    def _answer(self, request: Request) -> Response:
        try:
            return self._application.answer(request)
        except Exception:  # the edge of the server: no request can end it
            log.exception("request failed", extra={"path": request.path})
            return FAILURE

    def _send(self, task: Task, response: Response, texts: dict[bool, bytes] | None = None) -> None:
        """Send a response; `texts` has its bytes by whether the connection is kept, and is added to."""
        connection, request = task
        texts = {} if texts is None else texts
        try:
            keep_alive = request.keep_alive and not self._stopping
            text = texts.get(keep_alive)
            if text is None:
                headers = self._guard.with_headers(response.headers)
                with_body = request.method != "HEAD"
                text = render_response(response, headers=headers, keep_alive=keep_alive, with_body=with_body)
                texts[keep_alive] = text
            if connection.send(text, last=not keep_alive):
                self._after_response(connection)
            else:
                self._wait(connection, Waits.RESPONSE, self._limits.seconds_for(connection.unsent_bytes))
        except OSError as error:
            log.debug("connection ended", extra={"err": str(error)})
            self._close(connection)
        except Exception:  # the edge of the server: no connection can end a thread
            log.exception("a connection could not be served")
            self._close(connection)

    def _after_response(self, connection: Connection) -> None:
        """Wait for the next request, or answer it in turn where it has arrived already.

        Raises:
            OSError: The connection has ended.
        """
        if connection.is_last:
            self._close(connection)
        elif not connection.has_rest:
            self._wait(connection, Waits.IDLE, self._limits.idle_seconds)
        else:
            connection.waits = Waits.IDLE
            request = self._read(connection)
            if request is not None:
                self._waiting.pop(connection, None)
                self._pool.later(connection, request)

    def _reject(self, connection: Connection, error: BadRequestError) -> None:
        response = text_response(error.status, f"{error}\n")
        # Small enough for any send buffer: what does not fit is not waited for.
        connection.send(render_response(response, headers=self._guard.with_headers(()), keep_alive=False), last=True)
        connection.socket.shutdown(socket.SHUT_WR)
        self._wait(connection, Waits.CLOSE, REJECTED_SECONDS)

    # -- either

    def _wait(self, connection: Connection, waits: Waits | None = None, seconds: float = 0.0) -> None:
        """Wait for the client to do something within some seconds; None for what it was accepted for."""
        if waits is not None:
            connection.waits = waits
            connection.since = time.monotonic()
            connection.deadline = connection.since + seconds
            self._waiting.pop(connection, None)
        # First, and then the selector: from that moment on another thread may serve or close it.
        self._waiting[connection] = None
        self._pool.watch(connection)

    def _close(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._pool.close(connection)

    def _report(self, what: str, err: str | None) -> None:
        now = time.monotonic()
        if now - self._reported.get(what, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._reported[what] = now
            log.warning(what, extra={"err": err})
