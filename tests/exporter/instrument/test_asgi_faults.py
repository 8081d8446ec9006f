"""Whatever fails in the instrumentation, the response is unchanged, byte for byte."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from websockets.sync.client import connect

from perfloop_exporter.instrument import instrument
from perfloop_exporter.instrument.exchange import Exchange
from perfloop_exporter.instrument.http_metrics import HttpMetrics, RequestSeries
from perfloop_exporter.instrument.middleware import MetricsMiddleware
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.families import Family
from perfloop_exporter.metrics.guard import LabelGuard
from perfloop_exporter.metrics.series import GaugeSeries, HistogramSeries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

REQUESTS = [
    b"GET /items/7 HTTP/1.1\r\n",
    b"GET /stream HTTP/1.1\r\n",
    b"HEAD /items/7 HTTP/1.1\r\n",
    b"POST /items/7 HTTP/1.1\r\n",
    b"GET /missing HTTP/1.1\r\n",
    b"GET /broken HTTP/1.1\r\n",
]
TRACE = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"


def build_app() -> FastAPI:
    """Return an app with each kind of response."""
    app = FastAPI()

    @app.get("/items/{item}")
    async def read(item: int) -> dict[str, int]:
        return {"item": item}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for number in range(4):
                yield b"%d," % number

        return StreamingResponse(body())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("on purpose")

    return app


def ask(server: RunningServer) -> list[bytes]:
    """Return the raw bytes of every response."""
    host, port = server.url.removeprefix("http://").split(":")
    answers = []
    for line in REQUESTS:
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(line + b"Host: x\r\nConnection: close\r\n" + TRACE + b"\r\n")
            answers.append(b"".join(iter(lambda: connection.recv(65536), b"")))
    return answers


def fail(*_args: Any, **_options: Any) -> NoReturn:
    """Raise."""
    raise RuntimeError("injected")


class FailingFilter(logging.Filter):
    """A logging filter that raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Raise."""
        raise RuntimeError("injected")


FAULTS: dict[str, list[tuple[Any, str]]] = {
    "the registry's lookup": [(Family, "labels"), (HttpMetrics, "series")],
    "a histogram": [(HistogramSeries, "observe")],
    "the in-flight gauge": [(GaugeSeries, "inc")],
    "the label guard": [(LabelGuard, "admit")],
    "counting a request": [(RequestSeries, "count")],
    "the exemplar": [(RequestSeries, "keep_exemplar")],
    "counting a body": [(Exchange, "_count_body")],
    "the start of a request": [(Exchange, "__init__")],
    "joining the workers": [(WorkerGroup, "join")],
    "the end of a request": [(MetricsMiddleware, "_count")],
}


@pytest.fixture
def plain(serve: Callable[..., RunningServer]) -> list[bytes]:
    """Return the responses of the app without instrumentation."""
    return ask(serve(build_app(), date_header=False))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_response_is_unchanged(
    fault: str,
    plain: list[bytes],
    serve: Callable[..., RunningServer],
    registry: MetricRegistry,
    monkeypatch: pytest.MonkeyPatch,
):
    """When this part raises, every response has the bytes that it has without the middleware."""
    app = instrument(build_app(), registry=registry)
    server = serve(app, date_header=False)
    for owner, name in FAULTS[fault]:
        monkeypatch.setattr(owner, name, fail)
    assert ask(server) == plain


def test_the_route_lookup_may_fail(
    plain: list[bytes], serve: Callable[..., RunningServer], registry: MetricRegistry, monkeypatch: pytest.MonkeyPatch
):
    """The request is served and still counted, without its route."""
    monkeypatch.setattr("perfloop_exporter.instrument.middleware.route_template", fail)
    server = serve(instrument(build_app(), registry=registry), date_header=False)
    assert ask(server) == plain
    server.await_value("perfloop_instrumentation_errors_total", len(REQUESTS))
    server.await_value(
        "http_server_request_duration_seconds_count",
        2,
        http_request_method="GET",
        http_route="unmatched",
        http_response_status_code="200",
    )


def test_a_callback_may_fail(plain: list[bytes], serve: Callable[..., RunningServer], registry: MetricRegistry):
    """The user's exemplar callback raises for every request: responses are unchanged, and each failure is counted."""
    server = serve(instrument(build_app(), registry=registry, exemplar=fail), date_header=False)
    assert ask(server) == plain
    server.await_value("perfloop_instrumentation_errors_total", len(REQUESTS))


def test_logging_may_fail_too(
    plain: list[bytes], serve: Callable[..., RunningServer], registry: MetricRegistry, monkeypatch: pytest.MonkeyPatch
):
    """A failure that cannot be logged either does not fail the request."""
    monkeypatch.setattr(RequestSeries, "count", fail)
    logger, failing = logging.getLogger("perfloop"), FailingFilter()
    logger.addFilter(failing)
    try:
        assert ask(serve(instrument(build_app(), registry=registry), date_header=False)) == plain
    finally:
        logger.removeFilter(failing)


def test_websockets_open_whatever_fails(
    serve: Callable[..., RunningServer], registry: MetricRegistry, monkeypatch: pytest.MonkeyPatch
):
    """A failing gauge or a failing join does not affect a websocket."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    server = serve(instrument(app, registry=registry))
    monkeypatch.setattr(GaugeSeries, "inc", fail)
    monkeypatch.setattr(WorkerGroup, "join", fail)
    with connect(server.url.replace("http", "ws") + "/ws") as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"


def test_without_faults_responses_are_unchanged(
    plain: list[bytes], serve: Callable[..., RunningServer], registry: MetricRegistry
):
    """The responses of the instrumented app equal those of the plain one."""
    assert ask(serve(instrument(build_app(), registry=registry), date_header=False)) == plain
