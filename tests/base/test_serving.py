from __future__ import annotations

import asyncio
import socket

from perfloop_base.addresses import Address, listen


async def test_responses_do_not_wait_for_an_ack():
    """Head and body are two writes: on an accepted connection the second is sent without a delay."""
    accepted: list[int] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(note, sock=listen(Address("127.0.0.1", 0), "--flag")) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert accepted
    assert all(accepted)
