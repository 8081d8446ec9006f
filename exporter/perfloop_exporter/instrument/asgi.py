"""`instrument(app)`: measure an ASGI app's requests and serve its metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.endpoint import MetricsEndpoint
from perfloop_exporter.instrument.http_metrics import HttpMetrics
from perfloop_exporter.instrument.middleware import ASGIApp, ExemplarOf, InnerProbe, MetricsMiddleware
from perfloop_exporter.instrument.telemetry import group_of
from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop_exporter.instrument.exchange import Receive, Scope, Send

log = logging.getLogger("perfloop")

_DONE = "_perfloop_instrumented"


def instrument(
    app: Any,
    *,
    metrics_path: str | None = "/metrics",
    exclude: Iterable[str] = (),
    exemplar: ExemplarOf | None = None,
    registry: MetricRegistry = DEFAULT,
) -> Any:
    """Measure the requests of a FastAPI, Starlette or other ASGI app, and serve its metrics.

    Args:
        app: FastAPI and Starlette apps are changed in place.
        metrics_path: Path of the metrics, None to serve none. In FastAPI and Starlette apps it is a route behind the
            app's own middlewares, so that the app's authentication applies to it.
        exclude: Paths that are not measured.
        exemplar: Returns the labels of a request's exemplar from its ASGI scope; by default they are the ids of the
            OpenTelemetry span that is current in the app, else those in the `traceparent` header.
        registry: Where the metrics are recorded.

    Returns:
        The app to run: the same object for FastAPI and Starlette, a wrapper for other apps.
    """
    if getattr(app, _DONE, False):
        return app
    group = group_of(registry)
    endpoint = MetricsEndpoint(group)
    metrics = HttpMetrics(registry)
    excluded = frozenset(exclude) | ({metrics_path} if metrics_path else frozenset())

    def wrap(inner: ASGIApp) -> MetricsMiddleware:
        return MetricsMiddleware(inner, metrics, group, excluded, exemplar)

    if not hasattr(app, "build_middleware_stack"):
        return wrap(_PlainApp(app, metrics_path, endpoint))
    if metrics_path is not None:
        _mount(app, metrics_path, endpoint)
    if app.middleware_stack is not None:
        app.middleware_stack = wrap(app.middleware_stack)
    build = app.build_middleware_stack
    # Around the whole stack, so that the responses of the app's error handlers are measured as they are sent.
    app.build_middleware_stack = lambda: wrap(_build_with_probe(app, build))
    setattr(app, _DONE, True)
    return app


def _build_with_probe(app: Any, build: Callable[[], ASGIApp]) -> ASGIApp:
    """Return the app's stack, with the probe innermost where a middleware of Starlette's hides broken streams."""
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    own = app.user_middleware
    if not any(isinstance(one.cls, type) and issubclass(one.cls, BaseHTTPMiddleware) for one in own):
        return build()
    app.user_middleware = [*own, Middleware(InnerProbe)]
    try:
        return build()
    finally:
        app.user_middleware = own


def _mount(app: Any, path: str, endpoint: MetricsEndpoint) -> None:
    from starlette.routing import Route

    if any(getattr(route, "path", None) == path for route in app.router.routes):
        log.warning("The app has its own route %r: the metrics_path of instrument() is not mounted", path)
        return
    # First, so that a catch-all route or a mount at "/" does not match before it.
    app.router.routes.insert(0, Route(path, endpoint, include_in_schema=False))


class _PlainApp:
    """An ASGI app that is not Starlette's, with the metrics endpoint in front of it."""

    def __init__(self, app: ASGIApp, path: str | None, endpoint: MetricsEndpoint) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._endpoint(scope, receive, send)
        else:
            await self._app(scope, receive, send)
