"""The metric families of HTTP servers, and the series of one method, route and status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_exporter.instrument.failures import failures_in
from perfloop_exporter.metrics.series import Exemplar, Labels

if TYPE_CHECKING:
    from perfloop_exporter.instrument.exchange import Exchange
    from perfloop_exporter.metrics.registry import MetricRegistry

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/: other methods are counted as _OTHER.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
OTHER_METHOD = "_OTHER"
# Shortest time between two exemplars of a series: extracting a trace id must not cost every request.
EXEMPLAR_SECONDS = 0.1

_ROUTE = ("http_request_method", "http_route")


class HttpMetrics:
    """The families of `http_server_*` in one registry."""

    def __init__(self, registry: MetricRegistry) -> None:
        histogram, counter = registry.histogram, registry.counter
        self.duration = histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests, until the last byte of the response.",
            (*_ROUTE, "http_response_status_code"),
        )
        self.first_byte = histogram(
            "http_server_time_to_first_byte_seconds", "Time until the first byte of the response's body.", _ROUTE
        )
        self.gap = histogram(
            "http_server_response_chunk_gap_seconds", "Time between two chunks of a streamed response.", _ROUTE
        )
        self.chunks = counter("http_server_response_chunks_total", "Chunks of response bodies.", _ROUTE)
        self.disconnects = counter(
            "http_server_client_disconnects_total", "Requests whose client left before the response's end.", _ROUTE
        )
        self.received = counter("http_server_request_body_bytes_total", "Bytes of request bodies.", _ROUTE)
        self.sent = counter("http_server_response_body_bytes_total", "Bytes of response bodies.", _ROUTE)
        self.active = registry.gauge("http_server_active_requests", "HTTP requests being served now.").labels()
        self.websockets = registry.gauge("http_server_active_websockets", "Websockets open now.").labels()
        self.errors = failures_in(registry)
        self._known: dict[tuple[str, str, str], RequestSeries] = {}

    def series(self, method: str, route: str, status: str) -> RequestSeries:
        """Return the series of a method, route and status, cached where the labels are not capped."""
        key = (method, route, status)
        known = self._known.get(key)
        if known is None:
            known = RequestSeries(self, method if method in METHODS else OTHER_METHOD, route, status)
            # Capped labels are not cached: invented methods and paths would fill the dictionary.
            if known.duration.labels[1][1] == route and known.method == method:
                self._known[key] = known
        return known


class RequestSeries:
    """The series of one method, route and status."""

    __slots__ = (
        "chunks",
        "disconnects",
        "duration",
        "exemplar_after",
        "first_byte",
        "gaps",
        "method",
        "received",
        "sent",
    )

    def __init__(self, metrics: HttpMetrics, method: str, route: str, status: str) -> None:
        self.method = method
        self.duration = metrics.duration.labels(method, route, status)
        self.first_byte = metrics.first_byte.labels(method, route)
        self.gaps = metrics.gap
        self.chunks = metrics.chunks.labels(method, route)
        self.disconnects = metrics.disconnects.labels(method, route)
        self.received = metrics.received.labels(method, route)
        self.sent = metrics.sent.labels(method, route)
        self.exemplar_after = 0.0

    def count(self, exchange: Exchange, gone: bool) -> None:  # noqa: FBT001 - one caller, one fact
        """Record one finished request; `gone` means that its client has disconnected."""
        self.duration.observe(exchange.complete_at - exchange.started_at)
        # An empty response has its first byte when it is complete; one that never began has none.
        if exchange.first_byte_at or not gone:
            self.first_byte.observe(exchange.first_byte_seconds())
        if exchange.chunks:
            self.count_chunks(exchange)
        if exchange.received:
            self.received.inc(exchange.received)
        if gone:
            self.disconnects.inc()

    def count_chunks(self, exchange: Exchange) -> None:
        """Record the chunks since the call before."""
        self.chunks.inc(exchange.chunks)
        self.sent.inc(exchange.sent)
        if exchange.gaps is not None:
            (_, method), (_, route) = self.chunks.labels
            self.gaps.labels(method, route).observe_all(exchange.gaps)
        exchange.chunks = exchange.sent = 0
        exchange.gaps = None

    def keep_exemplar(self, labels: Labels, exchange: Exchange) -> None:
        """Store the request's trace as the exemplar of its buckets."""
        if not labels:
            return
        now = round(time.time(), 3)
        self.duration.keep_exemplar(Exemplar(labels, exchange.complete_at - exchange.started_at, now))
        if exchange.first_byte_at:
            self.first_byte.keep_exemplar(Exemplar(labels, exchange.first_byte_seconds(), now))
