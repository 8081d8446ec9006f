"""Servers that misbehave, one way each: every way is counted under its own name, and the run goes on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "base_url": url,
        "duration_seconds": 0.3,
        "concurrent_users": 2,
        "timeout_seconds": 5,
        "think_time_seconds": 0.02,
        "endpoints": [{"path": "/"}],
    }
    return LoadTestConfig.model_validate(base | changes)


async def _outcomes(url: str, **changes: Any) -> set[str]:
    summary = await LoadTester(_config(url, **changes)).run_load_test()
    assert summary.total_requests > 0
    return set(summary.outcomes)


ANSWERS = {
    "plain": (OK, "ok"),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", "ok"),
    "an interim answer first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "ok"),
    "lines that end with LF": (OK.replace(b"\r\n", b"\n"), "ok"),
    "a length that is said twice": (OK.replace(b": 2", b": 2, 2"), "ok"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n0\r\nTrailer: 1\r\n\r\n", "ok"),
    "a chunked nothing": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ok"),
    "garbage": (b"\x16\x03\x01 not http at all\r\n\r\n", "not_http"),
    "a status that is no number": (b"HTTP/1.1 abc OK\r\n\r\n", "not_http"),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 0\r\n\r\n", "not_http"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "bad_framing"),
    "a length that is no number": (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "bad_framing"),
    "a chunk size that is none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_framing"),
    "a chunk longer than it said": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        "bad_framing",
    ),
    "a Content-Length that is too small": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok", "excess_bytes"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "endless_headers"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_each_answer_has_its_name(serve: Any, name: str):
    """An answer of this kind is counted under exactly this outcome."""
    answer, outcome = ANSWERS[name]
    async with serve(answer) as service:
        assert await _outcomes(service.url) == {outcome}


CLOSING = {
    "before an answer": (b"", "closed_before_answer"),
    "in the head": (b"HTTP/1.1 200 OK\r\nContent-", "closed_mid_answer"),
    "in the body: a Content-Length that is too large": (OK.replace(b": 2", b": 9"), "closed_mid_answer"),
    "in a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", "closed_mid_answer"),
    "as the end of a body without length": (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "ok"),
    "with a header that announces it": (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), "ok"),
    "an HTTP/1.0 answer": (OK.replace(b"1.1", b"1.0"), "ok"),
}


@pytest.mark.parametrize("half", [False, True], ids=["closed", "half-closed"])
@pytest.mark.parametrize("name", CLOSING)
async def test_each_way_to_hang_up_has_its_name(serve: Any, name: str, half: bool):  # noqa: FBT001 - a table's column
    """A server that closes, or half-closes, at this point."""
    answer, outcome = CLOSING[name]

    async def hang_up(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if half:
            writer.write_eof()
        else:
            writer.close()

    async with serve(hang_up) as service:
        assert await _outcomes(service.url) == {outcome}


async def test_a_reset_has_its_name(serve: Any):
    """A connection that is reset while its answer is awaited."""

    async def reset(_: bytes, writer: asyncio.StreamWriter) -> None:
        handle = writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()

    async with serve(reset) as service:
        assert await _outcomes(service.url) == {"connection_reset"}


async def test_a_port_that_nobody_listens_on(free_port: int):
    """Refused connections are counted, and not retried without a pause."""
    summary = await LoadTester(_config(f"http://127.0.0.1:{free_port}")).run_load_test()
    assert set(summary.outcomes) == {"connection_refused"}
    assert summary.total_requests < 20


async def test_a_server_that_is_silent(serve: Any):
    """No answer in time: a timeout, whose time is kept as a lower bound."""

    async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with serve(silent) as service:
        summary = await LoadTester(_config(service.url, timeout_seconds=0.2)).run_load_test()
    assert set(summary.outcomes) == {"timeout"}
    assert summary.min_response_time_ms >= 200


async def test_an_answer_that_drips(serve: Any):
    """Byte by byte is an answer like any other."""

    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with serve(drip) as service:
        assert await _outcomes(service.url) == {"ok"}


async def test_bytes_that_were_not_requested(serve: Any):
    """What comes between two requests makes the connection untrusted: it is replaced, and no request is lost."""

    async def send_more(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"unrequested")

    async with serve(send_more) as service:
        config = _config(service.url, think_time_seconds=0.5, duration_seconds=1.2)
        summary = await LoadTester(config).run_load_test()
        assert service.connections > 2
    assert summary.outcomes["ok"] == summary.total_requests


async def test_an_answer_to_head_has_no_body(serve: Any):
    """The length of a HEAD's answer is that of the body that GET would bring."""
    async with serve(OK[:-2]) as service:
        assert await _outcomes(service.url, endpoints=[{"path": "/", "method": "HEAD"}]) == {"ok"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that holds for `localhost` alone."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{path}.key", "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(Path(f"{path}.key").read_text() + Path(f"{path}.crt").read_text())
    return path


async def test_tls(certificate: Path, serve: Any):
    """Trusted and named: ok; untrusted, or another name: tls_certificate; not verified: ok; no handshake: a timeout."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serve(OK, tls=context) as server, serve(OK) as plain:
        port, plain_port = (one.url.rpartition(":")[2] for one in (server, plain))
        authority = {"ca_file": f"{certificate}.crt"}
        assert await _outcomes(f"https://localhost:{port}", tls=authority) == {"ok"}
        assert await _outcomes(f"https://127.0.0.1:{port}", tls=authority) == {"tls_certificate"}
        assert await _outcomes(f"https://localhost:{port}") == {"tls_certificate"}
        assert await _outcomes(f"https://127.0.0.1:{port}", tls={"verify": False}) == {"ok"}
        silent = await _outcomes(f"https://127.0.0.1:{plain_port}", tls={"verify": False}, timeout_seconds=0.5)
        assert silent == {"connect_timeout"}


async def test_a_port_that_speaks_no_tls():
    """A server that answers the handshake with plain HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await _outcomes(f"https://127.0.0.1:{port}", tls={"verify": False}) == {"tls_failed"}
