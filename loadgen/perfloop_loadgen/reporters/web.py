"""The page that Prometheus scrapes: a small HTTP/1.1 server on the run's own event loop.

It is written by hand because it shares the loop with the requests under test: a scrape must not start a thread, and no
web framework is imported into a program whose start is part of its figures. Accepting, deadlines, TLS, users, the Host
check and the headers are those of every program (perfloop_base.web).
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from perfloop_base.addresses import bound_address, listen
from perfloop_base.web.accepting import Acceptor
from perfloop_base.web.gate import Gate
from perfloop_base.web.headers import POLICY, SECURITY, merged, page_policy
from perfloop_base.web.hosts import request_refusal, split_target
from perfloop_base.web.lane import OVERLOADED, Lane
from perfloop_base.web.refusals import Refusal, length_refusal
from perfloop_base.web.settings import DEFAULTS, Web
from perfloop_loadgen.reporters.histograms import render as render_metrics
from perfloop_loadgen.reporters.pages import front_page, runs_page
from perfloop_loadgen.reporters.run_reports import RunReports

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_base.addresses import Address
    from perfloop_base.web.limits import Limits

_LARGEST_HEAD = 65_536
_PLAIN = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
# The dots in a plot's legend have their colours in attributes, which no hash can name.
_COLOURED = "style-src-attr 'unsafe-inline'"
_END = b"\r\n\r\n"

log = logging.getLogger(__name__)


class Page(NamedTuple):
    """One response."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Head(NamedTuple):
    """A request: all that is read of it."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of every header of a name in lower case."""
        return [value for key, value in self.headers if key == name]


def parse_head(head: bytes) -> Head | None:
    """Return the request of a head without its empty line; None where it is not one of HTTP/1."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    pairs = [line.partition(":") for line in lines]
    is_good = all(colon and name and name == name.strip() and "\n" not in name + value for name, colon, value in pairs)
    if len(words) != 3 or words[2] not in {"HTTP/1.0", "HTTP/1.1"} or not is_good:  # noqa: PLR2004  # method, target, version
        return None
    method, target, version = words
    return Head(method, target, version, tuple((name.lower(), value.strip()) for name, _, value in pairs))


class MetricsServer:
    """Answers /metrics, /-/healthy, /-/ready, a page with the numbers so far at /, and reports of past runs at /runs/.

    Raises:
        ConfigError: the web configuration file is invalid.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        describe: Callable[[], str],
        is_ready: Callable[[], bool],
        web: Web = DEFAULTS,
        reports: RunReports | None = None,
    ) -> None:
        self._registry = registry
        self._describe = describe
        self._is_ready = is_ready
        self._web = web
        self._reports = reports or RunReports()
        self._gate = Gate(web.config_file, web.extra)
        self._lane = Lane()
        self._acceptor: Acceptor | None = None
        self.address = ""
        self.scrapes = 0

    @property
    def scheme(self) -> str:
        """`https` where the web configuration file has TLS, else `http`."""
        return "https" if self._gate.is_secure else "http"

    async def start(self, address: Address) -> None:
        """Listen.

        Raises:
            ListenError: the port is taken.
            ConfigError: the address is not one of this machine's.
        """
        listener = listen(address, "--web.listen-address")
        self.address = str(bound_address(listener))
        self._acceptor = Acceptor(listener, self._build, self._gate.context, self._web.limits)
        self._acceptor.start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()

    def _build(self, on_lost: Callable[[], None]) -> _Client:
        return _Client(self, self._gate, self._web.limits, on_lost)

    async def answer(self, head: Head) -> Page:
        """Return the response to a request."""
        version = head.version.removeprefix("HTTP/")
        refused = request_refusal(head.values("host"), head.target, version, self._web.allowed_hosts)
        authorization = (*head.values("authorization"), "")[0]
        if refused is None and self._gate.is_quick(authorization):
            refused = self._gate.refusal(authorization)
        elif refused is None:  # a password to check takes longer than requests under test may wait for the loop
            refused = await asyncio.to_thread(self._gate.refusal, authorization)
        refused = refused or length_refusal([name for name, _ in head.headers])
        if refused is None:
            async with self._lane.place() as entered:
                page = self._page(head) if entered else _refusal_page(OVERLOADED)
                # The loop looks at its other work before the next page is made.
                await asyncio.sleep(0)
        else:
            page = _refusal_page(refused)
        return page._replace(headers=merged(self._gate.headers(), page.headers, SECURITY))

    def _page(self, head: Head) -> Page:
        path = unquote(split_target(head.target)[1].partition("?")[0])
        if head.method not in {"GET", "HEAD"}:
            allow = (("Allow", "GET, HEAD"),)
            return Page(HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, b"only GET and HEAD are allowed\n", allow)
        if path == "/metrics":
            self.scrapes += 1
            return Page(HTTPStatus.OK, CONTENT_TYPE_LATEST, render_metrics(self._registry))
        if path == "/-/healthy":
            return Page(HTTPStatus.OK, _PLAIN, b"healthy\n")
        if path == "/-/ready":
            ready = self._is_ready()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return Page(status, _PLAIN, b"ready\n" if ready else b"not ready\n")
        return self._written(path)

    def _written(self, path: str) -> Page:
        if path == "/":
            return _html(front_page(self._describe(), self._reports.names()))
        if path in {"/runs", "/runs/"}:
            return _html(runs_page(self._reports.names()))
        if path.startswith("/runs/"):
            name = path.removeprefix("/runs/")
            report = self._reports.read(name)
            if report is not None:
                return _html(report.decode(), _COLOURED)
            if name == self._reports.running:  # the page of now, until there is a report
                return _html(front_page(self._describe(), self._reports.names()))
            return Page(HTTPStatus.NOT_FOUND, _PLAIN, b"no report of this run is kept here: see /runs/\n")
        return Page(HTTPStatus.NOT_FOUND, _PLAIN, b"no such page\n")


class _Client(asyncio.Protocol):
    """One connection: one request and its response."""

    def __init__(self, server: MetricsServer, gate: Gate, limits: Limits, on_lost: Callable[[], None]) -> None:
        self._server, self._gate, self._limits, self._on_lost = server, gate, limits, on_lost
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._size = 0  # of the response, once there is one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, unless the client's certificate has none of the allowed names."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        certified = transport.get_extra_info("ssl_object")
        if certified is not None and not self._gate.is_allowed(certified):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        del exc
        if self._task is not None:
            self._task.cancel()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Collect the request's head; what comes behind it is not read."""
        if self._task is not None:
            return
        self._received += data
        if _END in self._received or len(self._received) > _LARGEST_HEAD:
            self._task = self._loop.create_task(self._serve())

    def eof_received(self) -> bool:
        """Close, unless a request is being answered: its client may end its own side first."""
        is_plain = self._transport is not None and self._transport.get_extra_info("ssl_object") is None
        return is_plain and self._task is not None

    async def _serve(self) -> None:
        raw = bytes(self._received.partition(_END)[0])
        head = parse_head(raw) if len(raw) <= _LARGEST_HEAD else None
        if head is not None:
            page = await self._answer(head)
        elif len(raw) > _LARGEST_HEAD:
            page = _refusal_page(Refusal(431, f"the request's head is longer than {_LARGEST_HEAD} bytes"))
        else:
            page = _refusal_page(Refusal(400, "the request is not one of HTTP/1.1"))
        rendered = render(page, head_only=head is not None and head.method == "HEAD")
        self._since, self._size = self._loop.time(), len(rendered)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(rendered)
            self._transport.close()

    async def _answer(self, head: Head) -> Page:
        try:
            return await self._server.answer(head)
        except Exception:  # the edge of the server: no request can end it
            log.exception("request failed", extra={"path": head.target})
            return _refusal_page(Refusal(500, "Internal Server Error"))

    def waits_since(self) -> float | None:
        """Return since when the client is waited for."""
        return self._since if self._task is None or self._size else None

    def is_overdue(self, now: float) -> bool:
        """Return whether the client has had its time to send the head, or to take the response."""
        if self._size:
            return now - self._since > self._limits.seconds_for(self._size)
        return self._task is None and now - self._since > self._limits.head_seconds

    def unsent_bytes(self) -> int:
        """Return how much of the response waits in this process."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def _refusal_page(refused: Refusal) -> Page:
    return Page(refused.status, _PLAIN, f"{refused.text}\n".encode(), merged(refused.headers, SECURITY))


def _html(page: str, *extra: str) -> Page:
    return Page(HTTPStatus.OK, _HTML, page.encode(), ((POLICY, page_policy(page, *extra)),))


def render(page: Page, *, head_only: bool) -> bytes:
    """Return a response as bytes."""
    lines = [
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in page.headers),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head_only else page.body)
