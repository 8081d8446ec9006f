"""`GET /metrics` of an instrumented app: the families of all workers, and those of prometheus_client's registry.

A scrape runs on a thread of its own, so that it delays no request, and a busy thread pool does not delay it.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from perfloop_base.exposition import OPENMETRICS, TEXT
from perfloop_base.web.preferences import accepts_gzip, prefers_openmetrics
from perfloop_exporter.metrics.exposition import render, render_openmetrics
from perfloop_exporter.metrics.text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop_exporter.instrument.exchange import Receive, Send
    from perfloop_exporter.instrument.workers import WorkerGroup
    from perfloop_exporter.metrics.families import AnyFamily

log = logging.getLogger("perfloop")

# The fastest level already removes nine tenths.
_GZIP_LEVEL = 1
_LISTS = (b"accept", b"accept-encoding")
_PROCESS_PREFIXES = ("process_", "python_gc_")


# One thread per process, created at the first scrape: after a fork of the server, not before.
@lru_cache(maxsize=1)
def _scrape_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="perfloop-scrape")


class MetricsEndpoint:
    """An ASGI app that serves the metrics."""

    is_metrics_endpoint: ClassVar[bool] = True

    def __init__(self, workers: WorkerGroup) -> None:
        self._workers = workers

    async def __call__(self, scope: Any, _receive: Receive, send: Send) -> None:
        """Serve one scrape."""
        if scope["method"] not in {"GET", "HEAD"}:
            headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        work = partial(self._answer, read_request(scope))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the app runs on another event loop than asyncio's, such as trio's
            body, headers = work()
        else:
            try:
                scrape = loop.run_in_executor(_scrape_thread(), work)
            except RuntimeError:  # no thread can be started: rather a delayed request than a missing scrape
                body, headers = work()
            else:
                body, headers = await scrape
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, request: ScrapeRequest) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        families = self._workers.families()
        return answer(replace(request, shared=self._workers.shared), families)


def read_request(scope: Any) -> ScrapeRequest:
    """Return what the request's headers and query ask for."""
    # A list may come in several headers of the same name: RFC 9110, section 5.3.
    headers: dict[bytes, str] = {}
    for raw, value in scope.get("headers", ()):
        name = raw.lower()
        if name in _LISTS:
            headers[name] = (
                f"{headers[name]}, {value.decode('latin-1')}" if name in headers else value.decode("latin-1")
            )
    try:
        query = parse_qs((scope.get("query_string") or b"").decode("latin-1"))
    except ValueError:  # too many fields, or not what parse_qs takes
        query = {}
    return ScrapeRequest(
        accept=headers.get(b"accept", ""),
        gzip=accepts_gzip(headers.get(b"accept-encoding", "")),
        names=frozenset(query.get("name[]", ())),
    )


@dataclass(frozen=True, slots=True)
class ScrapeRequest:
    """The negotiated form of one scrape.

    Attributes:
        names: The metrics that `name[]` asks for; empty for all.
        shared: Whether this process is one of several workers: prometheus_client's metrics of a single process are then
            left out, since each scrape would show another process's.
    """

    accept: str = ""
    gzip: bool = False
    names: frozenset[str] = frozenset()
    shared: bool = False

    @property
    def openmetrics(self) -> bool:
        """Whether the scraper prefers OpenMetrics, the only format with exemplars."""
        return prefers_openmetrics(self.accept)


def answer(request: ScrapeRequest, families: Iterable[AnyFamily]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the body and the headers of the response."""
    wanted = [family for family in families if _is_wanted(family.descriptor.name, request.names)]
    own = {name for family in wanted for name in family.descriptor.exposed}
    write = render_openmetrics if request.openmetrics else render
    body = write(wanted) + _client_text(request, own)
    headers = [
        (b"content-type", (OPENMETRICS if request.openmetrics else TEXT).encode()),
        (b"vary", b"accept, accept-encoding"),
    ]
    if request.gzip:
        body = gzip.compress(body, _GZIP_LEVEL)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    return body, headers


def _is_wanted(name: str, names: frozenset[str]) -> bool:
    return not names or any(name in {asked, asked.rpartition("_")[0]} for asked in names)


class ClientMetrics:
    """A collector of prometheus_client's metrics, except those with a name of perfloop's own families."""

    def __init__(self, request: ScrapeRequest, own: set[str]) -> None:
        self._request = request
        self._own = own

    def collect(self) -> Iterator[Any]:
        """Yield the metrics that are asked for."""
        from prometheus_client import REGISTRY, CollectorRegistry, multiprocess

        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for metric in registry.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            if self._request.shared and name.startswith(_PROCESS_PREFIXES):
                continue
            if name not in self._own and _is_wanted(name, self._request.names):
                yield metric


def _client_text(request: ScrapeRequest, own: set[str]) -> bytes:
    from prometheus_client import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

    metrics: Any = ClientMetrics(request, own)
    write: Any = generate_openmetrics if request.openmetrics else generate_latest
    try:
        text: bytes = write(metrics)
    except Exception as error:  # noqa: BLE001 - what the application has put into its registry
        return _family_by_family(metrics, write, error) + (b"# EOF\n" if request.openmetrics else b"")
    return text


def _family_by_family(metrics: ClientMetrics, write: Any, first: Exception) -> bytes:
    """Return what can be written of prometheus_client's metrics: one bad label must not cost the others."""
    parts: list[bytes] = []
    lost: list[str] = []
    try:
        for metric in metrics.collect():
            try:
                parts.append(write(_One(metric)).removesuffix(b"# EOF\n"))
            except Exception:  # noqa: BLE001 - the first one is logged
                lost.append(metric.name)
    except Exception as error:  # noqa: BLE001 - a collector of the application
        lost.append(text_of(error))
    _log_lost(", ".join(lost)[:500], text_of(first))
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _One:
    """A registry of one metric."""

    metric: Any

    def collect(self) -> Iterator[Any]:
        """Yield it."""
        yield self.metric


@lru_cache(maxsize=16)
def _log_lost(lost: str, why: str) -> None:
    """Log once for the same metrics, not at every scrape."""
    log.warning("Some of prometheus_client's metrics are not in the scrapes: %r: %r", lost, why)
