"""Connections of a real server on raw sockets: deadlines, the limit, malformed requests, TLS; with short times."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.addresses import Address, bound_address, listen
from perfloop_base.serving import Server
from perfloop_base.web.limits import Limits
from perfloop_base.web.settings import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OPENSSL = shutil.which("openssl")
SHORT = Limits(head_seconds=0.5, idle_seconds=1.5, patience_seconds=0.5, slowest_bytes_per_second=100_000_000)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
LARGE = 16 * 1024 * 1024


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after the whole body: `/large` with 16 MiB, other paths with the method."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionError("what frameworks raise for it")
    body = b"x" * LARGE if scope["path"] == "/large" else scope["method"].encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def running(limits: Limits = SHORT, config_file: str = "") -> AsyncIterator[tuple[str, int]]:
    """Serve, and yield the address."""
    listener = listen(Address("127.0.0.1", 0), "--web.listen-address", 2048)
    address = bound_address(listener)
    server = Server(app, Web(config_file, limits=limits))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        await serving


async def exchange(address: tuple[str, int], *chunks: bytes, pause: float = 0.0) -> bytes:
    """Send chunks with a pause behind each, and return all that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    received = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            if received.done():
                break
            await asyncio.sleep(pause)
    try:
        return await received
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def get(address: tuple[str, int], request: bytes = GET) -> bytes:
    """Return the response to one good request, which must come within a second."""
    async with asyncio.timeout(1):
        return await exchange(address, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


@pytest.mark.parametrize(
    "chunks",
    [[], [GET[:20]], [bytes([byte]) for byte in GET + b"X: y\r\n" * 20][:-4]],
    ids=["nothing", "half a head", "a byte now and then"],
)
async def test_a_head_has_one_deadline(chunks: list[bytes]):
    """From the accept; bytes in between do not extend it, and others are answered meanwhile."""
    async with running() as address:
        started = asyncio.get_running_loop().time()
        slow = asyncio.create_task(exchange(address, *chunks, pause=0.05))
        assert (await get(address)).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(5):
            assert await slow == b""
        assert 0.4 < asyncio.get_running_loop().time() - started < 2


async def test_the_second_head_has_a_deadline_too():
    """From its first byte; a connection that waits without one is idle and has longer."""
    async with running() as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"GET"))[:12] == b"HTTP/1.1 200"
            await asyncio.sleep(0.9)  # longer than a head may take
        started = asyncio.get_running_loop().time()
        for byte in GET:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof():
                break
        async with asyncio.timeout(3):
            with contextlib.suppress(ConnectionResetError):  # a byte that came after the end is answered so
                assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - started < 2
        writer.close()


async def test_an_idle_connection_is_closed():
    """After idle_seconds without a byte."""
    async with running() as address, asyncio.timeout(5):
        answer = await exchange(address, GET)
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("chunks", [[POST], [POST, *[b"x"] * 100], [POST + POST, *[b"x"] * 100]])
async def test_a_body_has_a_deadline(chunks: list[bytes], caplog: pytest.LogCaptureFixture):
    """A trickle ends; what the application does about it costs no traceback."""
    async with running() as address:
        async with asyncio.timeout(5):
            assert await exchange(address, *chunks, pause=0.05) == b""
        assert (await get(address)).startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", [b"/large", b"/large HTTP/1.1\r\nHost: localhost\r\n\r\nGET /large"])
async def test_a_reader_that_takes_nothing_is_closed(path: bytes):
    """Also one that pipelines; its response does not stay in the memory."""
    async with running() as address:
        reader, writer = await asyncio.open_connection(*address, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET.replace(b"/ ", path + b" "))
        await asyncio.sleep(2)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        size = 0
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 20):
                size += len(chunk)
        assert size < LARGE
        writer.close()
        assert (await get(address)).startswith(b"HTTP/1.1 200")


async def test_beyond_the_limit_the_oldest_idle_connection_goes():
    """Good requests are all answered, although silent connections fill the server again and again."""
    limits = Limits(head_seconds=60, connections=20)
    async with running(limits) as address:
        silent = [await asyncio.open_connection(*address) for _ in range(100)]
        for _ in range(20):
            assert (await get(address)).startswith(b"HTTP/1.1 200")
            silent += [await asyncio.open_connection(*address) for _ in range(5)]
        async with asyncio.timeout(2):
            assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_what_clients_do_not_take_has_a_limit():
    """The longest waiting go before their deadline."""
    limits = Limits(unsent_bytes=2 * LARGE)
    async with running(limits) as address:
        slow = []
        for _ in range(6):
            reader, writer = await asyncio.open_connection(*address, limit=1)
            writer.write(GET.replace(b"/ ", b"/large "))
            slow.append((reader, writer))
        await asyncio.sleep(1.5)
        sizes = []
        for reader, writer in slow:
            sizes.append(0)
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(1):
                    while sizes[-1] < LARGE and (chunk := await reader.read(1 << 20)):
                        sizes[-1] += len(chunk)
            writer.close()
        assert sum(size >= LARGE for size in sizes) <= 3


async def test_accepting_goes_on_after_errors(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """No descriptor left, a client that has gone, and an error that nobody thought of: the next request is answered."""
    loop = asyncio.get_running_loop()
    accept, errors = (
        loop.sock_accept,
        [OSError(errno.EMFILE, "Too many open files"), RuntimeError("?"), OSError(103, "")],
    )

    async def failing(listener: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", failing)
    async with running() as address:
        await asyncio.sleep(0.5)
        assert (await get(address)).startswith(b"HTTP/1.1 200")
    assert not errors
    assert "closing the oldest idle one" in caplog.text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: \x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000, 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (POST.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"), 400),
        (POST.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked") + b"zz\r\n", 400),
        (b"GET http://localhost/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: LOCALHOST.\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    ],
)
async def test_each_odd_request_is_decided(request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture):
    """By one response with the headers of every response, and without a traceback or more than a line in the log."""
    async with running() as address:
        caplog.clear()
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request_bytes)
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        lines = list(caplog.records)
        assert (await get(address)).startswith(b"HTTP/1.1 200")
    assert answer.split()[1] == str(status).encode()
    assert b"x-content-type-options: nosniff" in answer.lower()
    assert b"content-security-policy: default-src 'none'" in answer.lower()
    assert not [record for record in lines if record.exc_info or record.levelno > logging.INFO]


async def test_a_client_may_end_its_own_side_first():
    """As `nc -N` does: the answer still comes, and the connection ends behind it."""
    async with running() as address, asyncio.timeout(1):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        writer.write_eof()
        assert (await reader.read()).endswith(b"GET")
        writer.close()


async def test_requests_before_their_answers_are_not_taken():
    """A packet of hundreds would stand before everyone else's: the first is answered, and the connection ends."""
    async with running() as address, asyncio.timeout(1):
        assert (await exchange(address, GET * 100)).count(b"HTTP/1.1 200") == 1


async def test_head_has_the_length_and_no_body():
    """What the guard asks the application as GET."""
    async with running() as address:
        head, got = await get(address, GET.replace(b"GET", b"HEAD")), await get(address)
    assert got.endswith(b"\r\n\r\nGET")
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length: 3\r\n" in head


async def test_a_client_that_leaves_in_the_middle_costs_no_traceback(caplog: pytest.LogCaptureFixture):
    """Of its head, its body or its response."""
    async with running() as address:
        for chunk in (GET[:10], POST + b"{", GET.replace(b"/ ", b"/large ")):
            _, writer = await asyncio.open_connection(*address)
            writer.write(chunk)
            await asyncio.sleep(0.1)
            writer.transport.abort()
        await asyncio.sleep(0.2)
        assert (await get(address)).startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO]


def _certify(directory: Path, name: str) -> None:
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(directory / "server.key"), "-out", str(directory / "server.crt")]
    command = [str(OPENSSL), "req", "-x509", *keys, *files, "-days", "1", *subject]
    subprocess.run(command, check=True, capture_output=True)


async def _common_name(address: tuple[str, int], directory: Path) -> str:
    context = ssl.create_default_context(cafile=str(directory / "server.crt"))
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        subject: Any = writer.get_extra_info("peercert")["subject"]
        writer.close()
    return str(subject[0][0][1])


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed: no certificates to test with")
async def test_tls_and_a_replaced_certificate(tmp_path: Path):
    """The new certificate is used for new connections; a broken file refuses all of them, plain ones too."""
    _certify(tmp_path, "one")
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    async with running(config_file=str(web)) as address:
        assert await _common_name(address, tmp_path) == "one"
        started = asyncio.get_running_loop().time()
        assert await exchange(address) == b""  # nothing sent: the handshake has the head's deadline
        assert asyncio.get_running_loop().time() - started < 3
        assert await exchange(address, GET) == b""
        _certify(tmp_path, "two")
        assert await _common_name(address, tmp_path) == "two"
        for text in ("tls_server_config: [\n", "{}\n"):
            web.write_text(text)
            assert await exchange(address, GET) == b""
        web.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
        assert await _common_name(address, tmp_path) == "two"


def test_connections_are_at_most_half_of_the_descriptors(monkeypatch: pytest.MonkeyPatch):
    """A program keeps the others for its own files and requests; a soft limit is raised where that helps."""
    limits = [(100, 200)]
    monkeypatch.setattr("resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda _, wanted: limits.append(wanted))
    assert Limits().most_connections() == 100
    assert limits[-1] == (200, 200)
