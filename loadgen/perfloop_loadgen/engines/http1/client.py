"""A client of one connection at a time, made when a request needs it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from perfloop_loadgen.config.model import MAX_BODY_BYTES
from perfloop_loadgen.engines.addresses import rebalance
from perfloop_loadgen.engines.dialing import Dialer, speak
from perfloop_loadgen.engines.failures import outcome_of
from perfloop_loadgen.engines.http1.backlog import Backlog
from perfloop_loadgen.engines.http1.connection import Connection, Shared
from perfloop_loadgen.engines.http1.head import Heads
from perfloop_loadgen.engines.idle import IdleLimit, Sweep

if TYPE_CHECKING:
    from perfloop_loadgen.engines.dialing import Route, Tls
    from perfloop_loadgen.ports import Clock, Receiver
    from perfloop_loadgen.scenario.request import Request


class Http1Engine:
    """HTTP/1.1 with keep-alive, TLS, chunked and streamed bodies; no redirects, no pipelining.

    Args:
        route: the way to the service.
        timeout_seconds: for connecting; the run looks after that of each exchange.
        clock: in nanoseconds.
        tls: None for clear text.
        max_body_bytes: how much of a body is kept for checks and extracts.
    """

    def __init__(
        self,
        route: Route,
        timeout_seconds: float,
        clock: Clock,
        tls: Tls | None = None,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.dialer = Dialer(route, timeout_seconds)
        self.timeout_seconds = timeout_seconds
        self.clock = clock
        self.tls = tls
        self._sweep = Sweep(self._close_idle)
        idle = IdleLimit(self._sweep.start)
        self._idle = idle
        on_wire = None
        if route.proxy is not None and not route.tunnels:
            on_wire = partial(route.proxy.absolute, authority=route.authority)
        self.shared = Shared(Heads(idle.announce), clock, Backlog(clock), max_body_bytes, idle, on_wire)
        self._clients: list[Http1Client] = []

    async def open(self) -> None:
        """Resolve the name.

        Raises:
            TargetError: the host does not resolve.
        """
        await self.dialer.open(self._renew)

    def client(self, receiver: Receiver) -> Http1Client:
        """Return a new client that reports to the receiver."""
        client = Http1Client(self, receiver)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Stop looking after connections; the clients hold and close them."""
        self._sweep.stop()
        await self.dialer.close()

    def _renew(self, addresses: list[str]) -> list[str]:
        clients, taken = rebalance(self._clients, addresses)
        for client in clients:
            client.renew()
        return taken

    def _close_idle(self) -> int:
        """Close what has been idle for nearly as long as the server keeps it; return the limit."""
        limit = self._idle.nanoseconds
        before = self.clock() - limit
        for client in self._clients:
            client.close_idle(before)
        return limit


class Http1Client:
    """Holds at most one connection; sends on it, or connects first."""

    __slots__ = ("_connection", "_engine", "_receiver", "_task")

    def __init__(self, engine: Http1Engine, receiver: Receiver) -> None:
        self._engine = engine
        self._receiver = receiver
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def peer(self) -> str:
        """Return the address that the client is connected to; empty if it is not."""
        return "" if self._connection is None else self._connection.peer

    def send(self, request: Request) -> None:
        """Start an exchange."""
        connection = self._connection
        if connection is not None:
            connection.send(request)
        else:
            self._task = asyncio.get_running_loop().create_task(self._connect_and_send(request))

    def send_again(self, request: Request) -> bool:
        """Send a request that had no byte of an answer on a fresh connection, if it may be; return whether.

        A fresh connection cannot have been closed for being idle, so this happens once a request.
        """
        if not request.is_idempotent:
            return False
        self._receiver.retried()
        self._task = asyncio.get_running_loop().create_task(self._connect_and_send(request))
        return True

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

    def close_idle(self, before: int) -> None:
        """Close the connection if its last answer ended before that moment."""
        connection = self._connection
        if connection is not None and 0 < connection.idle_since() < before:
            connection.drop()

    def renew(self) -> None:
        """Take a new connection for the next request."""
        if self._connection is not None:
            self._connection.retire()

    def lost(self, connection: Connection) -> None:
        """Do not use the connection again."""
        if self._connection is connection:
            self._connection = None

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
        began = engine.clock()
        direct = engine.dialer.direct if engine.tls is None else None
        # The run looks for timeouts only twenty times a second.
        async with asyncio.timeout(engine.timeout_seconds):
            if direct is not None:
                _, connection = await asyncio.get_running_loop().create_connection(
                    partial(self._build, direct.text), *direct.sockaddr[:2]
                )
                opened = ready = engine.clock()
            else:
                # TCP and TLS one after the other, so that each has its time.
                line, peer = await engine.dialer.connect()
                opened = engine.clock()
                connection = await speak(partial(self._build, peer), line, engine.tls)
                ready = opened if engine.tls is None else engine.clock()
        self._receiver.connected(opened - began, ready - opened)
        return connection

    def _build(self, peer: str) -> Connection:
        return Connection(self._receiver, self._engine.shared, self, peer)
