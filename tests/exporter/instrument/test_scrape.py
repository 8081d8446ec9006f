"""`GET /metrics`: formats, compression, selection, other people's metrics, and who may break it."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import prometheus_client
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from perfloop_base.exposition import OPENMETRICS, TEXT
from perfloop_exporter.instrument import instrument
from perfloop_exporter.monitor import PerformanceMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
OPENMETRICS_ACCEPT = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}


@pytest.fixture
def server(serve: Callable[..., RunningServer], registry: MetricRegistry) -> RunningServer:
    """A small service, asked once."""
    app = FastAPI()
    app.get("/items/{item}")(lambda item: item)
    running = serve(instrument(app, registry=registry))
    running.http.get("/items/7", headers=TRACE)
    monitor = PerformanceMonitor(registry)
    monitor.record_metric("api_response_time_ms", 150.5, {"endpoint": "/search"}, {"service": "api"})
    return running


@pytest.fixture
def foreign() -> Iterator[prometheus_client.Counter]:
    """A metric of the user's own, made with prometheus_client."""
    made = prometheus_client.Counter("foreign_jobs", "Jobs.", ["kind"])
    made.labels("x").inc(3)
    yield made
    prometheus_client.REGISTRY.unregister(made)


def test_the_plain_format_is_the_default(server: RunningServer):
    """Text 0.0.4, without exemplars, and the linter of Prometheus has nothing to say."""
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"] == TEXT
    assert " # {" not in answer.text


def test_promtool_accepts_everything(server: RunningServer, promtool: str):
    """Every metric of a scrape follows Prometheus' naming rules."""
    text = server.http.get("/metrics").content
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.stdout + checked.stderr, checked.returncode) == (b"", 0)


def test_openmetrics_carries_exemplars(server: RunningServer, foreign: prometheus_client.Counter):
    """Prometheus asks for it: one valid document with everything, trace ids of requests and metadata of records."""
    answer = server.http.get("/metrics", headers=OPENMETRICS_ACCEPT)
    assert answer.headers["content-type"] == OPENMETRICS
    exemplars = {
        sample.name: sample.exemplar.labels
        for family in parse_openmetrics(answer.text)
        for sample in family.samples
        if sample.exemplar is not None
    }
    trace = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    assert exemplars["http_server_request_duration_seconds_bucket"] == trace
    assert exemplars["http_server_time_to_first_byte_seconds_bucket"] == trace
    assert exemplars["app_api_response_time_seconds_bucket"] == {"endpoint": "/search"}
    assert 'foreign_jobs_total{kind="x"} 3.0\n' in answer.text


def test_the_user_s_own_metrics_appear_too(server: RunningServer, foreign: prometheus_client.Counter):
    """prometheus_client's registry is in the same answer, its process metrics included."""
    text = server.http.get("/metrics").text
    assert 'foreign_jobs_total{kind="x"} 3.0\n' in text
    assert "\nprocess_resident_memory_bytes " in text


def test_a_name_that_both_have_is_ours(server: RunningServer):
    """One family stands once, or Prometheus would refuse the whole scrape."""
    double = prometheus_client.Gauge("http_server_active_requests", "Another one.")
    try:
        text = server.http.get("/metrics").text
    finally:
        prometheus_client.REGISTRY.unregister(double)
    assert text.count("# TYPE http_server_active_requests ") == 1


def test_a_broken_collector_costs_only_its_registry(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    """The user's collector raises: our metrics are served."""

    def fail() -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(prometheus_client.REGISTRY, "collect", fail)
    for headers in ({}, OPENMETRICS_ACCEPT):
        text = server.http.get("/metrics", headers=headers).text
        assert "http_server_request_duration_seconds_count" in text
    assert text.endswith("# EOF\n")


def test_it_is_compressed_for_who_asks(server: RunningServer):
    """gzip, and the same text."""
    packed = server.http.get("/metrics/", headers={"accept-encoding": "gzip"}, follow_redirects=True)
    plain = server.http.get("/metrics", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) * 4 < len(packed.content)


def test_names_select(server: RunningServer):
    """`name[]` gives these families and no others."""
    text = server.http.get("/metrics?name[]=http_server_active_requests&name[]=app_api_response_time_seconds_sum").text
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert families == {"http_server_active_requests", "app_api_response_time_seconds"}


def test_head_and_other_methods(server: RunningServer):
    """HEAD has the headers alone; what would change something is refused."""
    head = server.http.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert server.http.post("/metrics").status_code == 405


def test_a_catch_all_does_not_hide_it(serve: Callable[..., RunningServer], registry: MetricRegistry, tmp_path: Path):
    """A mount at the root, added before or after, leaves the page in place."""
    app = FastAPI(routes=[Mount("/", StaticFiles(directory=tmp_path))])
    server = serve(instrument(app, registry=registry))
    assert "http_server_active_requests" in server.http.get("/metrics").text


def test_the_service_s_authentication_holds_for_it(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """It is a route like any other: the middlewares of the service stand before it."""
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable) -> Response:
        if request.headers.get("authorization") != "Bearer t":
            return PlainTextResponse("no", 401)
        return await call_next(request)

    server = serve(instrument(app, registry=registry))
    assert server.http.get("/metrics").status_code == 401
    assert server.http.get("/metrics", headers={"authorization": "Bearer t"}).status_code == 200


def test_a_page_of_the_user_s_own_stays(
    serve: Callable[..., RunningServer], registry: MetricRegistry, caplog: pytest.LogCaptureFixture
):
    """An existing /metrics is not taken over; one line says so."""
    app = FastAPI()
    app.get("/metrics")(lambda: "mine")
    server = serve(instrument(app, registry=registry))
    assert server.http.get("/metrics").json() == "mine"
    assert "The app has its own route '/metrics'" in caplog.text


def test_a_plain_asgi_app(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """Without a framework the answer of instrument() is the app to run."""

    async def app(scope: dict, _receive: object, send: Callable) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = serve(instrument(app, registry=registry))
    assert server.http.get("/anything/at/all").status_code == 204
    labels = {"http_request_method": "GET", "http_route": "unmatched", "http_response_status_code": "204"}
    assert server.value("http_server_request_duration_seconds_count", **labels) == 1


def test_excluded_paths_are_not_measured(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """Health checks need not drown the rest."""
    app = FastAPI()
    app.get("/health")(lambda: "ok")
    server = serve(instrument(app, registry=registry, exclude=["/health"]))
    assert server.http.get("/health").status_code == 200
    assert not [labels for name, labels in server.samples() if name.endswith("duration_seconds_count") and labels]


def test_a_scrape_does_not_hold_up_requests(server: RunningServer, registry: MetricRegistry):
    """While a source takes its time to be read, requests are answered."""
    reading, enough = threading.Event(), threading.Event()

    def read_slowly() -> None:
        reading.set()
        enough.wait(60)

    registry.before_read(read_slowly)
    scrape = threading.Thread(target=server.http.get, args=("/metrics",))
    scrape.start()
    assert reading.wait(60)
    assert server.http.get("/items/1").status_code == 200
    assert scrape.is_alive()
    enough.set()
    scrape.join()


def test_a_broken_source_costs_only_itself(server: RunningServer, registry: MetricRegistry):
    """A hook that raises before a scrape leaves everything else to be served."""

    def fail() -> None:
        raise RuntimeError("injected")

    registry.before_read(fail)
    assert "http_server_request_duration_seconds_count" in server.http.get("/metrics").text
