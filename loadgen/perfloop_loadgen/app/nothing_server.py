"""A server that does nothing, as fast as Python can: what `calibrate` measures the generator against."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class _Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        # The generator does not pipeline and its requests are small: what comes is one request.
        del data
        self._transport.write(_ANSWER)


def serve_nothing(pipe: Connection) -> None:
    """Serve on a free port, which is told through the pipe, until the pipe closes."""
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Nothing, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    over = asyncio.Event()
    loop.add_reader(pipe.fileno(), over.set)
    await over.wait()
