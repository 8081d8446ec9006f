"""The metric families of HTTP servers, and the series of one method, route, status and error type."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_exporter.instrument.failures import failures_in
from perfloop_exporter.instrument.traces import EXEMPLAR_SECONDS
from perfloop_exporter.metrics.series import Exemplar, Labels

if TYPE_CHECKING:
    from perfloop_exporter.instrument.exchange import Exchange
    from perfloop_exporter.metrics.registry import MetricRegistry

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/: other methods are counted as _OTHER.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
OTHER_METHOD = "_OTHER"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/: only failed requests have it.
ERROR_TYPE = "error_type"

_ROUTE = ("http_request_method", "http_route")


class HttpMetrics:
    """The families of `http_server_*` in one registry."""

    def __init__(self, registry: MetricRegistry) -> None:
        histogram, counter = registry.histogram, registry.counter
        self.duration = histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests, until the last byte of the response, without waits that the client asked for.",
            (*_ROUTE, "http_response_status_code", ERROR_TYPE),
        )
        self.waits = histogram(
            "http_server_wait_seconds", "Waits that clients asked for: long polls, subscriptions to events.", _ROUTE
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
        self._known: dict[tuple[str, str, str, str], RequestSeries] = {}

    def series(self, method: str, route: str, status: str, error_type: str) -> RequestSeries:
        """Return the series of these labels, cached where they are not capped; `error_type` is empty for a success."""
        key = (method, route, status, error_type)
        known = self._known.get(key)
        if known is None:
            known = RequestSeries(self, method if method in METHODS else OTHER_METHOD, route, status, error_type)
            # Capped labels are not cached: invented methods and paths would fill the dictionary.
            if known.duration.labels[1][1] == route and known.method == method:
                self._known[key] = known
        return known


class RequestSeries:
    """The series of one method, route, status and error type."""

    __slots__ = (
        "chunks",
        "disconnects",
        "duration",
        "exemplar_after",
        "exemplar_seconds",
        "first_byte",
        "gaps",
        "method",
        "received",
        "sent",
        "waits",
    )

    def __init__(self, metrics: HttpMetrics, method: str, route: str, status: str, error_type: str) -> None:
        self.method = method
        labels = (("http_request_method", method), ("http_route", route), ("http_response_status_code", status))
        self.duration = metrics.duration.child((*labels, (ERROR_TYPE, error_type)) if error_type else labels)
        self.first_byte = metrics.first_byte.labels(method, route)
        self.gaps = metrics.gap
        self.waits = metrics.waits
        self.chunks = metrics.chunks.labels(method, route)
        self.disconnects = metrics.disconnects.labels(method, route)
        self.received = metrics.received.labels(method, route)
        self.sent = metrics.sent.labels(method, route)
        self.exemplar_after = self.exemplar_seconds = 0.0

    def count(self, exchange: Exchange, gone: bool) -> None:  # noqa: FBT001 - one caller, one fact
        """Record one finished request; `gone` means that its client has disconnected."""
        asked = gone and (exchange.subscribed or exchange.left_waiting())
        # A wait that its client ended without an answer has no duration but the wait's.
        if exchange.status is not None or not asked:
            self.duration.observe(exchange.complete_at - exchange.started_at)
        # An empty response has its first byte when it is complete; one that never began has none.
        if exchange.first_byte_at or not gone:
            self.first_byte.observe(exchange.first_byte_seconds())
        if exchange.subscribed or exchange.clock.waited:
            (_, method), (_, route) = self.chunks.labels
            self.waits.labels(method, route).observe(exchange.clock.waited_seconds())
        if exchange.chunks:
            self.count_chunks(exchange)
        if exchange.received:
            self.received.inc(exchange.received)
        if gone and not asked:
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

    def wants_exemplar(self, exchange: Exchange) -> bool:
        """Return whether the newest exemplar is old, or of a faster request: a slow one is what people look for."""
        now = exchange.complete_at
        return now >= self.exemplar_after or now - exchange.started_at > self.exemplar_seconds

    def keep_exemplar(self, labels: Labels, exchange: Exchange) -> None:
        """Store the request's trace as the exemplar of its buckets."""
        if not labels:
            return
        self.exemplar_after = exchange.complete_at + EXEMPLAR_SECONDS
        self.exemplar_seconds = exchange.complete_at - exchange.started_at
        now = round(time.time(), 3)
        self.duration.keep_exemplar(Exemplar(labels, exchange.complete_at - exchange.started_at, now))
        if exchange.first_byte_at:
            self.first_byte.keep_exemplar(Exemplar(labels, exchange.first_byte_seconds(), now))
