"""`GET /metrics`: formats, compression, selection, prometheus_client's metrics, and faults."""

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
    """Serve a small app that has handled one request."""
    app = FastAPI()
    app.get("/items/{item}")(lambda item: item)
    running = serve(instrument(app, registry=registry))
    running.http.get("/items/7", headers=TRACE)
    monitor = PerformanceMonitor(registry)
    monitor.record_metric("api_response_time_ms", 150.5, {"endpoint": "/search"}, {"service": "api"})
    return running


@pytest.fixture
def foreign() -> Iterator[prometheus_client.Counter]:
    """Return a metric that was created with prometheus_client."""
    made = prometheus_client.Counter("foreign_jobs", "Jobs.", ["kind"])
    made.labels("x").inc(3)
    yield made
    prometheus_client.REGISTRY.unregister(made)


def test_the_plain_format_is_the_default(server: RunningServer):
    """It is text 0.0.4, which has no exemplars."""
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"] == TEXT
    assert " # {" not in answer.text


def test_promtool_accepts_everything(server: RunningServer, promtool: str):
    """Every metric of a scrape follows Prometheus's naming rules."""
    text = server.http.get("/metrics").content
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.stdout + checked.stderr, checked.returncode) == (b"", 0)


def test_openmetrics_has_exemplars(server: RunningServer, foreign: prometheus_client.Counter):
    """One valid document has all metrics, the trace ids of requests and the metadata of records."""
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


def test_metrics_of_prometheus_client_are_included(server: RunningServer, foreign: prometheus_client.Counter):
    """The metrics of prometheus_client's registry are in the response, including its process metrics."""
    text = server.http.get("/metrics").text
    assert 'foreign_jobs_total{kind="x"} 3.0\n' in text
    assert "\nprocess_resident_memory_bytes " in text


def test_a_name_of_both_registries_is_exported_once(server: RunningServer):
    """Prometheus would reject a scrape with a duplicate family."""
    duplicate = prometheus_client.Gauge("http_server_active_requests", "Another one.")
    try:
        text = server.http.get("/metrics").text
    finally:
        prometheus_client.REGISTRY.unregister(duplicate)
    assert text.count("# TYPE http_server_active_requests ") == 1


def test_a_broken_collector_costs_only_its_registry(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    """When a collector of the user raises, perfloop's metrics are still served."""

    def fail() -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(prometheus_client.REGISTRY, "collect", fail)
    for headers in ({}, OPENMETRICS_ACCEPT):
        text = server.http.get("/metrics", headers=headers).text
        assert "http_server_request_duration_seconds_count" in text
    assert text.endswith("# EOF\n")


def test_the_response_is_compressed_on_request(server: RunningServer):
    """A client that accepts gzip gets less than a quarter of the bytes."""
    packed = server.http.get("/metrics/", headers={"accept-encoding": "gzip"}, follow_redirects=True)
    plain = server.http.get("/metrics", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) * 4 < len(packed.content)


def test_name_selects_families(server: RunningServer):
    """With `name[]` the response has these families only."""
    text = server.http.get("/metrics?name[]=http_server_active_requests&name[]=app_api_response_time_seconds_sum").text
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert families == {"http_server_active_requests", "app_api_response_time_seconds"}


def test_head_and_other_methods(server: RunningServer):
    """HEAD has no body; other methods than GET and HEAD are rejected."""
    head = server.http.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert server.http.post("/metrics").status_code == 405


def test_a_catch_all_does_not_hide_it(serve: Callable[..., RunningServer], registry: MetricRegistry, tmp_path: Path):
    """A mount at the root does not match before the metrics."""
    app = FastAPI(routes=[Mount("/", StaticFiles(directory=tmp_path))])
    server = serve(instrument(app, registry=registry))
    assert "http_server_active_requests" in server.http.get("/metrics").text


def test_authentication_of_the_service_applies(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """The metrics are a route like any other, behind the middlewares of the service."""
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable) -> Response:
        if request.headers.get("authorization") != "Bearer t":
            return PlainTextResponse("no", 401)
        return await call_next(request)

    server = serve(instrument(app, registry=registry))
    assert server.http.get("/metrics").status_code == 401
    assert server.http.get("/metrics", headers={"authorization": "Bearer t"}).status_code == 200


def test_an_existing_route_is_kept(
    serve: Callable[..., RunningServer], registry: MetricRegistry, caplog: pytest.LogCaptureFixture
):
    """An existing /metrics is not replaced, and a warning is logged."""
    app = FastAPI()
    app.get("/metrics")(lambda: "mine")
    server = serve(instrument(app, registry=registry))
    assert server.http.get("/metrics").json() == "mine"
    assert "The app has its own route '/metrics'" in caplog.text


def test_a_plain_asgi_app(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """Without a framework, instrument() returns the app to run."""

    async def app(scope: dict, _receive: object, send: Callable) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = serve(instrument(app, registry=registry))
    assert server.http.get("/anything/at/all").status_code == 204
    labels = {"http_request_method": "GET", "http_route": "unmatched", "http_response_status_code": "204"}
    assert server.value("http_server_request_duration_seconds_count", **labels) == 1


def test_excluded_paths_are_not_measured(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """Requests to an excluded path are served, but not counted."""
    app = FastAPI()
    app.get("/health")(lambda: "ok")
    server = serve(instrument(app, registry=registry, exclude=["/health"]))
    assert server.http.get("/health").status_code == 200
    assert not [labels for name, labels in server.samples() if name.endswith("duration_seconds_count") and labels]


def test_a_scrape_does_not_delay_requests(server: RunningServer, registry: MetricRegistry):
    """While a source of metrics blocks, requests are served."""
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
    """When a hook before the scrape raises, all other metrics are served."""

    def fail() -> None:
        raise RuntimeError("injected")

    registry.before_read(fail)
    assert "http_server_request_duration_seconds_count" in server.http.get("/metrics").text


@pytest.mark.parametrize(
    ("headers", "encoding", "kind"),
    [
        ({"accept-encoding": "gzip;q=0", "accept": "application/openmetrics-text;q=0"}, None, TEXT),
        ({"accept-encoding": "gzip;q=0.1", "accept": "application/openmetrics-text;q=0.1"}, "gzip", OPENMETRICS),
        ({"accept-encoding": "*;q=0", "accept": "text/plain, application/openmetrics-text;q=0.5"}, None, TEXT),
    ],
)
def test_a_weight_of_0_is_a_refusal(server: RunningServer, headers: dict[str, str], encoding: str | None, kind: str):
    """The headers of the response say what was chosen."""
    answer = server.http.get("/metrics", headers=headers)
    assert (encoding, kind) == (answer.headers.get("content-encoding"), answer.headers["content-type"])
