"""Accepts connections on an event loop, so that no client can keep the others out.

asyncio's own servers have no limit on connections and no deadline of any kind, and a TLS context that never changes.
Here each connection has a deadline, which one look per interval over all of them enforces; where there are too many,
the one that has waited longest for its client goes; and no failure of one connection ends the accepting.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from perfloop_base.web.limits import Limits

# An exhausted table of descriptors is reported no more often.
_QUIET_SECONDS = 60.0
# How long to wait when nothing can be accepted and no connection can be closed for it.
_RETRY_SECONDS = 0.1
# Accepted at once, before anything else has its turn.
_BURST = 256
# Looks over the connections per shortest deadline.
_LOOKS = 20

log = logging.getLogger(__name__)


class Connection(Protocol):
    """An asyncio protocol that knows what it waits for; times are those of the loop's clock, in seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def waits_since(self) -> float | None:
        """Return since when it waits for the client, None while the program works on a request."""

    def is_overdue(self, now: float) -> bool:
        """Return whether the client has had its time."""

    def unsent_bytes(self) -> int:
        """Return how much of the response the client has not taken."""

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""


class Slot:
    """An accepted connection: in its TLS handshake until it has a protocol."""

    def __init__(self, accepted: float) -> None:
        self.accepted = accepted
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None

    def waits_since(self) -> float | None:
        """Return since when the client is waited for."""
        return self.accepted if self.connection is None else self.connection.waits_since()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.connection is not None:
            self.connection.abort()
        elif self.opening is not None:
            self.opening.cancel()


class Acceptor:
    """Accepts connections on a listener until it is closed.

    Args:
        listener: A listening socket; it is closed with the acceptor.
        build: Returns the protocol of a new connection; it calls its argument when the connection is lost.
        context: Returns the TLS context of a new connection, None for a plain one; an OSError refuses it.
        limits: What a client may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        build: Callable[[Callable[[], None]], Connection],
        context: Callable[[], SSLContext | None],
        limits: Limits,
    ) -> None:
        self._listener, self._build, self._context, self._limits = listener, build, context, limits
        self._most = limits.most_connections()
        self._slots: dict[Slot, None] = {}  # in the order of their accepts
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._reported = float("-inf")

    def __len__(self) -> int:
        return len(self._slots)

    def start(self) -> None:
        """Accept connections, in tasks of the running loop."""
        self._listener.setblocking(False)  # noqa: FBT003  # the one argument there is
        loop = asyncio.get_running_loop()
        self._tasks = (loop.create_task(self._accept(loop)), loop.create_task(self._watch(loop)))

    def close(self) -> None:
        """Stop accepting; open connections are their protocols' to close."""
        for task in self._tasks:
            task.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more; handshakes under way are ended."""
        handshakes = [slot.opening for slot in self._slots if slot.connection is None and slot.opening]
        for handshake in handshakes:
            handshake.cancel()
        await asyncio.gather(*self._tasks, *handshakes, return_exceptions=True)

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                await self._accept_some(loop)
            except OSError as error:  # a client that has gone again, or no descriptor is left
                self._report(loop.time(), error)
                self._make_space()
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # the edge of the server: nothing that one connection does ends the accepting
                log.exception("a connection could not be served")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _accept_some(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept all that wait: with one per turn of the loop the last would wait for the work of all before it."""
        accepted, _ = await loop.sock_accept(self._listener)
        self._begin(loop, accepted)
        for _ in range(_BURST):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            self._begin(loop, accepted)

    def _begin(self, loop: asyncio.AbstractEventLoop, accepted: socket.socket) -> None:
        if len(self._slots) >= self._most and not self._make_space():
            accepted.close()
            return
        slot = Slot(loop.time())
        self._slots[slot] = None
        slot.opening = loop.create_task(self._open(loop, slot, accepted))

    async def _open(self, loop: asyncio.AbstractEventLoop, slot: Slot, accepted: socket.socket) -> None:
        connection = self._build(lambda: self._forget(slot))
        try:
            accepted.setblocking(False)  # noqa: FBT003  # the one argument there is
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = self._context()
            await loop.connect_accepted_socket(
                cast("Callable[[], asyncio.Protocol]", lambda: connection),
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._limits.head_seconds if context else None,
            )
            slot.connection = connection
        except OSError as error:  # TimeoutError and SSLError among them
            log.debug("connection refused", extra={"err": str(error)})
        finally:
            if slot.connection is None:
                self._forget(slot)
                accepted.close()

    def _forget(self, slot: Slot) -> None:
        self._slots.pop(slot, None)

    def _make_space(self) -> bool:
        """Close the connection that has waited longest for its client; return whether there was one."""
        waiting = [(since, slot) for slot in self._slots if (since := slot.waits_since()) is not None]
        if not waiting:
            return False
        _, oldest = min(waiting, key=lambda pair: pair[0])
        self._forget(oldest)
        oldest.abort()
        return True

    async def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        shortest = min(self._limits.head_seconds, self._limits.patience_seconds, self._limits.idle_seconds)
        while True:
            await asyncio.sleep(min(0.5, shortest / _LOOKS))
            self._close_overdue(loop.time())

    def _close_overdue(self, now: float) -> None:
        unsent: list[tuple[float, Slot, int]] = []
        for slot in list(self._slots):
            connection = slot.connection
            if connection is None:
                continue  # the handshake has its own deadline
            if connection.is_overdue(now):
                connection.abort()
            elif size := connection.unsent_bytes():
                unsent.append((connection.waits_since() or now, slot, size))
        total = sum(size for _, _, size in unsent)
        for _, slot, size in sorted(unsent, key=lambda item: item[0]):
            if total <= self._limits.unsent_bytes:
                break
            slot.abort()
            total -= size

    def _report(self, now: float, error: OSError) -> None:
        if now - self._reported >= _QUIET_SECONDS:
            self._reported = now
            log.error("cannot accept connections, closing the oldest idle one", extra={"err": error.strerror})
