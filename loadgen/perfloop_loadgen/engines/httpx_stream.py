"""A connected socket as httpcore reads and writes it, with what it does not say: when the server closed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httpcore

if TYPE_CHECKING:
    from collections.abc import Callable

# Beyond it nothing more is read from the network until some of it was taken.
_MOST_WAITING = 262_144
# The chunks of a larger piece can take httpcore a tenth of a second and more.
_LARGEST_PIECE = 16_384


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """Bytes in and out. Timeouts are the run's own: those of httpcore are not used.

    Attributes:
        peer: the address that was connected to.
        received: how many bytes have come.
        ended: whether the connection is closed, from either side.
    """

    def __init__(self, peer: str, ended: Callable[[], None]) -> None:
        self.peer = peer
        self.received = 0
        self.ended = False
        self._on_ended = ended
        self._error: Exception | None = None
        self._waiting = bytearray()
        self._paused = False
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep bytes until they are read."""
        self.received += len(data)
        self._waiting += data
        if len(self._waiting) > _MOST_WAITING and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        if not self.ended:
            self.ended = True
            self._error = exc
            self._on_ended()
        self._more.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writable.set()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        """Return what has come; nothing once the server has closed the connection.

        Raises:
            OSError: the connection broke.
        """
        del timeout
        if self._waiting:
            # Where more comes than is worked off, timers and other connections must have their turn.
            await asyncio.sleep(0)
        while not self._waiting and not self.ended:
            self._more.clear()
            await self._more.wait()
        if not self._waiting and self._error is not None:
            raise self._error
        size = min(max_bytes, _LARGEST_PIECE)
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        if self._paused and len(self._waiting) <= _MOST_WAITING:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        """Send bytes.

        Raises:
            httpcore.WriteError: the connection is closed; httpcore then reads on, since an answer may have come first.
        """
        del timeout
        if self.ended:
            raise httpcore.WriteError("the connection is closed")
        if buffer:
            self._transport.write(buffer)
            await self._writable.wait()

    async def aclose(self) -> None:
        """Close."""
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.ended = True
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Return what asyncio knows of the connection, as `ssl_object`; and whether the next read would not wait."""
        return self.ended if info == "is_readable" else self._transport.get_extra_info(info)
