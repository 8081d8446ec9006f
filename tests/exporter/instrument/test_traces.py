"""Which trace an exemplar names: the span that is current in the application, else the request's own header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from perfloop_exporter.instrument import db_operation, instrument
from perfloop_exporter.instrument import traces as tracing
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.metrics.series import HistogramSeries

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
DURATION = "http_server_request_duration_seconds"


def exemplars(server: RunningServer, name: str) -> list[dict[str, str]]:
    """Return the labels of every exemplar of a histogram."""
    text = server.http.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
    return [
        dict(sample.exemplar.labels)
        for family in read_openmetrics(text)
        for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.exemplar
    ]


def span_of(provider: Any, route: str) -> Any:
    """Return the span of the one request to a route; the page of metrics has spans, too."""
    (span,) = [one for one in provider.kept.get_finished_spans() if one.attributes.get("http.route") == route]
    return span


@pytest.fixture
def provider() -> Any:
    """A provider of OpenTelemetry's tracers that keeps its spans."""
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    made = trace.TracerProvider()
    made.kept = memory.InMemorySpanExporter()
    made.add_span_processor(SimpleSpanProcessor(made.kept))
    return made


def test_the_span_of_the_application_comes_first(
    serve: Callable[..., RunningServer], registry: MetricRegistry, provider: Any
):
    """FastAPI's own span continues the caller's trace: the exemplar has its id, not that of the caller's span."""
    app = FastAPI(telemetry={"tracer_provider": provider})
    app.get("/items/{item}")(lambda item: item)
    server = serve(instrument(app, registry=registry))
    server.http.get("/items/1", headers=HEADERS)
    server.await_value(
        f"{DURATION}_count", 1.0, http_request_method="GET", http_route="/items/{item}", http_response_status_code="200"
    )
    span = span_of(provider, "/items/{item}")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert exemplars(server, DURATION) == [{"trace_id": TRACE, "span_id": f"{span.context.span_id:016x}"}]


def test_a_trace_that_begins_in_the_application_is_found(
    serve: Callable[..., RunningServer], registry: MetricRegistry, provider: Any
):
    """Without a header the span's own trace is the only one."""
    app = FastAPI(telemetry={"tracer_provider": provider})
    app.get("/x")(lambda: "x")
    server = serve(instrument(app, registry=registry))
    server.http.get("/x")
    server.await_value(
        f"{DURATION}_count", 1.0, http_request_method="GET", http_route="/x", http_response_status_code="200"
    )
    span = span_of(provider, "/x")
    assert [one["trace_id"] for one in exemplars(server, DURATION)] == [f"{span.context.trace_id:032x}"]


def test_a_span_that_nobody_records_is_no_exemplar(provider: Any):
    """Its id would lead nowhere."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("t").start_as_current_span("x"):
        assert tracing.current_trace() == ()
    with provider.get_tracer("t").start_as_current_span("x") as span:
        assert dict(tracing.current_trace())["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_operations_within_a_request_carry_its_trace(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """A database operation that is slow leads to the request that it was slow in."""
    app = FastAPI()

    @app.get("/x")
    def work() -> None:
        with db_operation("traced_store", "search"):
            pass

    server = serve(instrument(app, registry=registry))
    server.http.get("/x", headers=HEADERS)
    (family,) = [one for one in DEFAULT.families() if one.descriptor.name == "db_client_operation_duration_seconds"]
    (series,) = [one for one in family.series() if ("db_system_name", "traced_store") in one.labels]
    assert isinstance(series, HistogramSeries)
    assert [dict(one.labels)["trace_id"] for one in series.exemplars.values()] == [TRACE]


def test_of_many_the_first_and_every_slower_one_is_kept(monkeypatch: pytest.MonkeyPatch):
    """A series keeps one in a tenth of a second, and any that is slower: those are looked for."""
    series = HistogramSeries((), (0.1, 1.0, 10.0))
    monkeypatch.setattr(tracing, "current_trace", lambda: (("trace_id", TRACE),))
    kept: list[float] = []
    monkeypatch.setattr(HistogramSeries, "keep_exemplar", lambda _, exemplar: kept.append(exemplar.value))
    monkeypatch.setattr(tracing.time, "monotonic", lambda: 1000.0)
    for seconds in (0.5, 0.4, 0.5, 5.0, 0.01, 6.0):
        tracing.observe(series, seconds)
    assert kept == [0.5, 5.0, 6.0]
    monkeypatch.setattr(tracing.time, "monotonic", lambda: 1000.2)
    tracing.observe(series, 0.01)
    assert kept == [0.5, 5.0, 6.0, 0.01]


def test_a_tracing_library_that_breaks_breaks_nothing(monkeypatch: pytest.MonkeyPatch):
    """The duration is recorded, and its caller goes on."""

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(tracing, "current_span", fail)
    series = HistogramSeries((), (1.0,))
    tracing.observe(series, 0.5)
    assert series.read() == ([1, 1], 0.5)
