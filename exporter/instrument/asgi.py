"""`instrument(app)`: the ASGI middleware and the `/metrics` route."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from exporter.metrics.exposition import PLAIN, render
from exporter.metrics.registry import DEFAULT

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DURATION = DEFAULT.histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP server requests.",
    ("http_request_method", "http_route", "http_response_status_code"),
)
ACTIVE = DEFAULT.gauge("http_server_active_requests", "Requests being served now.")


class MetricsMiddleware:
    """Measures every request of the app behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, root_before = time.perf_counter(), 500, scope.get("root_path", "")

        async def measured_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        ACTIVE.labels().inc()
        try:
            await self.app(scope, receive, measured_send)
        finally:
            ACTIVE.labels().inc(-1)
            route = route_template(scope, root_before)
            DURATION.labels(scope["method"], route, str(status)).observe(time.perf_counter() - start)


def route_template(scope: Scope, root_before: str) -> str:
    """The route's template, never the concrete path; `unmatched` where no route was taken."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    if path is None:
        return "unmatched"
    return str(scope.get("root_path", ""))[len(root_before) :] + str(path)


class MetricsEndpoint:
    """Answers with every metric of this process."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one scrape."""
        body = render(DEFAULT.families())
        headers = [(b"content-type", PLAIN.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def instrument(app: Any, *, metrics_path: str | None = "/metrics") -> Any:
    """Measure a FastAPI, Starlette or plain ASGI app and serve its metrics; returns the app to run."""
    if not hasattr(app, "build_middleware_stack"):
        return MetricsMiddleware(app)
    if metrics_path is not None:
        from starlette.routing import Route

        app.router.routes.insert(0, Route(metrics_path, MetricsEndpoint(), include_in_schema=False))
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: MetricsMiddleware(build())
    return app
