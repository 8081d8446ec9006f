from __future__ import annotations

import asyncio
import socket

import pytest

from perfloop_base.errors import ConfigError, ExitCode, ListenError
from perfloop_base.serving import Address, bind, bound_address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000)),
        ("localhost:0", Address("localhost", 0)),
        (":9100", Address("0.0.0.0", 9100)),
        ("[::1]:9100", Address("::1", 9100)),
    ],
)
def test_parse_address(text: str, address: Address):
    """Addresses are read as node_exporter reads them."""
    assert address == parse_address("--flag", text)


@pytest.mark.parametrize("text", ["", "8000", "host", "host:", "host:port", "host:-1", "host:65536", "host:1.5"])
def test_bad_address(text: str):
    """What is no address is a sentence with the flag, the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        parse_address("--flag", text)
    assert str(caught.value) == f"--flag has the value {text!r}: it must be host:port with a port from 0 to 65535."


def test_taken_port():
    """A taken port has an error and an exit code of its own."""
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(ListenError) as caught:
        bind("--flag", Address("127.0.0.1", holder.getsockname()[1]))
    assert caught.value.exit_code is ExitCode.PORT_TAKEN


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_address_of_another_machine(host: str):
    """An address that is not this machine's cannot be listened on."""
    with pytest.raises(ConfigError, match="nothing can listen"):
        bind("--flag", Address(host, 0))


async def test_answers_do_not_wait_for_the_callers_ack():
    """A head and its body are two writes: on an accepted connection the second goes out at once."""
    accepted: list[int] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(note, sock=bind("--flag", Address("127.0.0.1", 0))) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert accepted
    assert all(accepted)


def test_free_port():
    """Port 0 becomes a real one."""
    with bind("--flag", Address("127.0.0.1", 0)) as listener:
        assert bound_address(listener).port > 0
