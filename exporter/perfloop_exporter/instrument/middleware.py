"""The ASGI middleware: measures every request without ever failing or changing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

from perfloop_exporter.instrument.exchange import CLIENT_CLOSED, Exchange, Receive, Scope, Send
from perfloop_exporter.instrument.failures import note_failure
from perfloop_exporter.instrument.http_metrics import EXEMPLAR_SECONDS, HttpMetrics
from perfloop_exporter.instrument.routes import UNMATCHED, route_template
from perfloop_exporter.metrics.exemplars import exemplar_labels, trace_of

if TYPE_CHECKING:
    from perfloop_exporter.instrument.workers import WorkerGroup
    from perfloop_exporter.metrics.series import Labels

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
ExemplarOf = Callable[[Scope], Mapping[str, str] | None]

FAILED = 500
_MARK = "perfloop.measured"


class MetricsMiddleware:
    """Wraps an ASGI app; `exclude` are paths that are not measured."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: HttpMetrics,
        workers: WorkerGroup,
        exclude: frozenset[str] = frozenset(),
        exemplar: ExemplarOf | None = None,
    ) -> None:
        self.app = app
        self._metrics = metrics
        self._workers = workers
        self._exclude = exclude
        self._exemplar = exemplar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        exchange: Exchange | None = None
        try:
            if not self._workers.joined:
                self._workers.join()
            # A request to an instrumented app that is mounted in an instrumented app is measured once.
            if scope["type"] == "http" and scope["path"] not in self._exclude and _MARK not in scope:
                scope[_MARK] = True
                exchange = Exchange(receive, send, scope, self._spill)
                self._metrics.active.inc()
        except Exception as error:  # noqa: BLE001 - measuring must not fail the request
            self._report(error)
        if exchange is None:
            await self._pass(scope, receive, send)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            try:
                self._count(exchange)
            except Exception as error:  # noqa: BLE001 - measuring must not fail the request
                self._report(error)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is not measured as a request: websockets, lifespan, excluded paths."""
        kind = scope["type"]
        self._note(kind, 1)
        try:
            await self.app(scope, receive, send)
        finally:
            self._note(kind, -1)

    def _note(self, kind: str, step: int) -> None:
        try:
            if kind == "websocket":
                self._metrics.websockets.inc(step)
            elif kind == "lifespan" and step < 0:
                self._workers.write()
        except Exception as error:  # noqa: BLE001 - measuring must not fail the connection
            self._report(error)

    def _spill(self, exchange: Exchange) -> None:
        """Count the chunks of a response in progress."""
        route = self._route(exchange)
        self._metrics.series(exchange.scope["method"], route, str(exchange.status)).count_chunks(exchange)

    def _count(self, exchange: Exchange) -> None:
        scope = exchange.scope
        self._metrics.active.inc(-1)
        if getattr(scope.get("endpoint"), "is_metrics_endpoint", False):
            return
        gone = exchange.disconnected
        if not exchange.complete_at:
            exchange.complete_at = perf_counter()
        if exchange.failure is not None:
            self._report(exchange.failure)
        status = exchange.status
        if status is None:
            status = CLIENT_CLOSED if gone else FAILED
        series = self._metrics.series(scope["method"], self._route(exchange), str(status))
        series.count(exchange, gone)
        if exchange.complete_at >= series.exemplar_after:
            series.exemplar_after = exchange.complete_at + EXEMPLAR_SECONDS
            series.keep_exemplar(self._trace(scope), exchange)

    def _route(self, exchange: Exchange) -> str:
        try:
            return route_template(exchange.scope, exchange.root_path)
        except Exception as error:  # noqa: BLE001 - the request is counted without its route
            self._report(error)
            return UNMATCHED

    def _trace(self, scope: Scope) -> Labels:
        if self._exemplar is not None:
            return exemplar_labels(self._exemplar(scope) or {})
        return trace_of(scope.get("headers", ()))

    def _report(self, error: Exception) -> None:
        note_failure(error, self._metrics.errors)
