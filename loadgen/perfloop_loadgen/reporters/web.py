"""The page that Prometheus scrapes: a small HTTP/1.1 server on the run's own event loop.

It is written by hand because it shares the loop with the requests under test: a scrape must not start a thread, and no
web framework is imported into a program whose start is part of its figures.
"""

from __future__ import annotations

import asyncio
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from perfloop_base.addresses import bound_address, listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_base.addresses import Address

_REQUEST_TIMEOUT_SECONDS = 10
_LARGEST_REQUEST = 65_536

Page = tuple[HTTPStatus, str, bytes]


class MetricsServer:
    """Answers /metrics, /-/healthy, /-/ready and a page with the numbers so far at /."""

    def __init__(self, registry: CollectorRegistry, describe: Callable[[], str], is_ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._describe = describe
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None
        self.address = ""
        self.scrapes = 0

    async def start(self, address: Address) -> None:
        """Listen.

        Raises:
            ListenError: the port is taken.
            ConfigError: the address is not one of this machine's.
        """
        listener = listen(address, "--web.listen-address")
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=_LARGEST_REQUEST)
        self.address = str(bound_address(listener))

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_render(self._answer(head), head_only=head.startswith(b"HEAD ")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a caller that does not speak HTTP, or has gone, gets no answer
        finally:
            writer.close()

    def _answer(self, head: bytes) -> Page:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0].decode("latin-1")
        if method not in {b"GET", b"HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"only GET and HEAD are allowed\n"
        if path == "/metrics":
            self.scrapes += 1
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        return self._page(path)

    def _page(self, path: str) -> Page:
        if path == "/-/healthy":
            return HTTPStatus.OK, "text/plain; charset=utf-8", b"healthy\n"
        if path == "/-/ready":
            ready = self._is_ready()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "text/plain; charset=utf-8", b"ready\n" if ready else b"not ready\n"
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", _landing(self._describe())
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"no such page\n"


def _landing(description: str) -> bytes:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Perfloop load generator</title>"
        f"<h1>Perfloop load generator</h1><pre>{escape(description)}</pre>"
        '<p><a href="/metrics">Metrics</a> · <a href="/-/healthy">Healthy</a> · <a href="/-/ready">Ready</a>'
    ).encode()


def _render(page: Page, *, head_only: bool) -> bytes:
    status, content_type, body = page
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if head_only else head + body
