"""`instrument(app)`: measure an app's requests and serve its metrics, in one line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.endpoint import MetricsEndpoint
from perfloop_exporter.instrument.http_metrics import HttpMetrics
from perfloop_exporter.instrument.middleware import ASGIApp, ExemplarOf, MetricsMiddleware
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.instrument.exchange import Receive, Scope, Send

log = logging.getLogger("perfloop")

_DONE = "_perfloop_instrumented"
_groups: dict[MetricRegistry, WorkerGroup] = {}


def instrument(
    app: Any,
    *,
    metrics_path: str | None = "/metrics",
    exclude: Iterable[str] = (),
    exemplar: ExemplarOf | None = None,
    registry: MetricRegistry = DEFAULT,
) -> Any:
    """Measure a FastAPI, Starlette or any other ASGI app and serve its metrics; returns the app to run.

    FastAPI and Starlette apps are changed in place, so the answer can be ignored; `metrics_path` is a route of theirs
    behind their own middlewares (an authentication of the service holds for it too), `None` mounts none. `exclude`
    names paths that are not measured. `exemplar(scope)` gives the labels of a request's exemplar; without it they
    come from the `traceparent` header.
    """
    if getattr(app, _DONE, False):
        return app
    group = _groups.get(registry) or _groups.setdefault(registry, WorkerGroup(registry))
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
    # Around the whole stack: responses of the service's own error handling are seen as they go out.
    app.build_middleware_stack = lambda: wrap(build())
    setattr(app, _DONE, True)
    return app


def _mount(app: Any, path: str, endpoint: MetricsEndpoint) -> None:
    from starlette.routing import Route

    if any(getattr(route, "path", None) == path for route in app.router.routes):
        log.warning(
            "The app has a route %r of its own: it stays, and metrics_path of instrument() is not mounted", path
        )
        return
    # First, so that a catch-all route or a mount at "/" does not take it.
    app.router.routes.insert(0, Route(path, endpoint, include_in_schema=False))


class _PlainApp:
    """An ASGI app without routes of its own, with the metrics page beside it."""

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
