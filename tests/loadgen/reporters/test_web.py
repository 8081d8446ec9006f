"""The metrics page over real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Counter

from perfloop_base.addresses import Address, parse_address
from perfloop_base.errors import ListenError
from perfloop_loadgen.reporters.web import MetricsServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Readiness:
    """Whether a run has begun."""

    def __init__(self) -> None:
        self.value = False

    def __call__(self) -> bool:
        """Return the present value."""
        return self.value


@pytest.fixture
def readiness() -> Readiness:
    """A switch for the server's readiness."""
    return Readiness()


@pytest.fixture
async def server(readiness: Readiness) -> AsyncIterator[MetricsServer]:
    """A server with one counter."""
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc(3)
    server = MetricsServer(registry, lambda: "shop <b>1</b>", readiness)
    await server.start(Address("127.0.0.1", 0))
    yield server
    await server.stop()


async def _exchange(server: MetricsServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server.address.split(":"))
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def _get(server: MetricsServer, path: str, method: str = "GET") -> tuple[int, str]:
    head, _, body = (await _exchange(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).partition(
        b"\r\n\r\n"
    )
    return int(head.split()[1]), body.decode()


async def test_metrics_are_served_and_scrapes_are_counted(server: MetricsServer):
    """The registry's text, with or without a query; each answer is a scrape."""
    status, text = await _get(server, "/metrics")
    assert status == 200
    assert "orders_total 3.0" in text
    await _get(server, "/metrics?name[]=orders_total")
    assert server.scrapes == 2


async def test_health_and_readiness(server: MetricsServer, readiness: Readiness):
    """Healthy as soon as it listens, ready once a run has begun."""
    assert await _get(server, "/-/healthy") == (200, "healthy\n")
    assert await _get(server, "/-/ready") == (503, "not ready\n")
    readiness.value = True
    assert await _get(server, "/-/ready") == (200, "ready\n")


async def test_the_page_shows_the_numbers_so_far(server: MetricsServer):
    """The description, escaped, and links to the other pages."""
    status, page = await _get(server, "/")
    assert status == 200
    assert "shop &lt;b&gt;1&lt;/b&gt;" in page
    assert 'href="/metrics"' in page


async def test_other_paths_and_methods_are_refused(server: MetricsServer):
    """404 and 405; HEAD has the length of GET and no body; none of them is a scrape."""
    assert (await _get(server, "/other"))[0] == 404
    assert (await _get(server, "/metrics", "POST"))[0] == 405
    answer = await _exchange(server, b"HEAD /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 8\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert server.scrapes == 0


@pytest.mark.parametrize("garbage", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n"])
async def test_a_caller_that_sends_no_whole_head_gets_no_answer(server: MetricsServer, garbage: bytes):
    """Nothing, TLS, half a request: closed without an answer, and the next caller is served."""
    assert await _exchange(server, garbage) == b""
    assert (await _get(server, "/-/healthy"))[0] == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 421),
        (b"GET http://x/-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"G" * 70_000, 431),
    ],
)
async def test_a_bad_head_is_refused_with_the_headers_of_every_response(
    server: MetricsServer, head: bytes, status: int
):
    """The status of what is wrong, and nosniff, a policy and no frame."""
    answer = await _exchange(server, head)
    assert answer.split()[1] == str(status).encode()
    for name in (
        b"X-Content-Type-Options: nosniff",
        b"Content-Security-Policy: default-src 'none'",
        b"X-Frame-Options",
    ):
        assert name in answer


async def test_a_taken_port_is_a_sentence(server: MetricsServer):
    """The flag, the address and the reason."""
    other = MetricsServer(CollectorRegistry(), str, bool)
    with pytest.raises(ListenError, match=rf"^--web\.listen-address: port \d+ of {server.address} is taken"):
        await other.start(parse_address(server.address))
