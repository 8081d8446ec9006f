"""The ASGI middleware: measures every request without ever failing or changing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from perfloop_exporter.instrument.exchange import CLIENT_CLOSED, Exchange, Message, Receive, Scope, Send
from perfloop_exporter.instrument.failures import note_failure
from perfloop_exporter.instrument.routes import UNMATCHED, route_template, template_behind
from perfloop_exporter.instrument.traces import labels_of_span
from perfloop_exporter.instrument.waits import current_request
from perfloop_exporter.metrics.exemplars import exemplar_labels, trace_of

if TYPE_CHECKING:
    from perfloop_exporter.instrument.http_metrics import HttpMetrics
    from perfloop_exporter.instrument.workers import WorkerGroup
    from perfloop_exporter.metrics.series import Labels

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
ExemplarOf = Callable[[Scope], Mapping[str, str] | None]

FAILED = 500
_MARK = "perfloop.measured"
_BODIES = ("http.response.body", "http.response.pathsend")


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
        token = None
        try:
            if not self._workers.joined:
                self._workers.join()
            # A request to an instrumented app that is mounted in an instrumented app is measured once.
            if scope["type"] == "http" and scope["path"] not in self._exclude and _MARK not in scope:
                exchange = scope[_MARK] = Exchange(receive, send, scope, self._spill)
                token = current_request.set(exchange)
                self._metrics.active.inc()
        except Exception as error:  # noqa: BLE001 - measuring must not fail the request
            self._report(error)
        if exchange is None:
            await self._pass(scope, receive, send)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.error = error
            raise
        finally:
            if token is not None:
                with suppress(ValueError):  # closed in another context than it ran in
                    current_request.reset(token)
            try:
                scope[_MARK] = True  # no cycle for the garbage collector
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
        self._metrics.series(exchange.scope["method"], route, str(exchange.status), "").count_chunks(exchange)

    def _count(self, exchange: Exchange) -> None:
        scope = exchange.scope
        self._metrics.active.inc(-1)
        if getattr(scope.get("endpoint"), "is_metrics_endpoint", False):
            return
        gone = exchange.disconnected
        status = exchange.status
        if status is None:
            status = CLIENT_CLOSED if gone else FAILED
        error_type = exchange.error_type(status)
        if not exchange.complete_at:
            exchange.complete_at = exchange.clock.now()
        if exchange.failure is not None:
            self._report(exchange.failure)
        series = self._metrics.series(scope["method"], self._route(exchange), str(status), error_type)
        series.count(exchange, gone)
        if series.wants_exemplar(exchange):
            series.keep_exemplar(self._trace(exchange), exchange)

    def _route(self, exchange: Exchange) -> str:
        scope = exchange.scope
        try:
            found = route_template(scope, exchange.root_path)
            # A router that has looked and found nothing is right; otherwise something in front of it has answered.
            if found == UNMATCHED and ("router" not in scope or "endpoint" in scope):
                found = template_behind(exchange.app, scope, exchange.root_path)
        except Exception as error:  # noqa: BLE001 - the request is counted without its route
            self._report(error)
            return UNMATCHED
        return found

    def _trace(self, exchange: Exchange) -> Labels:
        scope = exchange.scope
        if self._exemplar is not None:
            return exemplar_labels(self._exemplar(scope) or {})
        return labels_of_span(exchange.span) or trace_of(scope.get("headers", ()))

    def _report(self, error: Exception) -> None:
        note_failure(error, self._metrics.errors)


class InnerProbe:
    """Stands behind an app's own middlewares, and notes when what they wrap fails within its response.

    Starlette's BaseHTTPMiddleware ends the response of a stream that raises as if it were complete, and raises after
    it: in front of it, that looks like a background task that fails.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        exchange = scope.get(_MARK)
        if exchange is None:
            await self._app(scope, receive, send)
            return
        complete = False

        async def noting(message: Message) -> None:
            nonlocal complete
            if isinstance(message, dict) and message.get("type") in _BODIES:
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except BaseException:
            exchange.broke_inside = not complete
            raise
