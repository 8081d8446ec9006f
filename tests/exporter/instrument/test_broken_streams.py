"""Responses that break after their headers, and waits that the client asked for, under a real uvicorn."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from perfloop_exporter.instrument import instrument, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.responses import Response

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

COUNT = "http_server_request_duration_seconds_count"
SUM = "http_server_request_duration_seconds_sum"


def build_app() -> FastAPI:
    """Return an app that fails before, within and after its responses, and one that waits."""
    app = FastAPI()
    _add_failures(app)
    _add_polls(app)
    _add_streams(app)
    return app


def _add_failures(app: FastAPI) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("mid")

    async def grouped() -> AsyncIterator[bytes]:
        yield b"x"
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def fail() -> None:
        raise LookupError("in a task")

    app.get("/broken")(lambda: StreamingResponse(broken()))
    app.get("/events")(lambda: StreamingResponse(broken(), media_type="text/event-stream"))
    app.get("/grouped")(lambda: StreamingResponse(grouped()))

    @app.get("/refused")
    def refused() -> None:
        raise HTTPException(503)

    @app.get("/missing")
    def missing() -> None:
        raise HTTPException(404)

    @app.get("/later")
    def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(fail)
        return "now"


def _add_polls(app: FastAPI) -> None:
    @app.get("/poll")
    async def poll() -> str:
        async with waiting():
            await asyncio.sleep(0.2)
        return "nothing new"

    @app.get("/poll-in-a-thread")
    def poll_in_a_thread() -> str:
        with waiting():
            time.sleep(0.2)
        return "nothing new"

    @app.get("/two-at-once")
    async def two_at_once() -> str:
        async def wait() -> None:
            with waiting():
                await asyncio.sleep(0.2)

        await asyncio.gather(wait(), wait())
        return "nothing new"


def _add_streams(app: FastAPI) -> None:
    @app.get("/feed")
    async def feed() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            while True:
                await asyncio.sleep(0.2)
                yield "data: 1\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/answer")
    async def answer() -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            for _ in range(2):
                await asyncio.sleep(0.1)
                yield "data: 1\n\n"

        return StreamingResponse(tokens(), media_type="text/event-stream")


async def _untouched(request: Request, call_next: Callable[[Request], Any]) -> Response:
    answered: Response = await call_next(request)
    return answered


@pytest.fixture(params=[0, 2], ids=["bare", "behind middlewares"])
def server(
    serve: Callable[..., RunningServer], registry: MetricRegistry, request: pytest.FixtureRequest
) -> RunningServer:
    """Serve the app, also behind middlewares that end a broken response as if it were complete."""
    app = build_app()
    for _ in range(request.param):
        app.add_middleware(BaseHTTPMiddleware, dispatch=_untouched)
    return serve(instrument(app, registry=registry))


def labels_of(route: str, status: str, error_type: str = "", method: str = "GET") -> dict[str, str]:
    """Return the labels of a route's requests."""
    labels = {"http_request_method": method, "http_route": route, "http_response_status_code": status}
    return labels | ({"error_type": error_type} if error_type else {})


@pytest.mark.parametrize(
    ("route", "status", "error_type"),
    [
        ("/broken", "200", "LookupError"),
        ("/events", "200", "LookupError"),
        ("/grouped", "200", "LookupError"),
        ("/refused", "503", "503"),
        ("/missing", "404", ""),
        ("/later", "200", ""),
    ],
)
def test_what_failed_says_how(server: RunningServer, route: str, status: str, error_type: str):
    """A response that breaks keeps its status and has the error; a background task that fails has answered."""
    try:
        server.http.get(route)
    except httpx.RemoteProtocolError:
        assert route in {"/broken", "/events", "/grouped"}
    server.await_value(COUNT, 1, **labels_of(route, status, error_type))
    assert server.value("perfloop_instrumentation_errors_total") == 0


async def test_an_app_that_returns_too_early_has_failed(registry: MetricRegistry):
    """Without a response, or with half of one."""

    async def half(scope: Any, _receive: object, send: Callable[..., Any]) -> None:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def discard(_message: object) -> None:
        return

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    app = instrument(half, registry=registry, metrics_path=None)
    for path in ("/half", "/none"):
        await app({"type": "http", "path": path, "method": "GET"}, receive, discard)
    found = {
        (labels["http_response_status_code"], labels["error_type"])
        for series in registry.histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests, until the last byte of the response, without waits that the client asked for.",
            ("http_request_method", "http_route", "http_response_status_code", "error_type"),
        ).series()
        if (labels := dict(series.labels))
    }
    assert found == {("200", "incomplete_response"), ("500", "incomplete_response")}


@pytest.mark.parametrize("route", ["/poll", "/poll-in-a-thread", "/two-at-once"])
def test_a_long_poll_is_not_latency(server: RunningServer, route: str):
    """What the handler has marked is a wait, counted once where waits overlap."""
    assert server.http.get(route).json() == "nothing new"
    server.await_value(COUNT, 1, **labels_of(route, "200"))
    worked = server.value(SUM, **labels_of(route, "200"))
    assert worked is not None
    assert worked < 0.15
    waited = server.value("http_server_wait_seconds_sum", http_request_method="GET", http_route=route)
    assert waited is not None
    assert 0.19 < waited < 0.2 + 0.19
    first = server.value("http_server_time_to_first_byte_seconds_sum", http_request_method="GET", http_route=route)
    assert first is not None
    assert first < 0.15


def test_an_idle_feed_is_not_latency(server: RunningServer):
    """A subscription has been answered when it begins; its end is not a client that has given up."""
    with server.http.stream("GET", "/feed") as response:
        next(response.iter_raw())
    route = {"http_request_method": "GET", "http_route": "/feed"}
    server.await_value("http_server_wait_seconds_count", 1, **route)
    assert (server.value("http_server_wait_seconds_sum", **route) or 0) > 0.15
    assert (server.value(SUM, **labels_of("/feed", "200")) or 1) < 0.15
    assert server.value("http_server_client_disconnects_total", **route) == 0
    assert server.value("http_server_response_chunk_gap_seconds_count", **route) is None
    assert (server.value("http_server_response_chunks_total", **route) or 0) >= 1


def test_a_streamed_answer_is_latency(server: RunningServer):
    """Events that answer a POST are an answer in pieces: its duration is that of the whole."""
    server.http.post("/answer")
    labels = labels_of("/answer", "200", method="POST")
    server.await_value(COUNT, 1, **labels)
    assert (server.value(SUM, **labels) or 0) >= 0.2
