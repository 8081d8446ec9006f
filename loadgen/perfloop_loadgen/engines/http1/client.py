"""A client of one connection at a time, made when a request needs it."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes
from perfloop_loadgen.config.model import MAX_BODY_BYTES
from perfloop_loadgen.engines.http1.backlog import Backlog
from perfloop_loadgen.engines.http1.connection import Connection, Shared
from perfloop_loadgen.engines.http1.head import Heads
from perfloop_loadgen.engines.resolving import resolve

if TYPE_CHECKING:
    from perfloop_loadgen.ports import Clock, Receiver
    from perfloop_loadgen.scenario.request import Request, Target

_BY_ERRNO = {
    errno.ECONNREFUSED: outcomes.CONNECTION_REFUSED,
    errno.ECONNRESET: outcomes.CONNECTION_RESET,
    errno.EHOSTUNREACH: outcomes.UNREACHABLE,
    errno.ENETUNREACH: outcomes.UNREACHABLE,
    errno.EADDRNOTAVAIL: outcomes.NO_PORTS,
    errno.EMFILE: outcomes.NO_FILE_DESCRIPTORS,
    errno.ENFILE: outcomes.NO_FILE_DESCRIPTORS,
    errno.ETIMEDOUT: outcomes.CONNECT_TIMEOUT,
}


class Http1Engine:
    """HTTP/1.1 with keep-alive, TLS, chunked and streamed bodies; no redirects, no pipelining."""

    def __init__(
        self,
        target: Target,
        timeout_seconds: float,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.target = target
        self.timeout_seconds = timeout_seconds
        self.clock = clock
        self.tls = (tls or ssl.create_default_context()) if target.scheme == "https" else None
        self.shared = Shared(Heads(), clock, Backlog(clock), max_body_bytes)
        self.address: tuple[str, int] = ("", 0)

    async def open(self) -> None:
        """Resolve the name once: a run measures the service, not the resolver.

        Raises:
            TargetError: the host does not resolve.
        """
        self.address = await resolve(self.target, self.timeout_seconds)

    def client(self, receiver: Receiver) -> Http1Client:
        """Return a new client that reports to the receiver."""
        return Http1Client(self, receiver)

    async def close(self) -> None:
        """Do nothing: only the clients hold connections."""


class Http1Client:
    """Holds at most one connection; sends on it, or connects first."""

    __slots__ = ("_connection", "_engine", "_receiver", "_task")

    def __init__(self, engine: Http1Engine, receiver: Receiver) -> None:
        self._engine = engine
        self._receiver = receiver
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def send(self, request: Request) -> None:
        """Start an exchange."""
        connection = self._connection
        if connection is not None:
            connection.send(request)
        else:
            self._task = asyncio.get_running_loop().create_task(self._connect_and_send(request))

    def abort(self) -> bool:
        """Give up the exchange under way; the next one takes a new connection."""
        connecting = self._task is not None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._connection is not None:
            self._connection.drop()
        return connecting

    def close(self) -> None:
        """Close the connection."""
        self.abort()

    async def _connect_and_send(self, request: Request) -> None:
        try:
            connection = await self._connect()
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            self._task = None
            self._receiver.failed(outcome_of(error), self._engine.clock())
            return
        self._task = None
        self._connection = connection
        connection.send_first(request)

    async def _connect(self) -> Connection:
        engine = self._engine
        host, port = engine.address
        began = engine.clock()
        loop = asyncio.get_running_loop()
        # The run looks for timeouts only twenty times a second.
        async with asyncio.timeout(engine.timeout_seconds):
            if engine.tls is None:
                _, connection = await loop.create_connection(self._build, host, port)
                self._receiver.connected(engine.clock() - began, 0)
                return connection
            # TCP and TLS one after the other, so that each has its time.
            line = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            try:
                line.setblocking(False)  # noqa: FBT003 - the name of the parameter says no more
                await loop.sock_connect(line, (host, port))
                opened = engine.clock()
                _, connection = await loop.create_connection(
                    self._build, sock=line, ssl=engine.tls, server_hostname=engine.target.host
                )
            except BaseException:
                line.close()
                raise
        self._receiver.connected(opened - began, engine.clock() - opened)
        return connection

    def _build(self) -> Connection:
        return Connection(self._receiver, self._engine.shared, self._forget)

    def _forget(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None


def outcome_of(error: OSError | ValueError) -> str:
    """Return the outcome of a connection that could not be made."""
    if not isinstance(error, OSError):
        return outcomes.CONNECT_FAILED  # a name that TLS cannot carry
    if isinstance(error, ssl.SSLCertVerificationError):
        return outcomes.TLS_CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return outcomes.TLS_FAILED
    if isinstance(error, socket.gaierror):
        return outcomes.DNS_FAILED
    # Without a number it is asyncio's timeout; with one it is the kernel's ETIMEDOUT, below.
    if isinstance(error, TimeoutError) and error.errno is None:
        return outcomes.CONNECT_TIMEOUT
    return _BY_ERRNO.get(error.errno or 0, outcomes.CONNECT_FAILED)
