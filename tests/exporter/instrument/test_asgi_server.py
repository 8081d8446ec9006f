"""The middleware under a real uvicorn: streams, disconnects, websockets, bodies, errors."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from websockets.sync.client import connect

from perfloop_exporter.instrument import instrument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

GET = {"http_request_method": "GET"}


def build_app() -> FastAPI:
    """Return an app with streams, websockets, bodies, errors and background tasks."""
    app = FastAPI()
    _add_streams(app)
    _add_plain(app)
    return app


def _add_streams(app: FastAPI) -> None:

    @app.get("/stream")
    async def stream(chunks: int = 5, gap: float = 0.05) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for number in range(chunks):
                await asyncio.sleep(gap)
                yield b"chunk %d\n" % number

        return StreamingResponse(body())

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.receive_text()
        await websocket.close()


def _add_plain(app: FastAPI) -> None:
    @app.get("/slow")
    async def slow(request: Request) -> str:
        while not await request.is_disconnected():  # noqa: ASYNC110 - the client's leaving has no event
            await asyncio.sleep(0.01)
        raise ConnectionAbortedError("the client left")

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("on purpose")

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(time.sleep, 3.0)
        return "now"


@pytest.fixture
def server(serve: Callable[..., RunningServer], registry: MetricRegistry) -> RunningServer:
    """Serve the app."""
    return serve(instrument(build_app(), registry=registry))


def test_a_streamed_response_has_first_byte_chunks_and_gaps(server: RunningServer):
    """Five chunks 50 ms apart: the first byte after one gap, four gaps, the exact bytes, the whole duration."""
    body = server.http.get("/stream").content
    route = {**GET, "http_route": "/stream"}
    server.await_value("http_server_response_chunks_total", 5, **route)
    assert server.value("http_server_response_body_bytes_total", **route) == len(body)
    assert server.value("http_server_response_chunk_gap_seconds_count", **route) == 4
    first = server.value("http_server_time_to_first_byte_seconds_sum", **route)
    whole = server.value("http_server_request_duration_seconds_sum", **route, http_response_status_code="200")
    assert first is not None
    assert whole is not None
    assert first >= 0.05
    assert whole >= 0.25, "five gaps: a first byte that is sent late makes the next gap shorter"
    assert whole > first


def test_a_long_stream_is_counted_while_it_runs(server: RunningServer):
    """Chunks of a response in progress are counted in portions of 256; at the end none is missing."""
    route = {**GET, "http_route": "/stream"}
    with server.http.stream("GET", "/stream", params={"chunks": 700, "gap": 0.001}) as response:
        while not (counted := server.value("http_server_response_chunks_total", **route)):
            time.sleep(0.02)
        assert counted in {256, 512}
        assert server.value("http_server_active_requests") == 1
        size = sum(len(chunk) for chunk in response.iter_raw())
    server.await_value("http_server_response_chunks_total", 700, **route)
    assert server.value("http_server_response_chunk_gap_seconds_count", **route) == 699
    assert server.value("http_server_response_body_bytes_total", **route) == size


def test_a_client_that_disconnects_is_counted(server: RunningServer):
    """A connection that is closed during a stream is one disconnect, and not an error."""
    with server.http.stream("GET", "/stream", params={"chunks": 500, "gap": 0.01}) as response:
        next(response.iter_raw())
    route = {**GET, "http_route": "/stream"}
    server.await_value("http_server_client_disconnects_total", 1, **route)
    server.await_value("http_server_active_requests", 0)
    assert server.value("http_server_request_duration_seconds_count", **route, http_response_status_code="200") == 1


def test_a_client_that_disconnects_before_the_response_has_status_499(server: RunningServer):
    """No response was sent: the status is nginx's for a closed request."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.await_value("http_server_active_requests", 1)
    server.await_value(
        "http_server_request_duration_seconds_count", 1, **GET, http_route="/slow", http_response_status_code="499"
    )
    server.await_value("http_server_client_disconnects_total", 1, **GET, http_route="/slow")


def test_the_bytes_of_bodies_are_counted(server: RunningServer):
    """A chunked upload, which has no Content-Length, is counted, too."""
    parts = [b"x" * 1000] * 7
    assert server.http.post("/echo", content=iter(parts)).json() == 7000
    route = {"http_request_method": "POST", "http_route": "/echo"}
    server.await_value("http_server_request_body_bytes_total", 7000, **route)
    assert server.value("http_server_response_body_bytes_total", **route) == 4


def test_an_exception_is_a_500(server: RunningServer):
    """The app's own error page is sent, and its status is counted."""
    assert server.http.get("/broken").status_code == 500
    labels = {"http_route": "/broken", "http_response_status_code": "500", "error_type": "RuntimeError"}
    server.await_value("http_server_request_duration_seconds_count", 1, **GET, **labels)


def test_background_tasks_are_not_part_of_the_duration(server: RunningServer):
    """The duration ends with the last byte."""
    assert server.http.get("/later").json() == "now"
    labels = {**GET, "http_route": "/later", "http_response_status_code": "200"}
    server.await_value("http_server_request_duration_seconds_count", 1, **labels)
    seconds = server.value("http_server_request_duration_seconds_sum", **labels)
    assert seconds is not None
    assert seconds < 2.9


def test_websockets_are_counted_while_open(server: RunningServer):
    """A websocket works unchanged, and is not counted as an HTTP request."""
    with connect(server.url.replace("http", "ws") + "/ws") as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"
        server.await_value("http_server_active_websockets", 1)
        websocket.send("bye")
    server.await_value("http_server_active_websockets", 0)
    assert not [labels for name, labels in server.samples() if name.endswith("duration_seconds_count") and labels]


def test_scrapes_are_not_measured(server: RunningServer):
    """Scrapes are not counted as requests."""
    for _ in range(3):
        server.http.get("/metrics")
    assert server.value("http_server_active_requests") == 0
    assert not [labels for name, labels in server.samples() if name.endswith("duration_seconds_count") and labels]


def test_unknown_methods_are_one_label_value(server: RunningServer):
    """Methods that a client invents do not become series."""
    for method in ("MKCOL", "LOCK", "PROPFIND"):
        server.http.request(method, "/echo")
    server.await_value(
        "http_server_request_duration_seconds_count",
        3,
        http_request_method="_OTHER",
        http_route="/echo",
        http_response_status_code="405",
    )
