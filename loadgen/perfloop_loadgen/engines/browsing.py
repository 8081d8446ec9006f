"""What a browser does beyond one request: it follows redirects, and keeps cookies.

Both stand between a lane and the client of its engine, so that a test that wants neither has nothing of it: to the lane
a chain of redirects is one request, with the time and the bytes of all of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_base.errors import PerfloopError
from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.cookies import CookieJar
from perfloop_loadgen.engines.redirects import next_hop

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.ports import Client, Clock, Engine, Head, Receiver
    from perfloop_loadgen.scenario.request import Request, Target

# Browsers allow 20 (Fetch standard): a chain of more than a few is a loop.
MOST_REDIRECTS = 10
# A service that redirects to ever new hosts would have the generator connect to all of them.
_MOST_ORIGINS = 16


@dataclass(frozen=True, slots=True)
class Habits:
    """Which of a browser's habits a test has."""

    follows: bool
    keeps_cookies: bool


class BrowsingEngine:
    """An engine whose clients follow redirects and keep cookies.

    Args:
        engine: the engine of the service under test.
        target: that service.
        habits: what the clients do.
        build: makes the engine of another origin, which a redirect leads to.
        clock: the run's clock, in nanoseconds.
    """

    def __init__(
        self, engine: Engine, target: Target, habits: Habits, build: Callable[[Target], Engine], clock: Clock
    ) -> None:
        self.engine = engine
        # Without the path of the base URL: a redirect names a whole path.
        self.origin = replace(target, prefix="")
        self.habits = habits
        self.clock = clock
        self._build = build
        self._others: dict[Target, asyncio.Task[Engine]] = {}

    async def open(self) -> None:
        """Prepare the engine of the service under test; others are prepared when a redirect leads to them."""
        await self.engine.open()

    def client(self, receiver: Receiver) -> BrowsingClient:
        """Return a new client that reports to the receiver."""
        return BrowsingClient(self, receiver)

    def may_go_to(self, origin: Target) -> bool:
        """Return whether a redirect to an origin may be followed."""
        return origin == self.origin or origin in self._others or len(self._others) < _MOST_ORIGINS

    async def at(self, origin: Target) -> Engine:
        """Return the engine of another origin, ready to send.

        Raises:
            PerfloopError: its host does not resolve, or it cannot be spoken to as the test asks for.
        """
        if origin not in self._others:
            self._others[origin] = asyncio.get_running_loop().create_task(_opened(self._build, origin))
        # Shielded: one user whose time is up must not take the engine from the others.
        return await asyncio.shield(self._others[origin])

    async def close(self) -> None:
        """Close every engine."""
        await self.engine.close()
        for task in self._others.values():
            task.cancel()
        for found in await asyncio.gather(*self._others.values(), return_exceptions=True):
            if not isinstance(found, BaseException):
                await found.close()


async def _opened(build: Callable[[Target], Engine], origin: Target) -> Engine:
    engine = build(origin)
    await engine.open()
    return engine


class BrowsingClient:
    """The client of one user: between its lane and the clients of the origins that it is led to."""

    def __init__(self, engine: BrowsingEngine, receiver: Receiver) -> None:
        self._engine = engine
        self._receiver = receiver
        self._keeps = engine.habits.keeps_cookies
        # Without a jar of the user's own there is one for each chain of redirects: a login is often the first of two.
        self._jar = CookieJar(engine.origin)
        self._client = engine.engine.client(self)
        self._clients: dict[Target, Client] = {engine.origin: self._client}
        self._opening: asyncio.Task[None] | None = None
        # The request under way, without the jar's cookies, and where it goes.
        self._request: Request
        self._origin = engine.origin
        # Redirects followed so far, and when the last of them came.
        self._hops = self._redirected = 0
        # When the answer's request was sent and its first byte came, where the client below measured that.
        self._phases: tuple[int, int] | None = None

    def send(self, request: Request) -> None:
        """Start an exchange."""
        if self._hops and not self._keeps:
            self._jar.clear()
        self._hops = self._redirected = 0
        self._go(request, self._engine.origin)

    def forget(self) -> None:
        """Begin as another user, without cookies."""
        self._jar.clear()

    def abort(self) -> bool:
        """Give up the exchange under way."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
            return True
        return self._client.abort()

    def close(self) -> None:
        """Close every connection."""
        self.abort()
        for client in self._clients.values():
            client.close()

    def _go(self, request: Request, origin: Target) -> None:
        self._request, self._origin = request, origin
        if self._keeps or self._hops:
            request = self._jar.with_cookies(request, origin)
        client = self._clients.get(origin)
        if client is None:
            self._opening = asyncio.get_running_loop().create_task(self._open_and_send(request, origin))
        else:
            self._client = client
            client.send(request)

    async def _open_and_send(self, request: Request, origin: Target) -> None:
        try:
            engine = await self._engine.at(origin)
        except PerfloopError:
            self._opening = None
            self._receiver.failed(outcomes.DNS_FAILED, self._engine.clock())
            return
        self._opening = None
        self._client = self._clients[origin] = engine.client(self)
        self._client.send(request)

    def answered(self, head: Head, size: int, body: bytes, now: int) -> None:
        """Take an answer, and go on where it leads."""
        hop = None
        if self._engine.habits.follows and head.status not in self._request.expected and self._hops < MOST_REDIRECTS:
            hop = next_hop(self._request, self._origin, head)
        if self._keeps or hop is not None:
            self._jar.keep(self._request, self._origin, head)
        phases, self._phases = self._phases, None
        if hop is None or not self._engine.may_go_to(hop.origin):
            if phases is not None or self._hops:
                # Of a chain these are of its last answer, which has no time of its own otherwise.
                sent, first = phases or (0, now)
                self._receiver.phased(sent or self._redirected, first, now)
            self._receiver.answered(head, size, body, now)
            return
        self._hops += 1
        self._redirected = now
        self._receiver.redirected(head, size)
        self._go(hop.request, hop.origin)

    def redirected(self, head: Head, size: int) -> None:
        """Pass a redirect on; the clients below follow none."""
        self._receiver.redirected(head, size)

    def connected(self, connect: int, handshake: int) -> None:
        """Pass a new connection on."""
        self._receiver.connected(connect, handshake)

    def spoke(self, protocol: str, address: str) -> None:
        """Pass the protocol of a new connection on."""
        self._receiver.spoke(protocol, address)

    def retried(self) -> None:
        """Pass on that the request is sent again."""
        self._receiver.retried()

    def phased(self, sent: int, first: int, now: int) -> None:
        """Keep the phases of the answer that follows: of a redirect that is followed nobody asks for them."""
        del now
        self._phases = sent, first

    def received(self, data: bytes, now: int) -> None:
        """Pass a piece of a streamed body on."""
        self._receiver.received(data, now)

    def failed(self, outcome: str, now: int) -> None:
        """Pass the end of a request without an answer on."""
        self._receiver.failed(outcome, now)
